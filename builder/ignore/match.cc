#include <algorithm>

#include "base/text.h"
#include "builder/ignore/compile.h"
#include "builder/ignore_file.h"
#include "builder/plan/paths.h"

namespace skiff::builder {
namespace {

size_t CharacterLength(std::string_view text) {
  return std::max<size_t>(Utf8SequenceLength(text), 1);
}

// A line of an ignore file as a pattern; "" for one that has none.
std::string PatternOf(std::string_view line, bool& exception) {
  std::string_view text = Trim(line);
  exception = text.starts_with('!');
  if (exception) text = Trim(text.substr(1));
  if (text.empty()) return "";
  std::string pattern = CleanPath(text);
  if (pattern.size() > 1 && pattern.starts_with('/')) pattern.erase(0, 1);
  return pattern;
}

}  // namespace

std::vector<std::string> IgnoreFileCandidates(const std::string& dockerfile,
                                              const std::string& context) {
  std::vector<std::string> candidates;
  if (!dockerfile.empty() && dockerfile != "-") candidates.push_back(dockerfile + ".dockerignore");
  candidates.push_back(JoinPath(context, ".dockerignore"));
  return candidates;
}

Status IgnoreMatcher::Add(Rule rule) {
  auto pattern = Compiler(rule.pattern).Run();
  if (!pattern) return Fail(std::move(pattern.error()).At(rule.span));
  has_exceptions_ |= rule.exception;
  rules_.push_back(std::move(rule));
  patterns_.push_back(std::move(*pattern));
  return {};
}

Result<IgnoreMatcher> IgnoreMatcher::Parse(const SourceMap& sources, uint32_t file_index) {
  const SourceFile& file = sources.File(file_index);
  IgnoreMatcher matcher;
  for (uint32_t number = 1; number <= file.LineCount(); ++number) {
    std::string_view line = file.Line(number);
    if (number == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
    if (line.starts_with('#')) continue;
    Rule rule;
    rule.pattern = PatternOf(line, rule.exception);
    const std::string_view shown = Trim(line);
    if (shown.empty()) continue;
    rule.span = {file_index, static_cast<uint32_t>(shown.data() - file.text().data()),
                 static_cast<uint32_t>(shown.size())};
    if (rule.pattern.empty()) {
      return Fail(Error(Code::kInvalidArgument, "illegal exclusion pattern: \"!\"").At(rule.span));
    }
    SKIFF_TRY(matcher.Add(std::move(rule)));
  }
  return matcher;
}

Result<IgnoreMatcher> IgnoreMatcher::FromPatterns(const std::vector<std::string>& patterns) {
  IgnoreMatcher matcher;
  for (const std::string& text : patterns) {
    if (Trim(text).empty()) continue;
    Rule rule;
    rule.pattern = PatternOf(text, rule.exception);
    if (rule.pattern.empty()) {
      return Fail(Code::kInvalidArgument, "illegal exclusion pattern: \"!\"");
    }
    SKIFF_TRY(matcher.Add(std::move(rule)));
  }
  return matcher;
}

bool IgnoreMatcher::IgnoresEverything() const {
  return std::ranges::any_of(rules_, [](const Rule& rule) {
    return !rule.exception &&
           (rule.pattern == "*" || rule.pattern == "**" || rule.pattern == "**/*");
  });
}

// Goes through the tokens with the set of positions up to which the path can have been matched.
bool IgnoreMatcher::MatchesTokens(const std::vector<Token>& tokens, std::string_view path) {
  std::vector<char> now(path.size() + 1, 0);
  now[0] = 1;
  for (const Token& token : tokens) {
    std::vector<char> next(path.size() + 1, 0);
    bool any_before = false;
    for (size_t at = 0; at <= path.size(); ++at) {
      any_before |= now[at] != 0;
      const bool here = now[at] != 0;
      const std::string_view rest = path.substr(at);
      switch (token.kind) {
        case TokenKind::kText:
          if (here && rest.starts_with(token.text)) next[at + token.text.size()] = 1;
          break;
        case TokenKind::kOne:
          if (here && !rest.empty() && rest[0] != '/') next[at + CharacterLength(rest)] = 1;
          break;
        case TokenKind::kName:
          if (!here) break;
          next[at] = 1;
          if (!rest.empty() && rest[0] != '/') now[at + 1] = 1;
          break;
        case TokenKind::kFolders:
          if (here || (any_before && at > 0 && path[at - 1] == '/')) next[at] = 1;
          break;
        case TokenKind::kRest:
          if (any_before) next[at] = 1;
          break;
        case TokenKind::kClass: {
          if (!here || rest.empty()) break;
          const size_t length = CharacterLength(rest);
          const uint32_t character = CodePointOf(rest.substr(0, length));
          const bool inside = std::ranges::any_of(token.ranges, [&](const Range& range) {
            return character >= range.first && character <= range.last;
          });
          if (inside != token.negated) next[at + length] = 1;
          break;
        }
      }
    }
    now = std::move(next);
  }
  return now[path.size()] != 0;
}

bool IgnoreMatcher::Matches(size_t index, std::string_view path) const {
  const Pattern& pattern = patterns_[index];
  switch (pattern.kind) {
    case Kind::kExact:
      return path == pattern.text;
    case Kind::kPrefix:
      return path.starts_with(pattern.text);
    case Kind::kSuffix:
      return path.ends_with(pattern.text) ||
             (pattern.text.starts_with('/') && path == std::string_view(pattern.text).substr(1));
    case Kind::kTokens:
      return MatchesTokens(pattern.tokens, path);
  }
  return false;
}

const IgnoreMatcher::Rule* IgnoreMatcher::DecidingRule(std::string_view path) const {
  if (path == ".") return nullptr;
  const Rule* deciding = nullptr;
  for (size_t i = 0; i < rules_.size(); ++i) {
    // Only what changes the answer is worth a look.
    if (rules_[i].exception != (deciding != nullptr)) continue;
    bool matches = Matches(i, path);
    for (size_t slash = path.find('/'); !matches && slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
      matches = Matches(i, path.substr(0, slash));
    }
    if (matches) deciding = rules_[i].exception ? nullptr : &rules_[i];
  }
  return deciding;
}

IgnoreMatcher::Trail IgnoreMatcher::Step(const Trail& folder, std::string_view path) const {
  Trail trail;
  trail.matched.resize(rules_.size(), 0);
  for (size_t i = 0; i < rules_.size(); ++i) {
    bool matches = i < folder.matched.size() && folder.matched[i] != 0;
    if (!matches) {
      if (rules_[i].exception != trail.ignored) continue;
      matches = Matches(i, path);
    }
    trail.matched[i] = matches ? 1 : 0;
    if (matches) trail.ignored = !rules_[i].exception;
  }
  return trail;
}

bool IgnoreMatcher::MayContainException(std::string_view folder) const {
  const std::string prefix = std::string(folder) + "/";
  for (const Rule& rule : rules_) {
    if (!rule.exception) continue;
    const bool has_wildcard = rule.pattern.find_first_of("*?[\\") != std::string::npos;
    if (has_wildcard || rule.pattern.starts_with(prefix) ||
        prefix.starts_with(rule.pattern + "/")) {
      return true;
    }
  }
  return false;
}

}  // namespace skiff::builder
