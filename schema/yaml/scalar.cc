#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/text.h"
#include "schema/yaml/parser.h"

namespace skiff::schema {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

struct Word {
  std::string_view text;
  Node::Kind kind;
  double value;
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Word kWords[] = {
    {"true", Node::Kind::kBool, 1},
    {"True", Node::Kind::kBool, 1},
    {"TRUE", Node::Kind::kBool, 1},
    {"false", Node::Kind::kBool, 0},
    {"False", Node::Kind::kBool, 0},
    {"FALSE", Node::Kind::kBool, 0},
    {"", Node::Kind::kNull, 0},
    {"~", Node::Kind::kNull, 0},
    {"null", Node::Kind::kNull, 0},
    {"Null", Node::Kind::kNull, 0},
    {"NULL", Node::Kind::kNull, 0},
    {".nan", Node::Kind::kFloat, NAN},
    {".NaN", Node::Kind::kFloat, NAN},
    {".NAN", Node::Kind::kFloat, NAN},
    {".inf", Node::Kind::kFloat, kInfinity},
    {".Inf", Node::Kind::kFloat, kInfinity},
    {".INF", Node::Kind::kFloat, kInfinity},
    {"+.inf", Node::Kind::kFloat, kInfinity},
    {"+.Inf", Node::Kind::kFloat, kInfinity},
    {"+.INF", Node::Kind::kFloat, kInfinity},
    {"-.inf", Node::Kind::kFloat, -kInfinity},
    {"-.Inf", Node::Kind::kFloat, -kInfinity},
    {"-.INF", Node::Kind::kFloat, -kInfinity},
    {"-0", Node::Kind::kFloat, -0.0},
    {"-0.0", Node::Kind::kFloat, -0.0},
};

// Go's strconv.ParseInt with base 0, without underscores: 0x, 0o, 0b and a leading 0 for octal.
std::optional<int64_t> ParseGoInteger(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int radix = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    if (kind == 'x' || kind == 'o' || kind == 'b') {
      radix = kind == 'x' ? 16 : kind == 'o' ? 8 : 2;
      text.remove_prefix(2);
    } else {
      radix = 8;
      text.remove_prefix(1);
    }
  }
  if (text.empty() || text[0] == '-' || text[0] == '+') return std::nullopt;
  const auto magnitude = ParseNumber<uint64_t>(text, radix);
  if (!magnitude) return std::nullopt;
  constexpr uint64_t kTop = uint64_t{1} << 63;
  if (negative && *magnitude <= kTop) return static_cast<int64_t>(~*magnitude + 1);
  if (!negative && *magnitude < kTop) return static_cast<int64_t>(*magnitude);
  return std::nullopt;
}

// [-+]? ( . digits | digits [. digits*] ) [ e [-+]? digits ]
bool LooksLikeFloat(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    return i - begin;
  };
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
  const size_t whole = digits();
  size_t fraction = 0;
  if (i < text.size() && text[i] == '.') {
    ++i;
    fraction = digits();
  }
  if (whole == 0 && fraction == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

Node WithText(Node node, std::string_view text) {
  node.text = std::string(text);
  return node;
}

}  // namespace

Node ResolvePlainScalar(std::string_view text, SourceSpan where) {
  for (const Word& word : kWords) {
    if (word.text != text) continue;
    if (word.kind == Node::Kind::kNull) return Node::Null(where);
    if (word.kind == Node::Kind::kBool) return WithText(Node::Bool(word.value != 0, where), text);
    return WithText(Node::Float(word.value, where), text);
  }
  const char first = text.front();
  if (!IsDigit(first) && first != '+' && first != '-' && first != '.') {
    return Node::String(std::string(text), where);
  }
  std::string plain(text);
  if (first != '.') std::erase(plain, '_');
  if (first != '.') {
    if (const auto integer = ParseGoInteger(plain)) {
      return WithText(Node::Int(*integer, where), text);
    }
  }
  if (const auto large = ParseNumber<uint64_t>(plain)) {
    Node node = WithText(Node::Int(static_cast<int64_t>(*large), where), text);
    node.is_unsigned = true;
    return node;
  }
  if (LooksLikeFloat(plain)) {
    const double number = std::strtod(plain.c_str(), nullptr);
    if (!std::isinf(number)) return WithText(Node::Float(number, where), text);
  }
  return Node::String(std::string(text), where);
}

namespace {

// Skips "!tag" and "&anchor" with the white space and comments behind them.
uint32_t SkipProperties(std::string_view text, uint32_t offset) {
  while (offset < text.size() && (text[offset] == '!' || text[offset] == '&')) {
    while (offset < text.size() &&
           std::string_view(" \t\r\n").find(text[offset]) == std::string_view::npos) {
      ++offset;
    }
    while (offset < text.size()) {
      if (text[offset] == '#') {
        while (offset < text.size() && text[offset] != '\n') ++offset;
      } else if (std::string_view(" \t\r\n").find(text[offset]) != std::string_view::npos) {
        ++offset;
      } else {
        break;
      }
    }
  }
  return offset;
}

}  // namespace

std::optional<ScalarExtent> MeasureScalar(std::string_view text, uint32_t offset, bool plain,
                                          std::string_view value) {
  ScalarExtent extent;
  extent.offset = plain && (text[offset] == '!' || text[offset] == '&')
                      ? SkipProperties(text, offset)
                      : (plain ? offset : SkipProperties(text, offset));
  const std::string_view rest = text.substr(extent.offset);
  if (rest.empty()) return extent;
  const char quote = rest[0];
  if (!plain && (quote == '"' || quote == '\'')) {
    size_t i = 1;
    bool escaped = false;
    for (; i < rest.size(); ++i) {
      if (quote == '"' && rest[i] == '\\') {
        escaped = true;
        ++i;
      } else if (rest[i] == quote) {
        if (quote == '\'' && i + 1 < rest.size() && rest[i + 1] == quote) {
          escaped = true;
          ++i;
        } else {
          break;
        }
      }
    }
    if (i >= rest.size()) return std::nullopt;
    extent.length = static_cast<uint32_t>(i + 1);
    extent.literal = !escaped && rest.substr(1, i - 1) == value;
    // The place of the value is inside the quotes, so that parts of it can be pointed at.
    if (extent.literal && i > 1) {
      extent.offset += 1;
      extent.length -= 2;
    }
    return extent;
  }
  if (rest.substr(0, value.size()) == value) {
    extent.length = static_cast<uint32_t>(value.size());
    extent.literal = plain;
    return extent;
  }
  // A plain scalar of several lines, or a block scalar: the place is its first line.
  size_t end = rest.find('\n');
  if (end == std::string_view::npos) end = rest.size();
  while (end > 0 && (rest[end - 1] == '\r' || rest[end - 1] == ' ')) --end;
  extent.length = static_cast<uint32_t>(end);
  return extent;
}

}  // namespace skiff::schema
