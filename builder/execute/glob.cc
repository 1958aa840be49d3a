#include "builder/execute/glob.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::builder {
namespace {

// The character at `at` as bytes; moves `at` behind it.
std::string_view TakeCharacter(std::string_view text, size_t& at) {
  const size_t length = std::max<size_t>(1, Utf8SequenceLength(text.substr(at)));
  const std::string_view character = text.substr(at, length);
  at += length;
  return character;
}

// One end of a range inside brackets; "" when the pattern is malformed.
std::string_view TakeClassCharacter(std::string_view pattern, size_t& at) {
  if (at >= pattern.size() || pattern[at] == '-' || pattern[at] == ']') return {};
  if (pattern[at] == '\\' && ++at >= pattern.size()) return {};
  return TakeCharacter(pattern, at);
}

// UTF-8 sorts as its code points do.
bool MatchesClass(std::string_view pattern, size_t& at, std::string_view character) {
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool matched = false;
  for (bool first = true;; first = false) {
    if (at >= pattern.size()) return false;
    if (pattern[at] == ']' && !first) break;
    const std::string_view low = TakeClassCharacter(pattern, at);
    std::string_view high = low;
    if (at < pattern.size() && pattern[at] == '-') high = TakeClassCharacter(pattern, ++at);
    if (low.empty() || high.empty()) return false;
    matched = matched || (low <= character && character <= high);
  }
  ++at;
  return matched != negated;
}

}  // namespace

bool MatchesGlob(std::string_view pattern, std::string_view name) {
  size_t p = 0;
  size_t n = 0;
  size_t star = std::string_view::npos;  // Behind the last "*".
  size_t resume = 0;                     // Where the name goes on when that takes one more.
  while (true) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      resume = n;
      continue;
    }
    if (n >= name.size()) {
      if (p >= pattern.size()) return true;
    } else if (p < pattern.size()) {
      size_t next = n;
      const std::string_view character = TakeCharacter(name, next);
      bool matches = true;
      size_t after = p + 1;
      if (pattern[p] == '[') {
        matches = MatchesClass(pattern, after, character);
      } else if (pattern[p] != '?') {
        size_t from = p;
        if (pattern[p] == '\\' && p + 1 < pattern.size()) ++from;
        after = from;
        matches = TakeCharacter(pattern, after) == character;
      }
      if (matches) {
        p = after;
        n = next;
        continue;
      }
    }
    if (star == std::string_view::npos || resume >= name.size()) return false;
    TakeCharacter(name, resume);
    p = star;
    n = resume;
  }
}

bool IsGlob(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '\\') {
      ++i;
    } else if (name[i] == '*' || name[i] == '?' || name[i] == '[') {
      return true;
    }
  }
  return false;
}

}  // namespace skiff::builder
