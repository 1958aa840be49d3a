#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>

#include "base/text.h"
#include "schema/load.h"
#include "schema/render/render.h"
#include "schema/tree.h"
#include "schema/yaml/parser.h"

namespace skiff::schema {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

// Texts that YAML 1.1 reads as a boolean, a base 60 number or a merge key.
bool IsOldSyntax(std::string_view text) {
  static constexpr std::string_view kOldBooleans[] = {"y",  "Y",   "yes", "Yes", "YES", "on",
                                                      "On", "ON",  "n",   "N",   "no",  "No",
                                                      "NO", "off", "Off", "OFF"};
  if (std::find(std::begin(kOldBooleans), std::end(kOldBooleans), text) != std::end(kOldBooleans)) {
    return true;
  }
  if (text == "<<") return true;
  // [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(.[0-9_]*)?
  size_t i = 0;
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  if (i >= text.size() || !IsDigit(text[i])) return false;
  while (i < text.size() && (IsDigit(text[i]) || text[i] == '_')) ++i;
  size_t groups = 0;
  while (i < text.size() && text[i] == ':') {
    ++i;
    size_t digits = 0;
    while (i < text.size() && IsDigit(text[i]) && digits < 2) {
      ++i;
      ++digits;
    }
    if (digits == 0 || (digits == 2 && text[i - 2] > '5')) return false;
    ++groups;
  }
  if (groups == 0) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    while (i < text.size() && (IsDigit(text[i]) || text[i] == '_')) ++i;
  }
  return i == text.size();
}

struct Traits {
  bool plain = true;   // May stand without quotes.
  bool single = true;  // May stand in single quotes.
  bool block = true;   // May be a block scalar.
};

// What the emitter of go-yaml allows for a text in block style.
Traits Analyse(std::string_view text) {
  Traits traits;
  if (text.empty()) return {true, true, false};
  bool special = false, tabs = false, breaks = false, break_space = false, space_break = false;
  bool previous_space = false, previous_break = false, blank_before = true;
  if (text.starts_with("---") || text.starts_with("...")) traits.plain = false;
  for (size_t i = 0; i < text.size();) {
    const size_t width = std::max<size_t>(1, Utf8SequenceLength(text.substr(i)));
    const char c = text[i];
    const size_t next = i + width;
    const bool blank_after =
        next >= text.size() || text[next] == ' ' || text[next] == '\t' || text[next] == '\n';
    if (i == 0 && std::string_view("#,[]{}&*!|>'\"%@`").find(c) != std::string_view::npos) {
      traits.plain = false;
    }
    if (i == 0 && (c == '?' || c == ':' || c == '-') && blank_after) traits.plain = false;
    if (i > 0 && c == ':' && blank_after) traits.plain = false;
    if (i > 0 && c == '#' && blank_before) traits.plain = false;
    const unsigned char u = static_cast<unsigned char>(c);
    const std::string_view rune = text.substr(i, width);
    if (c == '\t') {
      tabs = true;
    } else if ((u < 0x20 && c != '\n') || u == 0x7f || rune == "\xef\xbb\xbf" ||
               (width == 2 && u == 0xc2 && static_cast<unsigned char>(rune[1]) < 0xa0)) {
      special = true;
    } else if (width == 4) {
      special = true;  // The emitter's table of printable runes ends at U+FFFD.
    }
    if (c == ' ') {
      break_space = break_space || previous_break;
      previous_space = true;
      previous_break = false;
    } else if (c == '\n') {
      breaks = true;
      space_break = space_break || previous_space;
      previous_space = false;
      previous_break = true;
    } else {
      previous_space = previous_break = false;
    }
    blank_before = c == ' ' || c == '\t' || c == '\n';
    i = next;
  }
  const char first = text.front();
  const char last = text.back();
  if (first == ' ' || first == '\n' || last == ' ' || last == '\n') traits.plain = false;
  if (last == ' ') traits.block = false;
  if (break_space) traits.plain = traits.single = false;
  if (space_break || tabs || special) traits.plain = traits.single = false;
  if (space_break || special) traits.block = false;
  if (breaks) traits.plain = false;
  return traits;
}

// Writes a scalar that may continue on further lines: go-yaml breaks at a space behind column 80.
class FoldedText {
 public:
  // Without an indentation nothing is folded: keys stay on one line.
  FoldedText(size_t column, std::optional<size_t> indent) : column_(column), indent_(indent) {}

  void Put(std::string_view text) {
    out_ += text;
    for (const char c : text) column_ += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
    spaces_ = false;
  }
  // A space; `may_break` says whether the style allows a line to end here.
  void Space(bool may_break, std::string_view behind_break = "") {
    if (may_break && indent_ && !spaces_ && column_ > kWidth) {
      out_ += '\n';
      out_.append(*indent_, ' ');
      out_ += behind_break;
      column_ = *indent_ + behind_break.size();
    } else {
      out_ += ' ';
      ++column_;
    }
    spaces_ = true;
  }
  std::string Take() { return std::move(out_); }

