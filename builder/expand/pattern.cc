#include "builder/expand/pattern.h"

#include <algorithm>

namespace skiff::builder {
namespace {

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// The end of the character that begins at `at`.
size_t NextCharacter(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && IsContinuation(text[at])) ++at;
  return at;
}

size_t PreviousCharacter(std::string_view text, size_t at) {
  --at;
  while (at > 0 && IsContinuation(text[at])) --at;
  return at;
}

}  // namespace

Result<ShellPattern> ShellPattern::Parse(std::string_view text) {
  ShellPattern pattern;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '*') {
      pattern.tokens_.push_back({Kind::kStar, 0});
      continue;
    }
    if (c == '?') {
      pattern.tokens_.push_back({Kind::kAny, 0});
      continue;
    }
    if (c == '\\') {
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      if (std::string_view("*?\\}/").find(next) == std::string_view::npos || next == '\0') {
        return Fail(Code::kInvalidArgument, "invalid pattern '" + std::string(text) +
                                                "' in substitution: invalid escape '\\" +
                                                std::string(next != '\0' ? 1 : 0, next) + "'");
      }
      c = next;
      ++i;
    }
    pattern.tokens_.push_back({Kind::kByte, c});
  }
  return pattern;
}

ShellPattern::Positions ShellPattern::EndsFrom(std::string_view value, size_t start) const {
  Positions now(value.size() + 1, 0);
  now[start] = 1;
  for (const Token& token : tokens_) {
    Positions next(value.size() + 1, 0);
    for (size_t at = start; at <= value.size(); ++at) {
      if (now[at] == 0) continue;
      if (token.kind == Kind::kStar) next[at] = 1;
      if (at == value.size()) continue;
      if (token.kind == Kind::kByte) {
        if (value[at] == token.byte) next[at + 1] = 1;
      } else if (value[at] != '\n') {
        const size_t end = NextCharacter(value, at);
        if (token.kind == Kind::kStar)
          now[end] = 1;
        else
          next[end] = 1;
      }
    }
    now = std::move(next);
  }
  return now;
}

ShellPattern::Positions ShellPattern::StartsOf(std::string_view value, Positions now) const {
  for (auto token = tokens_.rbegin(); token != tokens_.rend(); ++token) {
    Positions next(value.size() + 1, 0);
    for (size_t at = value.size() + 1; at-- > 0;) {
      if (now[at] == 0) continue;
      if (token->kind == Kind::kStar) next[at] = 1;
      if (at == 0) continue;
      if (token->kind == Kind::kByte) {
        if (value[at - 1] == token->byte) next[at - 1] = 1;
      } else if (value[at - 1] != '\n') {
        const size_t start = PreviousCharacter(value, at);
        if (token->kind == Kind::kStar)
          now[start] = 1;
        else
          next[start] = 1;
      }
    }
    now = std::move(next);
  }
  return now;
}

std::string_view ShellPattern::TrimPrefix(std::string_view value, bool longest) const {
  const Positions ends = EndsFrom(value, 0);
  for (size_t i = 0; i <= value.size(); ++i) {
    const size_t end = longest ? value.size() - i : i;
    if (ends[end] != 0) return value.substr(end);
  }
  return value;
}

std::string_view ShellPattern::TrimSuffix(std::string_view value, bool longest) const {
  Positions ends(value.size() + 1, 0);
  ends[value.size()] = 1;
  const Positions starts = StartsOf(value, std::move(ends));
  for (size_t i = 0; i <= value.size(); ++i) {
    const size_t start = longest ? i : value.size() - i;
    if (starts[start] != 0) return value.substr(0, start);
  }
  return value;
}

size_t ShellPattern::LongestFrom(std::string_view value, size_t start) const {
  const bool unbounded =
      std::ranges::any_of(tokens_, [](const Token& token) { return token.kind == Kind::kStar; });
  // A character has at most four bytes: no more has to be looked at.
  std::string_view reach = value.substr(start);
  if (!unbounded) reach = reach.substr(0, 4 * tokens_.size());
  const Positions ends = EndsFrom(reach, 0);
  return start + reach.size() -
         static_cast<size_t>(std::find(ends.rbegin(), ends.rend(), 1) - ends.rbegin());
}

std::optional<std::string> ShellPattern::Replace(std::string_view value,
                                                 std::string_view replacement, bool all,
                                                 size_t limit) const {
  const Positions starts = StartsOf(value, Positions(value.size() + 1, 1));
  std::string out;
  size_t at = 0;
  bool after_match = false;
  while (at <= value.size()) {
    if (out.size() > limit) return std::nullopt;
    size_t end = at;
    if (starts[at] != 0) {
      end = LongestFrom(value, at);
      // An empty match right behind another one does not count.
      if (end > at || !after_match) {
        out += replacement;
        if (!all) return out.append(value.substr(end));
      }
    }
    after_match = end > at;
    if (after_match) {
      at = end;
    } else {
      if (at == value.size()) break;
      const size_t next = NextCharacter(value, at);
      out += value.substr(at, next - at);
      at = next;
    }
  }
  return out;
}

}  // namespace skiff::builder
