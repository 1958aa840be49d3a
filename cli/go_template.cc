#include "cli/go_template.h"

#include <fmt/format.h>

#include <array>
#include <map>

#include "base/diagnostic.h"
#include "cli/go_template_node.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;
using Node = GoTemplate::Node;

// Objects with these names are maps in Go: a key that is missing is no mistake of the template.
constexpr std::array<std::string_view, 14> kMaps = {
    "Labels", "Networks", "Ports",       "Options",      "Sysctls", "ExposedPorts", "Volumes",
    "Config", "Tmpfs",    "Annotations", "PortBindings", "Label",   "Containers",   "DriverOpts"};

class Evaluator {
 public:
  explicit Evaluator(const Json& data) : root_(data) {}

  Status Run(const std::vector<std::unique_ptr<Node>>& list, const Json& dot) {
    for (const auto& node : list) SKIFF_TRY(RunNode(*node, dot));
    return {};
  }
  std::string Take() { return std::move(out_); }

 private:
  using Variables = std::vector<std::pair<std::string, Json>>;

  Status RunNode(const Node& node, const Json& dot) {
    switch (node.kind) {
      case Node::Kind::kText:
        out_ += node.text;
        return {};
      case Node::Kind::kList:
        return Run(node.body, dot);
      case Node::Kind::kPipeline: {
        SKIFF_ASSIGN(const Json value, Value(node.pipeline, dot));
        if (node.pipeline.variables.empty()) out_ += TemplateText(value);
        return {};
      }
      case Node::Kind::kIf:
      case Node::Kind::kWith: {
        const size_t scope = variables_.size();
        SKIFF_ASSIGN(const Json value, Value(node.pipeline, dot));
        const bool truth = TemplateTruth(value);
        const Json& inner = truth && node.kind == Node::Kind::kWith ? value : dot;
        SKIFF_TRY(Run(truth ? node.body : node.otherwise, inner));
        variables_.resize(scope);
        return {};
      }
      case Node::Kind::kRange:
        return RunRange(node, dot);
    }
    return {};
  }

