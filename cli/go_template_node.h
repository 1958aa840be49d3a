#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/go_template.h"

// The tree between the parser and the evaluator of templates. Private to go_template*.cc.
namespace skiff::cli {

struct Pipeline;

struct Term {
  enum class Kind { kDot, kRoot, kVariable, kLiteral, kFunction, kParentheses };
  Kind kind = Kind::kDot;
  std::string name;  // Of a function or variable.
  nlohmann::ordered_json literal;
  std::unique_ptr<Pipeline> inner;
  std::vector<std::string> fields;  // .A.B behind it.
};

// A term with arguments: `printf "%s" .Name`.
struct Call {
  std::vector<Term> terms;
};

struct Pipeline {
  std::vector<std::string> variables;  // $k, $v := ...
  bool assign = false;                 // = instead of :=
  std::vector<Call> calls;
};

struct GoTemplate::Node {
  enum class Kind { kList, kText, kPipeline, kIf, kRange, kWith };
  Kind kind = Kind::kList;
  std::string text;
  Pipeline pipeline;
  std::vector<std::unique_ptr<Node>> body;
  std::vector<std::unique_ptr<Node>> otherwise;
};

Result<std::unique_ptr<GoTemplate::Node>> ParseTemplate(std::string_view text);
// A function of templates: its arguments, the piped value last.
Result<nlohmann::ordered_json> CallTemplateFunction(
    const std::string& name, const std::vector<nlohmann::ordered_json>& arguments);
bool IsTemplateFunction(std::string_view name);
bool TemplateTruth(const nlohmann::ordered_json& value);
// A value as Go prints it with %v.
std::string TemplateText(const nlohmann::ordered_json& value);

}  // namespace skiff::cli