 private:
  static constexpr size_t kWidth = 80;
  std::string out_;
  size_t column_;
  std::optional<size_t> indent_;
  bool spaces_ = false;
};

std::string EscapeInDoubleQuotes(char c) {
  static constexpr std::string_view kFrom = "\"\\\n\t\r\a\b\x1b\v\f";
  static constexpr std::string_view kTo = "\"\\ntrabevf";
  const size_t known = kFrom.find(c);
  if (known != std::string_view::npos) return std::string("\\") + kTo[known];
  if (c == '\0') return "\\0";
  const unsigned char u = static_cast<unsigned char>(c);
  if (u >= 0x20 && u != 0x7f) return std::string(1, c);
  char buffer[8];
  std::snprintf(buffer, sizeof buffer, "\\x%02X", u);
  return buffer;
}

// One character of several bytes: what the emitter does not count as printable is escaped.
std::string EscapeRune(std::string_view rune) {
  if (rune == "\xc2\x85") return "\\N";
  if (rune == "\xc2\xa0") return "\\_";
  if (rune == "\xef\xbb\xbf") return "\\uFEFF";
  if (rune.size() != 4) return std::string(rune);
  uint32_t value = static_cast<unsigned char>(rune[0]) & 0x07u;
  for (const char c : rune.substr(1)) value = value << 6 | (static_cast<unsigned char>(c) & 0x3fu);
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "\\U%08X", value);
  return buffer;
}

std::string DoubleQuoted(std::string_view text, FoldedText out) {
  out.Put("\"");
  for (size_t i = 0; i < text.size(); ++i) {
    const bool inside = i > 0 && i + 1 < text.size();
    const size_t width = Utf8SequenceLength(text.substr(i));
    if (width > 1) {
      out.Put(EscapeRune(text.substr(i, width)));
      i += width - 1;
    } else if (text[i] == ' ') {
      out.Space(inside, inside && text[i + 1] == ' ' ? "\\" : "");
    } else {
      out.Put(EscapeInDoubleQuotes(text[i]));
    }
  }
  out.Put("\"");
  return out.Take();
}

std::string SingleQuoted(std::string_view text, FoldedText out) {
  out.Put("'");
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') {
      out.Space(i > 0 && i + 1 < text.size() && text[i + 1] != ' ');
    } else {
      out.Put(text[i] == '\'' ? std::string_view("''") : text.substr(i, 1));
    }
  }
  out.Put("'");
  return out.Take();
}

std::string Plain(std::string_view text, FoldedText out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') {
      out.Space(i + 1 < text.size() && text[i + 1] != ' ');
    } else {
      out.Put(text.substr(i, 1));
    }
  }
  return out.Take();
}

// "2006-1-2", perhaps with a time: go-yaml quotes what it would read as one.
bool LooksLikeDate(std::string_view text) {
  if (text.size() < 8 || text[4] != '-') return false;
  for (size_t i = 0; i < 4; ++i) {
    if (!IsDigit(text[i])) return false;
  }
  size_t i = 5;
  for (const char end : {'-', '\0'}) {
    size_t digits = 0;
    while (i < text.size() && IsDigit(text[i]) && digits < 2) {
      ++i;
      ++digits;
    }
    if (digits == 0) return false;
    if (end == '-') {
      if (i >= text.size() || text[i] != '-') return false;
      ++i;
    }
  }
  return i == text.size() || text[i] == 'T' || text[i] == 't' || text[i] == ' ';
}

std::string Block(std::string_view text, size_t indent) {
  std::string out = "|";
  // Otherwise the first line that is not empty would tell the indentation.
  const size_t first = text.find_first_not_of('\n');
  if (first != std::string_view::npos && text[first] == ' ') out += '2';
  if (text.back() != '\n') {
    out += '-';
  } else if (text.size() == 1 || text[text.size() - 2] == '\n') {
    out += '+';
  }
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    out += '\n';
    if (end > begin) {
      out.append(indent, ' ');
      out += text.substr(begin, end - begin);
    }
    begin = end + 1;
  }
  return out;
}

// `column` is where the scalar begins; `indent` where further lines of it do, absent for a key.
std::string TextScalar(std::string_view text, size_t column, std::optional<size_t> indent) {
  const Traits traits = Analyse(text);
  const FoldedText out(column, indent);
  if (text.find('\n') != std::string_view::npos) {
    const bool blank = text.find_first_not_of(" \t\n\r") == std::string_view::npos;
    if (traits.block && indent && !blank) return Block(text, *indent);
    return DoubleQuoted(text, out);
  }
  if (text.empty() || !ResolvePlainScalar(text, {}).IsString() || LooksLikeDate(text)) {
    return DoubleQuoted(text, out);
  }
  if (IsOldSyntax(text)) return SingleQuoted(text, out);
  if (traits.plain) return Plain(text, out);
  return traits.single ? SingleQuoted(text, out) : DoubleQuoted(text, out);
}

