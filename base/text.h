#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skiff {

// UTF-8's byte order mark, which editors of Windows put before a text.
inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Pieces between separators, empty ones included; "" gives one empty piece.
std::vector<std::string_view> Split(std::string_view text, char separator);
// Pieces between runs of white space; none for blank text.
std::vector<std::string_view> SplitWords(std::string_view text);
std::string_view Trim(std::string_view text);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::string ToLower(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);
// Length of the well-formed UTF-8 sequence at the start of `text`, or 0.
size_t Utf8SequenceLength(std::string_view text);
bool IsValidUtf8(std::string_view text);

// The whole of `text` as a decimal number of type T, or nothing (also on overflow and for "").
template <typename T>
std::optional<T> ParseNumber(std::string_view text, int radix = 10) {
  T value = {};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, radix);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace skiff
