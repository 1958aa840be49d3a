#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/identity.h"

namespace skiff::builder {

// The identity of a step: the digest of everything that decides what comes out of it. Every value
// carries its length, so that no two lists of values have the same bytes.
class StepKey {
 public:
  explicit StepKey(std::string_view kind) { Add(kind); }

  StepKey& Add(std::string_view value);
  StepKey& Add(int64_t value) { return Add(std::to_string(value)); }
  StepKey& Add(const std::vector<std::string>& values);
  std::string Finish() { return hash_.FinishHex(); }

 private:
  Sha256 hash_;
};

}  // namespace skiff::builder
