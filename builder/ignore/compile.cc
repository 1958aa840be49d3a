#include "builder/ignore/compile.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::builder {

uint32_t CodePointOf(std::string_view character) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(character[i]));
  };
  if (character.size() == 1) return byte(0);
  uint32_t code_point = byte(0) & (0xffU >> (character.size() + 1));
  for (size_t i = 1; i < character.size(); ++i) {
    code_point = code_point << 6 | (byte(i) & 0x3f);
  }
  return code_point;
}

tl::unexpected<Error> IgnoreMatcher::Compiler::Malformed() const {
  return Fail(Code::kInvalidArgument,
              "syntax error in pattern: '" + std::string(text_) + "' is malformed");
}

std::string_view IgnoreMatcher::Compiler::Take() {
  const std::string_view rest = text_.substr(at_);
  const std::string_view character = rest.substr(0, std::max<size_t>(Utf8SequenceLength(rest), 1));
  at_ += character.size();
  return character;
}

void IgnoreMatcher::Compiler::Text(Pattern& pattern, std::string_view character) {
  pattern.text += character;
  pattern.tokens.push_back({TokenKind::kText, std::string(character), {}, false});
}

// "**" and the slash behind it. Behind the first star.
void IgnoreMatcher::Compiler::Stars(Pattern& pattern) {
  const bool at_start = at_ == 1;
  ++at_;
  const bool has_slash = !AtEnd() && text_[at_] == '/';
  if (has_slash) ++at_;
  if (AtEnd()) {
    pattern.kind = pattern.kind == Kind::kExact ? Kind::kPrefix : Kind::kTokens;
    pattern.tokens.push_back({TokenKind::kRest, "", {}, false});
  } else {
    pattern.kind = Kind::kTokens;
    pattern.tokens.push_back({TokenKind::kFolders, "", {}, false});
  }
  if (at_start) {
    pattern.kind = Kind::kSuffix;
    if (has_slash) pattern.text += '/';
  }
}

Result<uint32_t> IgnoreMatcher::Compiler::ClassCharacter() {
  if (AtEnd() || text_[at_] == '-' || text_[at_] == ']') return Malformed();
  if (text_[at_] == '\\') ++at_;
  if (AtEnd()) return Malformed();
  return CodePointOf(Take());
}

// [a-z], [^a]. Behind the bracket.
Status IgnoreMatcher::Compiler::Class(Pattern& pattern) {
  Token token{TokenKind::kClass, "", {}, false};
  if (!AtEnd() && text_[at_] == '^') {
    token.negated = true;
    ++at_;
  }
  while (AtEnd() || text_[at_] != ']' || token.ranges.empty()) {
    Range range{};
    SKIFF_ASSIGN(range.first, ClassCharacter());
    range.last = range.first;
    if (!AtEnd() && text_[at_] == '-') {
      ++at_;
      SKIFF_ASSIGN(range.last, ClassCharacter());
    }
    token.ranges.push_back(range);
  }
  ++at_;
  pattern.kind = Kind::kTokens;
  pattern.tokens.push_back(std::move(token));
  return {};
}

Status IgnoreMatcher::Compiler::Next(Pattern& pattern) {
  const std::string_view character = Take();
  if (character == "*") {
    if (!AtEnd() && text_[at_] == '*') {
      Stars(pattern);
      return {};
    }
    pattern.kind = Kind::kTokens;
    pattern.tokens.push_back({TokenKind::kName, "", {}, false});
  } else if (character == "?") {
    pattern.kind = Kind::kTokens;
    pattern.tokens.push_back({TokenKind::kOne, "", {}, false});
  } else if (character == "[") {
    return Class(pattern);
  } else if (character == "\\") {
    if (AtEnd()) return Malformed();
    pattern.kind = Kind::kTokens;
    Text(pattern, Take());
  } else {
    Text(pattern, character);
  }
  return {};
}

Result<IgnoreMatcher::Pattern> IgnoreMatcher::Compiler::Run() {
  Pattern pattern;
  while (!AtEnd()) SKIFF_TRY(Next(pattern));
  return pattern;
}

}  // namespace skiff::builder
