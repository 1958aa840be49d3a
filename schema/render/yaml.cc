#include <algorithm>
#include <cstdint>
#include <cstdio>

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

std::string DoubleQuoted(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char u = static_cast<unsigned char>(text[i]);
    switch (text[i]) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\0':
        out += "\\0";
        break;
      case '\a':
        out += "\\a";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\x1b':
        out += "\\e";
        break;
      case '\v':
        out += "\\v";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (u < 0x20 || u == 0x7f) {
          char buffer[8];
          std::snprintf(buffer, sizeof buffer, "\\x%02X", u);
          out += buffer;
        } else {
          out += text[i];
        }
    }
  }
  return out + '"';
}

std::string SingleQuoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + "'";
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
  const bool leading = !text.empty() && (text.front() == ' ' || text.front() == '\n');
  if (leading) out += "2";
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

std::string TextScalar(std::string_view text, size_t indent, bool key) {
  const Traits traits = Analyse(text);
  const bool multiline = text.find('\n') != std::string_view::npos;
  if (multiline) {
    const bool blank = text.find_first_not_of(" \t\n\r") == std::string_view::npos;
    if (traits.block && !key && !blank) return Block(text, indent);
    return DoubleQuoted(text);
  }
  if (text.empty() || !ResolvePlainScalar(text, {}).IsString() || LooksLikeDate(text)) {
    return DoubleQuoted(text);
  }
  if (IsOldSyntax(text)) return SingleQuoted(text);
  if (traits.plain) return std::string(text);
  return traits.single ? SingleQuoted(text) : DoubleQuoted(text);
}

class YamlWriter {
 public:
  std::string Take() { return std::move(out_); }

  void Mapping(const Node& node, size_t indent, bool first_inline) {
    bool first = first_inline;
    for (const Entry* entry : Shown(node)) {
      if (!first) out_.append(indent, ' ');
      first = false;
      out_ += TextScalar(entry->key, indent, true);
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
        out_ += Scalar(item, indent + 2) + "\n";
      } else if (Shown(item).empty()) {
        out_ += item.IsMapping() ? "{}\n" : "[]\n";
      } else if (item.IsMapping()) {
        Mapping(item, indent + 2, true);
      } else {
        Sequence(item, indent + 2, true);
      }
    }
  }

  static std::string Scalar(const Node& node, size_t indent) {
    switch (node.kind) {
      case Node::Kind::kString:
        return TextScalar(node.text, indent, false);
      default: {
        std::string text;
        AppendJsonScalar(text, node);
        return text;
      }
    }
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
  const std::string out = writer.Take();
  return tree.literal ? out : EscapeDollars(out);
}

}  // namespace skiff::schema
