// What a registry says about how to log in.

#include "engine-core/transfer/auth_challenge.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(auth_header) {
  const auto challenge = skiff::engine::transfer::ParseAuthChallenge(input);
  for (const char c : challenge.scheme) {
    skiff::fuzz::Require(!(c >= 'A' && c <= 'Z'), "a scheme is in lower case");
  }
  for (const auto& [key, value] : challenge.parameters) {
    skiff::fuzz::Require(!key.empty() && value.size() <= input.size(), "parameters are the header's");
  }
}