  Status RunRange(const Node& node, const Json& dot) {
    const size_t scope = variables_.size();
    Pipeline const& pipeline = node.pipeline;
    SKIFF_ASSIGN(const Json value, Calls(pipeline, dot));
    if (!TemplateTruth(value)) return Run(node.otherwise, dot);
    if (!value.is_structured()) {
      return Fail(Code::kInvalidArgument,
                  "template: range can't iterate over " + TemplateText(value));
    }
    // Go visits the keys of a map in order.
    std::map<std::string, const Json*> sorted;
    if (value.is_object()) {
      for (const auto& [key, item] : value.items()) sorted[key] = &item;
    }
    const auto visit = [&](Json key, const Json& item) -> Status {
      variables_.resize(scope);
      if (pipeline.variables.size() == 1) variables_.emplace_back(pipeline.variables[0], item);
      if (pipeline.variables.size() == 2) {
        variables_.emplace_back(pipeline.variables[0], std::move(key));
        variables_.emplace_back(pipeline.variables[1], item);
      }
      return Run(node.body, item);
    };
    for (const auto& [key, item] : sorted) SKIFF_TRY(visit(key, *item));
    if (value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) SKIFF_TRY(visit(i, value[i]));
    }
    variables_.resize(scope);
    return {};
  }

  Result<Json> Value(const Pipeline& pipeline, const Json& dot) {
    SKIFF_ASSIGN(Json value, Calls(pipeline, dot));
    for (const std::string& name : pipeline.variables) {
      if (!pipeline.assign || !Assign(name, value)) variables_.emplace_back(name, value);
    }
    return value;
  }

  bool Assign(const std::string& name, const Json& value) {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first != name) continue;
      it->second = value;
      return true;
    }
    return false;
  }

  Result<Json> Calls(const Pipeline& pipeline, const Json& dot) {
    Json value;
    for (size_t i = 0; i < pipeline.calls.size(); ++i) {
      SKIFF_ASSIGN(value, Evaluate(pipeline.calls[i], dot, i == 0 ? nullptr : &value));
    }
    return value;
  }

  Result<Json> Evaluate(const Call& call, const Json& dot, const Json* piped) {
    const Term& head = call.terms[0];
    std::vector<Json> arguments;
    for (size_t i = 1; i < call.terms.size(); ++i) {
      SKIFF_ASSIGN(Json argument, Operand(call.terms[i], dot));
      arguments.push_back(std::move(argument));
    }
    if (piped != nullptr) arguments.push_back(*piped);
    if (head.kind == Term::Kind::kFunction) return CallTemplateFunction(head.name, arguments);
    SKIFF_ASSIGN(Json value, Operand(head, dot));
    if (arguments.empty()) return value;
    // A method with an argument: {{.Label "key"}}.
    if (value.is_object() && arguments.size() == 1 && arguments[0].is_string()) {
      const auto found = value.find(arguments[0].get<std::string>());
      return found == value.end() ? Json("") : *found;
    }
    return Fail(Code::kInvalidArgument, "template: can't give argument to a value");
  }

  Result<Json> Operand(const Term& term, const Json& dot) {
    switch (term.kind) {
      case Term::Kind::kDot:
        return Fields(dot, term.fields);
      case Term::Kind::kRoot:
        return Fields(root_, term.fields);
      case Term::Kind::kLiteral:
        return term.literal;
      case Term::Kind::kFunction:
        return CallTemplateFunction(term.name, {});
      case Term::Kind::kParentheses: {
        SKIFF_ASSIGN(const Json value, Calls(*term.inner, dot));
        return Fields(value, term.fields);
      }
      case Term::Kind::kVariable:
        for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
          if (it->first == term.name) return Fields(it->second, term.fields);
        }
        return Fail(Code::kInvalidArgument,
                    fmt::format("template parsing error: undefined variable \"{}\"", term.name));
    }
    return Json();
  }

  static Result<Json> Fields(const Json& value, const std::vector<std::string>& fields) {
    const Json* at = &value;
    std::string_view parent;
    for (const std::string& field : fields) {
      const bool map = std::find(kMaps.begin(), kMaps.end(), parent) != kMaps.end();
      parent = field;
      if (at->is_null()) {
        return Fail(Code::kInvalidArgument,
                    fmt::format("template: nil value has no field {}", field));
      }
      if (!at->is_object()) return Fail(NoField(Json::object(), field));
      const auto found = at->find(field);
      if (found == at->end()) {
        if (map) return Json();
        return Fail(NoField(*at, field));
      }
      at = &*found;
    }
    return *at;
  }

  static Error NoField(const Json& object, const std::string& field) {
    Error error(Code::kInvalidArgument, fmt::format("template: can't evaluate field {}", field));
    std::vector<std::string_view> names;
    std::vector<std::string> keys;
    for (const auto& [key, ignored] : object.items()) keys.push_back(key);
    names.assign(keys.begin(), keys.end());
    const std::string nearest = DidYouMean(field, names);
    if (nearest.empty()) return error;
    return std::move(error).With(fmt::format("did you mean .{}?", nearest));
  }

  const Json& root_;
  Variables variables_;
  std::string out_;
};

}  // namespace

GoTemplate::GoTemplate(std::unique_ptr<Node> root) : root_(std::move(root)) {}
GoTemplate::~GoTemplate() = default;
GoTemplate::GoTemplate(GoTemplate&&) noexcept = default;
GoTemplate& GoTemplate::operator=(GoTemplate&&) noexcept = default;

Result<GoTemplate> GoTemplate::Parse(std::string_view text) {
  SKIFF_ASSIGN(std::unique_ptr<Node> root, ParseTemplate(text));
  return GoTemplate(std::move(root));
}

Result<std::string> GoTemplate::Execute(const Json& data) const {
  Evaluator evaluator(data);
  SKIFF_TRY(evaluator.Run(root_->body, data));
  return evaluator.Take();
}

std::string UnescapeFormat(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    if (escape && (text[i + 1] == 't' || text[i + 1] == 'n')) {
      out += text[++i] == 't' ? '\t' : '\n';
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace skiff::cli
