#include "builder/syntax/characters.h"

#include "base/text.h"

namespace skiff::builder {
namespace {

// White space outside ASCII, as UTF-8.
constexpr std::string_view kWideSpaces[] = {
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
    "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

}  // namespace

size_t SpaceLength(std::string_view text) {
  if (text.empty()) return 0;
  const char c = text[0];
  if (static_cast<unsigned char>(c) < 0x80) return c == ' ' || (c >= '\t' && c <= '\r') ? 1 : 0;
  for (const std::string_view space : kWideSpaces) {
    if (text.starts_with(space)) return space.size();
  }
  return 0;
}

std::string_view TrimLeadingSpace(std::string_view text) {
  while (const size_t length = SpaceLength(text)) text.remove_prefix(length);
  return text;
}

std::string_view TrimTrailingSpace(std::string_view text) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
    const size_t length = SpaceLength(text.substr(start));
    if (length == 0 || start + length != text.size()) break;
    text.remove_suffix(length);
  }
  return text;
}

bool IsSeparator(char c) {
  return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

size_t NameCharacterLength(std::string_view text) {
  if (text.empty()) return 0;
  const auto c = static_cast<unsigned char>(text[0]);
  if (c < 0x80) {
    const bool in_name =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    return in_name ? 1 : 0;
  }
  // U+0080 to U+00A9 and U+2000 to U+206F: controls, signs, general punctuation.
  if (c == 0xc2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xaa) return 0;
  if (text.starts_with("\xe2\x80") || text.starts_with("\xe2\x81") || SpaceLength(text) > 0) {
    return 0;
  }
  return Utf8SequenceLength(text);
}

}  // namespace skiff::builder