constexpr size_t kMaximumSimpleKey = 128;  // Bytes; the reference's.

class YamlWriter {
 public:
  std::string Take() { return std::move(out_); }

  void Mapping(const Node& node, size_t indent, bool first_inline) {
    bool first = first_inline;
    for (const Entry* entry : Shown(node)) {
      if (!first) out_.append(indent, ' ');
      first = false;
      const std::string key = TextScalar(entry->key, indent, std::nullopt);
      if (entry->key.size() > kMaximumSimpleKey) {
        // YAML reads no longer key without being told that it is one.
        out_ += "? " + key + "\n";
        out_.append(indent, ' ');
      } else {
        out_ += key;
      }
      out_ += ':';
      Value(entry->value, indent + 2);
    }
  }

 private:
  static std::vector<const Entry*> Shown(const Node& node) {
    std::vector<const Entry*> entries;
    for (const Entry& entry : node.entries) {
      if (entry.value.output != Node::Output::kJsonOnly) entries.push_back(&entry);
    }
    if (node.IsMapping() && node.table) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const Entry* a, const Entry* b) { return NaturalLess(a->key, b->key); });
    }
    return entries;
  }

  // Behind "key:", ends with a line break.
  void Value(const Node& node, size_t indent) {
    if (node.IsScalar()) {
      out_ += ' ';
      out_ += Scalar(node, indent);
      out_ += '\n';
    } else if (Shown(node).empty()) {
      out_ += node.IsMapping() ? " {}\n" : " []\n";
    } else {
      out_ += '\n';
      if (node.IsMapping()) {
        Mapping(node, indent, false);
      } else {
        Sequence(node, indent, false);
      }
    }
  }

  void Sequence(const Node& node, size_t indent, bool first_inline) {
    bool first = first_inline;
    for (const Entry* entry : Shown(node)) {
      const Node& item = entry->value;
      if (!first) out_.append(indent, ' ');
      first = false;
      out_ += "- ";
      if (item.IsScalar()) {
        out_ += Scalar(item, indent + 2);
        out_ += '\n';
      } else if (Shown(item).empty()) {
        out_ += item.IsMapping() ? "{}\n" : "[]\n";
      } else if (item.IsMapping()) {
        Mapping(item, indent + 2, true);
      } else {
        Sequence(item, indent + 2, true);
      }
    }
  }

  std::string Scalar(const Node& node, size_t indent) const {
    switch (node.kind) {
      case Node::Kind::kString:
        return TextScalar(node.text, Column(), indent);
      default: {
        std::string text;
        AppendJsonScalar(text, node);
        return text;
      }
    }
  }

  // Characters of the line so far.
  size_t Column() const {
    size_t column = 0;
    for (size_t i = out_.size(); i > 0 && out_[i - 1] != '\n'; --i) {
      column += (static_cast<unsigned char>(out_[i - 1]) & 0xc0) != 0x80 ? 1 : 0;
    }
    return column;
  }

  std::string out_;
};

}  // namespace

bool NaturalLess(const std::string& a, const std::string& b) {
  bool digits = false;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (a[i] == b[i]) {
      digits = IsDigit(a[i]);
      continue;
    }
    const bool al = IsLetter(a[i]);
    const bool bl = IsLetter(b[i]);
    if (al && bl) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
    if (al || bl) return digits ? al : bl;
    int64_t an = 0, bn = 0;
    if (a[i] == '0' || b[i] == '0') {
      for (size_t j = i; j > 0 && IsDigit(a[j - 1]); --j) {
        if (a[j - 1] != '0') {
          an = bn = 1;
          break;
        }
      }
    }
    size_t ai = i, bi = i;
    for (; ai < a.size() && IsDigit(a[ai]) && an < INT64_MAX / 20; ++ai)
      an = an * 10 + (a[ai] - '0');
    for (; bi < b.size() && IsDigit(b[bi]) && bn < INT64_MAX / 20; ++bi)
      bn = bn * 10 + (b[bi] - '0');
    if (an != bn) return an < bn;
    if (ai != bi) return ai < bi;
    return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
  }
  return a.size() < b.size();
}

std::string RenderYaml(const Node& tree) {
  if (tree.entries.empty()) return "{}\n";
  YamlWriter writer;
  writer.Mapping(tree, 0, false);
  std::string out = writer.Take();
  return tree.literal ? out : EscapeDollars(std::move(out));
}

}  // namespace skiff::schema
