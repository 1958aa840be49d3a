#include "base/identity.h"

// The low-level functions are deprecated in favour of EVP, which loads providers and configuration
// files at run time: a cost every start of the program would pay.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "base/fd.h"
#include "base/text.h"

namespace skiff {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string ToHex(const uint8_t* bytes, size_t count) {
  std::string out;
  out.reserve(count * 2);
  for (size_t i = 0; i < count; ++i) {
    out += kHexDigits[bytes[i] >> 4];
    out += kHexDigits[bytes[i] & 15];
  }
  return out;
}

// getrandom(2) for up to 256 bytes is never short and, once the pool is seeded, never fails.
void FillRandom(uint8_t* bytes, size_t count) {
  while (count > 0) {
    const ssize_t n = ::getrandom(bytes, std::min<size_t>(count, 256), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      std::abort();  // No kernel this program runs on lacks it; identities must not be guessable.
    }
    bytes += n;
    count -= static_cast<size_t>(n);
  }
}

}  // namespace

std::string RandomHex(size_t bytes) {
  std::string raw(bytes, '\0');
  FillRandom(reinterpret_cast<uint8_t*>(raw.data()), bytes);
  return ToHex(reinterpret_cast<const uint8_t*>(raw.data()), bytes);
}

std::string NewObjectId() {
  for (;;) {
    std::string id = RandomHex(32);
    const bool all_digits =
        std::all_of(id.begin(), id.begin() + 12, [](char c) { return c >= '0' && c <= '9'; });
    if (!all_digits) return id;
  }
}

Sha256::Sha256() {
  static_assert(sizeof(SHA256_CTX) <= sizeof(state_));
  SHA256_Init(new (state_) SHA256_CTX);
}

void Sha256::Update(std::string_view data) {
  SHA256_Update(std::launder(reinterpret_cast<SHA256_CTX*>(state_)), data.data(), data.size());
}

std::array<uint8_t, 32> Sha256::Finish() {
  std::array<uint8_t, 32> digest;
  SHA256_Final(digest.data(), std::launder(reinterpret_cast<SHA256_CTX*>(state_)));
  return digest;
}

std::string Sha256::FinishHex() {
  const std::array<uint8_t, 32> digest = Finish();
  return ToHex(digest.data(), digest.size());
}

std::string Sha256Hex(std::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.FinishHex();
}

Result<std::string> BootId() {
  if (const char* override = std::getenv("SKIFF_TEST_BOOT_ID"); override != nullptr) {
    return std::string(override);
  }
  SKIFF_ASSIGN(const std::string text, ReadFile("/proc/sys/kernel/random/boot_id", 4096));
  return std::string(Trim(text));
}

}  // namespace skiff
