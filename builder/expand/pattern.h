#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::builder {

// A pattern of ${name#pattern}: `*` and `?` do not match a newline, `\` quotes `*`, `?`, `\`, `}`
// and
// `/`, everything else stands for itself. Matching takes time proportional to pattern times text.
class ShellPattern {
 public:
  static Result<ShellPattern> Parse(std::string_view text);

  // `value` without the shortest or longest match at its beginning or end.
  std::string_view TrimPrefix(std::string_view value, bool longest) const;
  std::string_view TrimSuffix(std::string_view value, bool longest) const;
  // The first match, or all of them, replaced. A match begins as early as it can and is as long as
  // it can be. Nothing when the result is larger than `limit` bytes.
  std::optional<std::string> Replace(std::string_view value, std::string_view replacement, bool all,
                                     size_t limit) const;

 private:
  enum class Kind : char { kByte, kAny, kStar };
  struct Token {
    Kind kind;
    char byte;
  };
  using Positions =
      std::vector<char>;  // One flag for each offset into the value, its end included.

  // The end of the longest match that begins at `start`, where one does.
  size_t LongestFrom(std::string_view value, size_t start) const;
  // Where matches that begin at `start` end.
  Positions EndsFrom(std::string_view value, size_t start) const;
  // Where matches begin that end at one of `ends`.
  Positions StartsOf(std::string_view value, Positions ends) const;

  std::vector<Token> tokens_;
};

}  // namespace skiff::builder
