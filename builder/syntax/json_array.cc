#include <string_view>

#include "base/text.h"
#include "builder/syntax/characters.h"
#include "builder/syntax/words.h"

namespace skiff::builder {
namespace {

constexpr int kMaximumDepth = 1000;

void AppendUtf8(std::string& out, uint32_t code_point) {
  const auto add = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xc0 | code_point >> 6);
    add(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    add(0xe0 | code_point >> 12);
    add(0x80 | (code_point >> 6 & 0x3f));
    add(0x80 | (code_point & 0x3f));
  } else {
    add(0xf0 | code_point >> 18);
    add(0x80 | (code_point >> 12 & 0x3f));
    add(0x80 | (code_point >> 6 & 0x3f));
    add(0x80 | (code_point & 0x3f));
  }
}

// RFC 8259, but only strings are kept. Invalid UTF-8 becomes U+FFFD, as in Go's decoder.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void SkipBlanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool Take(char c) {
    if (Peek() != c || AtEnd()) return false;
    ++at_;
    return true;
  }
  size_t at() const { return at_; }

  bool String(std::string& out);
  bool Value(int depth);

 private:
  bool Escape(std::string& out);
  bool Hex4(uint32_t& out);
  bool Number();
  bool Digits();
  bool Literal(std::string_view word);
  bool Container(char close, bool keys, int depth);

  std::string_view text_;
  size_t at_ = 0;
};

bool Scanner::String(std::string& out) {
  if (!Take('"')) return false;
  while (!AtEnd()) {
    const char c = text_[at_];
    if (c == '"') return Take('"');
    if (static_cast<unsigned char>(c) < 0x20) return false;
    if (c == '\\') {
      ++at_;
      if (!Escape(out)) return false;
      continue;
    }
    const size_t length = Utf8SequenceLength(text_.substr(at_));
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++at_;
    } else {
      out += text_.substr(at_, length);
      at_ += length;
    }
  }
  return false;
}

bool Scanner::Hex4(uint32_t& out) {
  if (at_ + 4 > text_.size()) return false;
  const auto value = ParseNumber<uint32_t>(text_.substr(at_, 4), 16);
  if (!value || text_[at_] == '-' || text_[at_] == '+') return false;
  out = *value;
  at_ += 4;
  return true;
}

bool Scanner::Escape(std::string& out) {
  static constexpr std::string_view kFrom = "\"\\/bfnrt";
  static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
  if (AtEnd()) return false;
  const char c = text_[at_++];
  if (c != 'u') {
    const size_t index = kFrom.find(c);
    if (index == std::string_view::npos) return false;
    out += kTo[index];
    return true;
  }
  uint32_t unit = 0;
  if (!Hex4(unit)) return false;
  if (unit >= 0xd800 && unit < 0xdc00 && text_.substr(at_).starts_with("\\u")) {
    const size_t before = at_;
    at_ += 2;
    uint32_t low = 0;
    if (!Hex4(low)) return false;
    if (low >= 0xdc00 && low < 0xe000) {
      AppendUtf8(out, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
      return true;
    }
    at_ = before;
  }
  AppendUtf8(out, unit >= 0xd800 && unit < 0xe000 ? 0xfffd : unit);
  return true;
}

bool Scanner::Digits() {
  const size_t begin = at_;
  while (Peek() >= '0' && Peek() <= '9') ++at_;
  return at_ > begin;
}

bool Scanner::Number() {
  Take('-');
  if (!Take('0') && !Digits()) return false;
  if (Take('.') && !Digits()) return false;
  if (Take('e') || Take('E')) {
    if (!Take('+')) Take('-');
    return Digits();
  }
  return true;
}

bool Scanner::Literal(std::string_view word) {
  if (!text_.substr(at_).starts_with(word)) return false;
  at_ += word.size();
  return true;
}

// The inside of an array or object, whose opening bracket has been read.
bool Scanner::Container(char close, bool keys, int depth) {
  SkipBlanks();
  if (Take(close)) return true;
  do {
    SkipBlanks();
    std::string key;
    if (keys) {
      if (!String(key)) return false;
      SkipBlanks();
      if (!Take(':')) return false;
    }
    if (!Value(depth + 1)) return false;
    SkipBlanks();
  } while (Take(','));
  return Take(close);
}

bool Scanner::Value(int depth) {
  if (depth > kMaximumDepth) return false;
  SkipBlanks();
  std::string unused;
  switch (Peek()) {
    case '"':
      return String(unused);
    case '[':
      return Take('[') && Container(']', false, depth);
    case '{':
      return Take('{') && Container('}', true, depth);
    case 't':
      return Literal("true");
    case 'f':
      return Literal("false");
    case 'n':
      return Literal("null");
    default:
      return Number();
  }
}

// The elements of a well-formed array; false when it is not one.
bool Elements(Scanner& scanner, Piece piece, JsonArray& array) {
  array.words.emplace();
  if (scanner.Take(']')) return true;
  do {
    scanner.SkipBlanks();
    const size_t begin = scanner.at();
    Word word;
    if (scanner.Peek() == '"') {
      if (!scanner.String(word.text)) return false;
    } else {
      if (!scanner.Value(1)) return false;
      array.not_strings = true;
    }
    word.span = piece.line->Span(piece.begin + begin, piece.begin + scanner.at());
    array.words->push_back(std::move(word));
    scanner.SkipBlanks();
  } while (scanner.Take(','));
  return scanner.Take(']');
}

}  // namespace

JsonArray ParseJsonArray(Piece piece) {
  piece = TrimSpace(piece);
  JsonArray array;
  Scanner scanner(piece.text());
  if (!scanner.Take('[')) return array;
  scanner.SkipBlanks();
  const bool well_formed = Elements(scanner, piece, array);
  scanner.SkipBlanks();
  if (!well_formed || !scanner.AtEnd()) return {};
  return array;
}

}  // namespace skiff::builder
