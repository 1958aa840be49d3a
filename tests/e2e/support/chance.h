#pragma once

#include <cstdint>
#include <random>

namespace skiff::e2e {

// Tests of chance have a short form, which always runs, and a long one (SKIFF_LONG=1). Both print
// their seed and take it from SKIFF_SEED.
bool IsLongRun();
inline int Rounds(int shorter, int longer) {
  return IsLongRun() ? longer : shorter;
}

class Chance {
 public:
  Chance();
  uint64_t seed() const { return seed_; }
  // 0 to `end` - 1.
  int Below(int end) { return std::uniform_int_distribution<int>(0, end - 1)(engine_); }

 private:
  uint64_t seed_;
  std::mt19937_64 engine_;
};

}  // namespace skiff::e2e
