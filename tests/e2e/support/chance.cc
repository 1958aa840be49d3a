#include "tests/e2e/support/chance.h"

#include <cstdio>
#include <cstdlib>

namespace skiff::e2e {
namespace {

uint64_t ChooseSeed() {
  if (const char* given = std::getenv("SKIFF_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device()();
}

}  // namespace

bool IsLongRun() {
  return std::getenv("SKIFF_LONG") != nullptr;
}

Chance::Chance() : seed_(ChooseSeed()), engine_(seed_) {
  std::printf("SKIFF_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  std::fflush(stdout);
}

}  // namespace skiff::e2e
