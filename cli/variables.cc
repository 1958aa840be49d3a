#include "cli/variables.h"

#include <cctype>
#include <nlohmann/json.hpp>

namespace skiff::cli {
namespace {

bool IsStart(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
}
bool IsPart(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

size_t NameLength(std::string_view text) {
  if (text.empty() || !IsStart(text[0])) return 0;
  size_t length = 1;
  while (length < text.size() && IsPart(text[length])) ++length;
  return length;
}

// Of the brace that closes the one before `at`, or the end of the text.
size_t ClosingBrace(std::string_view text, size_t at) {
  int depth = 1;
  for (; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  return at;
}

void CollectBraced(std::string_view inside, std::map<std::string, VariableUse>& variables) {
  const size_t length = NameLength(inside);
  if (length == 0) return;
  VariableUse& use = variables[std::string(inside.substr(0, length))];
  std::string_view rest = inside.substr(length);
  if (rest.starts_with(':')) rest.remove_prefix(1);
  if (rest.empty()) return;
  const std::string_view operand = rest.substr(1);
  if (rest[0] == '-') use.fallback = operand;
  if (rest[0] == '+') use.alternate = operand;
  if (rest[0] == '?') use.required = true;
  CollectVariables(operand, variables);
}

void CollectFrom(const nlohmann::ordered_json& value, std::map<std::string, VariableUse>& variables) {
  if (value.is_string()) CollectVariables(value.get_ref<const std::string&>(), variables);
  if (!value.is_structured()) return;
  for (const auto& item : value) CollectFrom(item, variables);
}

}  // namespace

void CollectVariables(std::string_view text, std::map<std::string, VariableUse>& variables) {
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] != '$') continue;
    if (text[i + 1] == '$') {
      ++i;
    } else if (text[i + 1] == '{') {
      const size_t end = ClosingBrace(text, i + 2);
      CollectBraced(text.substr(i + 2, end - i - 2), variables);
      i = end;
    } else if (const size_t length = NameLength(text.substr(i + 1)); length > 0) {
      variables[std::string(text.substr(i + 1, length))];
      i += length;
    }
  }
}

std::map<std::string, VariableUse> VariablesOf(const schema::Node& tree) {
  std::map<std::string, VariableUse> variables;
  CollectFrom(nlohmann::ordered_json::parse(schema::RenderJson(tree), nullptr, false), variables);
  return variables;
}

}  // namespace skiff::cli
