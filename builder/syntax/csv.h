#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::builder {

// "a=b,"c,d"": the fields of one comma-separated record (RFC 4180). Fails on "" and stray quotes.
Result<std::vector<std::string>> SplitRecord(std::string_view text);

// "key=value" or "key". The key is in lower case.
struct Option {
  std::string field;
  std::string key;
  std::optional<std::string> value;
};
Result<std::vector<Option>> SplitOptions(std::string_view text);
// strconv.ParseBool's words: 1 t T TRUE true True and their opposites.
std::optional<bool> ParseTruth(std::string_view text);

}  // namespace skiff::builder
