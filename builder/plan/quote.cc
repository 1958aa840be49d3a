// Texts of history entries, which are those of Go's fmt package.
#include "base/text.h"
#include "builder/plan/interpret.h"

namespace skiff::builder {
namespace {

struct CodePointRange {
  uint32_t first, last;
};
// Beyond ASCII: what is written as an escape because it is no letter, mark, number, punctuation or
// symbol (Unicode categories C and Z).
constexpr CodePointRange kUnprintable[] = {
    {0x80, 0xa0},       {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x1680, 0x1680},   {0x180e, 0x180e},
    {0x2000, 0x200f},   {0x2028, 0x202f},   {0x205f, 0x206f},   {0x3000, 0x3000},
    {0xd800, 0xf8ff},   {0xfeff, 0xfeff},   {0xfff0, 0xfffb},   {0xfffe, 0xffff},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff}};

uint32_t Decode(std::string_view sequence) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(sequence[i]));
  };
  if (sequence.size() == 1) return byte(0);
  uint32_t code_point = byte(0) & (0xffU >> (sequence.size() + 1));
  for (size_t i = 1; i < sequence.size(); ++i) code_point = code_point << 6 | (byte(i) & 0x3f);
  return code_point;
}

bool IsPrintable(uint32_t code_point) {
  for (const CodePointRange& range : kUnprintable) {
    if (code_point >= range.first && code_point <= range.last) return false;
  }
  return true;
}

std::string Hex(uint32_t value, int digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += kDigits[value >> shift & 0xf];
  return out;
}

void AppendAscii(std::string& out, char c) {
  static constexpr std::string_view kFrom = "\a\b\f\n\r\t\v\\\"";
  static constexpr std::string_view kTo = "abfnrtv\\\"";
  if (const size_t index = kFrom.find(c); index != std::string_view::npos) {
    out += '\\';
    out += kTo[index];
  } else if (c < ' ' || c == 0x7f) {
    out += "\\x" + Hex(static_cast<unsigned char>(c), 2);
  } else {
    out += c;
  }
}

}  // namespace

std::string QuoteText(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    const std::string_view sequence = text.substr(0, length == 0 ? 1 : length);
    text.remove_prefix(sequence.size());
    if (length == 0) {
      out += "\\x" + Hex(static_cast<unsigned char>(sequence[0]), 2);
    } else if (length == 1) {
      AppendAscii(out, sequence[0]);
    } else if (const uint32_t code_point = Decode(sequence); IsPrintable(code_point)) {
      out += sequence;
    } else {
      out += code_point > 0xffff ? "\\U" + Hex(code_point, 8) : "\\u" + Hex(code_point, 4);
    }
  }
  return out + '"';
}

std::string QuoteList(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) quoted.push_back(QuoteText(word));
  return "[" + Join(quoted, " ") + "]";
}

std::string PlainList(const std::vector<std::string>& words) {
  return "[" + Join(words, " ") + "]";
}

}  // namespace skiff::builder
