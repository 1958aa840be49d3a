#include "schema/text/template.h"

#include <algorithm>

namespace skiff::schema {
namespace {

bool IsNameStart(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsNameChar(char c) {
  return IsNameStart(c) || (c >= '0' && c <= '9');
}

size_t NameLength(std::string_view text) {
  if (text.empty() || !IsNameStart(text[0])) return 0;
  size_t length = 1;
  while (length < text.size() && IsNameChar(text[length])) ++length;
  return length;
}

// What follows the name inside the braces.
struct Braced {
  std::string_view name;
  std::string_view operation;  // "", ":-", "-", ":?", "?", ":+", "+".
  std::string_view operand;
  size_t operand_offset = 0;  // From the '$'.
  size_t length = 0;          // From the '$' to behind the closing brace.
};

// Index of the brace that closes the one at 1, on the same line. Where braces do not balance the
// last one of the line closes, as for the reference's greedy pattern.
size_t ClosingBrace(std::string_view text) {
  const size_t end = std::min(text.find('\n'), text.size());
  int open = 0;
  for (size_t i = 1; i < end; ++i) {
    if (text[i] == '{') ++open;
    if (text[i] == '}' && --open == 0) return i;
  }
  const size_t last = text.substr(0, end).rfind('}');
  return last == std::string_view::npos || last < 2 ? std::string_view::npos : last;
}

// `text` begins with "${".
std::optional<Braced> ParseBraced(std::string_view text) {
  Braced braced;
  const size_t name = NameLength(text.substr(2));
  if (name == 0) return std::nullopt;
  braced.name = text.substr(2, name);
  size_t i = 2 + name;
  if (i < text.size() && text[i] == '}') {
    braced.length = i + 1;
    return braced;
  }
  const size_t operation = i;
  if (i < text.size() && text[i] == ':') ++i;
  if (i >= text.size() || std::string_view("-+?").find(text[i]) == std::string_view::npos) {
    return std::nullopt;
  }
  ++i;
  const size_t close = ClosingBrace(text);
  if (close == std::string_view::npos || close < i) return std::nullopt;
  braced.operation = text.substr(operation, i - operation);
  braced.operand = text.substr(i, close - i);
  braced.operand_offset = i;
  braced.length = close + 1;
  return braced;
}

class Substituter {
 public:
  Substituter(const Lookup& lookup, Substitution& result, size_t limit)
      : lookup_(lookup), result_(result), left_(limit) {}

  std::string Run(std::string_view text, size_t base) {
    std::string out;
    size_t i = 0;
    while (i < text.size()) {
      const size_t dollar = text.find('$', i);
      if (dollar == std::string_view::npos) {
        out += text.substr(i);
        break;
      }
      out += text.substr(i, dollar - i);
      i = dollar + Dollar(text.substr(dollar), base + dollar, out);
    }
    return out;
  }

 private:
  // `text` begins with '$'; appends its value and returns how much of it was read.
  size_t Dollar(std::string_view text, size_t place, std::string& out) {
    if (text.size() > 1 && text[1] == '$') {
      out += '$';
      return 2;
    }
    if (const size_t name = NameLength(text.substr(1))) {
      out += Value(text.substr(1, name), place, name + 1);
      return name + 1;
    }
    if (text.size() < 2 || text[1] != '{') {
      out += '$';
      return 1;
    }
    const auto braced = ParseBraced(text);
    if (!braced) {
      const size_t end = std::min(text.find_first_of("}\n"), text.size() - 1);
      const size_t length = text[end] == '\n' ? end : end + 1;
      Report(TemplateIssue::Kind::kInvalid, text.substr(0, length), "", place, length);
      return length;
    }
    out += Expand(*braced, place);
    return braced->length;
  }

  // Of a variable; nothing more once there is too much.
  std::optional<std::string> LookUp(std::string_view name, size_t place, size_t length) {
    if (too_long_) return "";
    auto value = lookup_(name);
    if (value && value->size() > left_) {
      too_long_ = true;
      Report(TemplateIssue::Kind::kTooLong, name, "", place, length);
      return "";
    }
    if (value) left_ -= value->size();
    return value;
  }

  std::string Value(std::string_view name, size_t place, size_t length) {
    auto value = LookUp(name, place, length);
    if (!value) Report(TemplateIssue::Kind::kUnset, name, "", place, length);
    return value.value_or("");
  }

  std::string Expand(const Braced& braced, size_t place) {
    if (braced.operation.empty()) return Value(braced.name, place, braced.length);
    const auto value = LookUp(braced.name, place, braced.length);
    const bool empty_counts = braced.operation[0] != ':';
    const bool present = value.has_value() && (empty_counts || !value->empty());
    switch (braced.operation.back()) {
      case '-':
        return present ? *value : Run(braced.operand, place + braced.operand_offset);
      case '+':
        return present ? Run(braced.operand, place + braced.operand_offset) : "";
      default:
        if (present) return *value;
        Report(TemplateIssue::Kind::kRequired, braced.name,
               Run(braced.operand, place + braced.operand_offset), place, braced.length);
        return "";
    }
  }

  void Report(TemplateIssue::Kind kind, std::string_view name, std::string message, size_t offset,
              size_t length) {
    result_.issues.push_back({kind, std::string(name), std::move(message),
                              static_cast<uint32_t>(offset), static_cast<uint32_t>(length)});
  }

  const Lookup& lookup_;
  Substitution& result_;
  size_t left_;
  bool too_long_ = false;
};

void Extract(std::string_view text, std::vector<TemplateVariable>& variables) {
  size_t i = 0;
  while ((i = text.find('$', i)) != std::string_view::npos) {
    const std::string_view rest = text.substr(i);
    if (rest.size() > 1 && rest[1] == '$') {
      i += 2;
    } else if (const size_t name = NameLength(rest.substr(1))) {
      variables.push_back({std::string(rest.substr(1, name)), "", "", false});
      i += name + 1;
    } else if (rest.size() > 1 && rest[1] == '{') {
      const auto braced = ParseBraced(rest);
      if (!braced) {
        i += 2;
        continue;
      }
      TemplateVariable variable;
      variable.name = std::string(braced->name);
      const char operation = braced->operation.empty() ? ' ' : braced->operation.back();
      if (operation == '-') variable.default_value = std::string(braced->operand);
      if (operation == '+') variable.alternate_value = std::string(braced->operand);
      variable.required = operation == '?';
      variables.push_back(std::move(variable));
      Extract(braced->operand, variables);
      i += braced->length;
    } else {
      ++i;
    }
  }
}

}  // namespace

Substitution Substitute(std::string_view text, const Lookup& lookup, size_t limit) {
  Substitution result;
  if (text.find('$') == std::string_view::npos) {
    result.text = std::string(text);
    return result;
  }
  result.text = Substituter(lookup, result, limit).Run(text, 0);
  result.changed = result.text != text;
  return result;
}

std::vector<TemplateVariable> ExtractVariables(std::string_view text) {
  std::vector<TemplateVariable> variables;
  Extract(text, variables);
  return variables;
}

}  // namespace skiff::schema
