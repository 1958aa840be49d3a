#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff {

// `bytes` random bytes from getrandom(2) as lower-case hexadecimal digits.
std::string RandomHex(size_t bytes);
// 64 hexadecimal digits, drawn again while the first 12 are all digits: they become a host name.
std::string NewObjectId();
// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  void Update(std::string_view data);
  std::array<uint8_t, 32> Finish();
  std::string FinishHex();

 private:
  alignas(8) unsigned char state_[128];
};
std::string Sha256Hex(std::string_view data);
// /proc/sys/kernel/random/boot_id without its newline. SKIFF_TEST_BOOT_ID overrides it in tests.
Result<std::string> BootId();

}  // namespace skiff
