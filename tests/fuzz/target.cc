#include "tests/fuzz/target.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace skiff::fuzz {
namespace {

const char* current_origin = "";

}  // namespace

void SetOrigin(const char* origin) {
  current_origin = origin;
}

void Require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "%s: does not hold: %.*s\n", current_origin,
               static_cast<int>(what.size()), what.data());
  std::abort();
}

void RequireEqual(std::string_view left, std::string_view right, std::string_view what) {
  if (left == right) return;
  std::fprintf(stderr, "--- one\n%.*s\n--- other\n%.*s\n", static_cast<int>(left.size()),
               left.data(), static_cast<int>(right.size()), right.data());
  Require(false, what);
}

uint8_t TakeByte(std::string_view& input) {
  if (input.empty()) return 0;
  const auto byte = static_cast<uint8_t>(input.front());
  input.remove_prefix(1);
  return byte;
}

std::string_view TakeUntil(std::string_view& input, std::string_view mark) {
  const size_t end = input.find(mark);
  const std::string_view taken = input.substr(0, end);
  input.remove_prefix(end == input.npos ? input.size() : end + mark.size());
  return taken;
}

}  // namespace skiff::fuzz
