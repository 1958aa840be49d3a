#pragma once

#include <string_view>

namespace skiff::builder {

// Bytes of the white space character at the start of `text` (Unicode's White_Space), or 0.
size_t SpaceLength(std::string_view text);
std::string_view TrimLeadingSpace(std::string_view text);
std::string_view TrimTrailingSpace(std::string_view text);
// White space that separates words of an instruction: blank, tab, vertical tab, form feed, return.
bool IsSeparator(char c);
// Bytes of the letter, digit or underscore at the start of `text`, or 0. Every character outside
// ASCII but white space and general punctuation counts as a letter.
size_t NameCharacterLength(std::string_view text);

}  // namespace skiff::builder
