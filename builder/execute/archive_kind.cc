#include "builder/execute/archive_kind.h"

#include <algorithm>
#include <string>

#include "base/text.h"

namespace skiff::builder {
namespace {

using namespace std::string_view_literals;

constexpr size_t kBlock = 512;
constexpr size_t kChecksum = 148;  // Eight bytes, counted as blanks.
constexpr std::string_view kMagics[] = {"\x1f\x8b\x08"sv, "BZh"sv, "\xfd\x37\x7a\x58\x5a\x00"sv,
                                        "\x28\xb5\x2f\xfd"sv};

bool IsTarHeader(std::string_view block) {
  if (block.size() < kBlock) return false;
  unsigned sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const bool blank = i >= kChecksum && i < kChecksum + 8;
    sum += blank ? ' ' : static_cast<unsigned char>(block[i]);
  }
  std::string field(block.substr(kChecksum, 8));
  field.resize(std::min(field.find('\0'), field.size()));
  const auto stated = ParseNumber<unsigned>(Trim(field), 8);
  return stated && *stated == sum && sum != 8 * ' ';
}

}  // namespace

bool LooksLikeArchive(std::string_view beginning) {
  for (const std::string_view magic : kMagics) {
    if (beginning.starts_with(magic)) return true;
  }
  return IsTarHeader(beginning);
}

}  // namespace skiff::builder
