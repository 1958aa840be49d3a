#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/source.h"

namespace skiff::builder {

// A list of path patterns of which the last that matches decides: .dockerignore and COPY --exclude.
// The rules are those of moby's patternmatcher: patterns begin at the root; `*` and `?` stop at
// "/",
// `**` is any number of folders; what lies below a matching folder matches; "!" takes back.
class IgnoreMatcher {
 public:
  struct Rule {
    std::string pattern;     // Without "!".
    bool exception = false;  // "!pattern"
    SourceSpan span;         // In the ignore file.
  };

  IgnoreMatcher() = default;  // Ignores nothing.
  // An ignore file: a pattern a line, "#" in the first column begins a comment. Fails at a pattern
  // that is malformed.
  static Result<IgnoreMatcher> Parse(const SourceMap& sources, uint32_t file);
  static Result<IgnoreMatcher> FromPatterns(const std::vector<std::string>& patterns);

  bool empty() const { return rules_.empty(); }
  bool has_exceptions() const { return has_exceptions_; }
  // One of the patterns is "*", "**" or "**/*".
  bool IgnoresEverything() const;

  // `path` is relative to the root and clean. The root itself (".") is never ignored.
  bool Ignores(std::string_view path) const { return DecidingRule(path) != nullptr; }
  // The rule that ignores `path`, for messages; null when it is not ignored.
  const Rule* DecidingRule(std::string_view path) const;

  // A walk that goes through folders asks for every name with what it learned about the folder,
  // which costs no second look at the parents. `Trail{}` belongs to the root.
  struct Trail {
    std::vector<char> matched;  // By rule.
    bool ignored = false;
  };
  Trail Step(const Trail& folder, std::string_view path) const;
  // Whether something below an ignored folder may be taken back, so that it must be entered.
  bool MayContainException(std::string_view folder) const;

 private:
  enum class Kind : char { kExact, kPrefix, kSuffix, kTokens };
  enum class TokenKind : char { kText, kOne, kName, kFolders, kRest, kClass };
  struct Range {
    uint32_t first, last;
  };
  struct Token {
    TokenKind kind;
    std::string text;           // kText: one character.
    std::vector<Range> ranges;  // kClass
    bool negated = false;
  };
  struct Pattern {
    Kind kind = Kind::kExact;
    std::string text;  // What is compared when the kind is not kTokens.
    std::vector<Token> tokens;
  };

  class Compiler;
  Status Add(Rule rule);
  bool Matches(size_t index, std::string_view path) const;
  static bool MatchesTokens(const std::vector<Token>& tokens, std::string_view path);

  std::vector<Rule> rules_;
  std::vector<Pattern> patterns_;
  bool has_exceptions_ = false;
};

// The ignore file of a Dockerfile: "<Dockerfile>.dockerignore" when there is one, else
// ".dockerignore" at the context's root. Returned in the order in which they are looked for.
std::vector<std::string> IgnoreFileCandidates(const std::string& dockerfile,
                                              const std::string& context);

}  // namespace skiff::builder
