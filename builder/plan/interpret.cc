#include "builder/plan/interpret.h"

#include <algorithm>

#include "base/text.h"
#include "builder/plan/paths.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kUnixPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// Arguments that tell an attestation what to look at; they are not variables of RUN.
constexpr std::string_view kNoVariables[] = {"BUILDKIT_SBOM_SCAN_CONTEXT",
                                             "BUILDKIT_SBOM_SCAN_STAGE"};

bool IsNoVariable(std::string_view name) {
  return std::ranges::find(kNoVariables, name) != std::end(kNoVariables);
}

std::string_view NameOf(const std::string& entry) {
  return std::string_view(entry).substr(0, entry.find('='));
}

}  // namespace

void InheritFromBase(StageState& state) {
  const StageState* base = state.base;
  if (base == nullptr) return;
  state.image = base->image;
  state.image.config.on_build.clear();
  state.platform = base->platform;
  state.variables = base->variables;
  state.user = base->user;
  state.workdir_set = base->workdir_set;
  state.build_args = base->build_args;
}

void Interpreter::Prepare() {
  InheritFromBase(state_);
  if (!state_.platform) state_.platform = planner_.target_platform();
  std::vector<std::string>& environment = state_.image.config.environment;
  const bool has_path = std::ranges::any_of(
      environment, [](const std::string& entry) { return NameOf(entry) == "PATH"; });
  if (!has_path && os() != "windows") environment.push_back("PATH=" + std::string(kUnixPath));
  for (const std::string& entry : environment) {
    const std::string_view name = NameOf(entry);
    const bool has_value = name.size() < entry.size();
    state_.variables.Set(name, has_value ? entry.substr(name.size() + 1) : "");
  }
  state_.user = config().user;
}

Status Interpreter::Run() {
  Prepare();
  if (!config().working_dir.empty()) {
    auto path = AbsolutePath("", config().working_dir, os(), false);
    if (!path) return Fail(Placed(std::move(path.error()), state_.span));
    state_.image.config.working_dir = *path;
  }
  if (state_.base == nullptr && std::holds_alternative<ImageSource>(state_.source)) {
    ++state_.step_index;  // "[build 1/3] FROM ..."
  }
  for (const Command& command : state_.commands) {
    Status applied = Apply(command);
    if (!applied) return Fail(Placed(std::move(applied.error()), command.instruction->span));
  }
  state_.dispatched = true;
  return {};
}

Status Interpreter::Apply(const Command& command) {
  command_ = &command;
  instruction_ = command.instruction;
  return std::visit([&](const auto& body) { return Handle(body); }, instruction_->body);
}

void Interpreter::Report(LintRule rule, std::string message) {
  planner_.linter().Report(rule, *instruction_, std::move(message));
}

void Interpreter::LintUnset(const std::vector<std::string>& unset) {
  for (const std::string& name : unset) {
    const bool declared =
        std::ranges::any_of(state_.build_args, [&](const auto& arg) { return arg.first == name; });
    if (declared || IsNoVariable(name)) continue;
    std::string near = Suggestion(name, state_.variables.Names());
    if (const size_t word = near.find("mean "); word != std::string::npos) {
      near.insert(word + std::string_view("mean ").size(), "$");
    }
    Report(LintRule::kUndefinedVar, "Usage of undefined variable '$" + name + "'" + near);
  }
}

Result<std::string> Interpreter::Value(const Word& word) {
  auto expansion = Expand(word.text, state_.variables, {.escape = planner_.file().escape});
  if (!expansion) return Fail(Placed(std::move(expansion.error()), word.span));
  LintUnset(expansion->unset);
  return std::move(expansion->text);
}

Result<std::vector<KeyValue>> Interpreter::Pairs(const std::vector<KeyValue>& pairs) {
  std::vector<KeyValue> expanded = pairs;
  for (KeyValue& pair : expanded) {
    SKIFF_ASSIGN(pair.key.text, Value(pair.key));
    SKIFF_ASSIGN(pair.value.text, Value(pair.value));
  }
  return expanded;
}

void Interpreter::History(std::string created_by, bool empty_layer) {
  state_.image.history.push_back(
      {std::move(created_by), empty_layer, std::string(kHistoryComment), "", 0});
}

std::string Interpreter::Title(const std::string& text) {
  if (state_.step_total == 0) return text;
  ++state_.step_index;
  const std::string total = std::to_string(state_.step_total);
  std::string number = std::to_string(state_.step_index);
  number.insert(0, total.size() - std::min(total.size(), number.size()), ' ');
  return "[" + (state_.title.empty() ? "" : state_.title + " ") + number + "/" + total + "] " +
         (command_->is_trigger ? "ONBUILD " : "") + text;
}

Status Interpreter::Handle(const EnvInstruction& env) {
  SKIFF_ASSIGN(const auto pairs, Pairs(env.pairs));
  std::string text = "ENV";
  for (const KeyValue& pair : pairs) {
    const std::string& name = pair.key.text;
    if (pair.legacy) {
      Report(LintRule::kLegacyKeyValueFormat,
             "\"" + instruction_->keyword.text +
                 " key=value\" should be used instead of legacy \"" + instruction_->keyword.text +
                 " key value\" format");
    }
    if (IsSecretName(name)) {
      Report(LintRule::kSecretsUsedInArgOrEnv,
             "Do not use ARG or ENV instructions for sensitive data (ENV \"" + name + "\")");
    }
    const std::string entry = name + "=" + pair.value.text;
    text += " " + entry;
    state_.variables.Set(name, pair.value.text);
    auto& environment = state_.image.config.environment;
    const auto same = std::ranges::find_if(
        environment, [&](const std::string& other) { return NameOf(other) == NameOf(entry); });
    if (same != environment.end())
      *same = entry;
    else
      environment.push_back(entry);
  }
  History(text, true);
  return {};
}

Status Interpreter::Handle(const LabelInstruction& label) {
  SKIFF_ASSIGN(const auto pairs, Pairs(label.pairs));
  std::string text = "LABEL";
  for (const KeyValue& pair : pairs) {
    if (pair.legacy) {
      Report(LintRule::kLegacyKeyValueFormat,
             "\"" + instruction_->keyword.text +
                 " key=value\" should be used instead of legacy \"" + instruction_->keyword.text +
                 " key value\" format");
    }
    state_.image.config.labels[pair.key.text] = pair.value.text;
    text += " " + pair.key.text + "=" + pair.value.text;
  }
  History(text, true);
  return {};
}

Status Interpreter::Handle(const ArgInstruction& arg) {
  std::string text = "ARG";
  for (const ArgDefinition& definition : arg.definitions) {
    const std::string& name = definition.name.text;
    if (IsSecretName(name)) {
      Report(LintRule::kSecretsUsedInArgOrEnv,
             "Do not use ARG or ENV instructions for sensitive data (ARG \"" + name + "\")");
    }
    std::optional<std::string> value;
    const auto given = planner_.options().arguments.find(name);
    const std::string* global = planner_.global_arguments().Find(name);
    const bool was_given = given != planner_.options().arguments.end();
    const bool is_global = !was_given && !definition.value && global != nullptr;
    if (was_given) {
      value = given->second;
    } else if (definition.value) {
      SKIFF_ASSIGN(value, Value(*definition.value));
    } else if (is_global) {
      value = *global;
    }
    if (value && !IsNoVariable(name)) state_.variables.Set(name, *value);
    if (!is_global) {
      state_.notes.args[name] = {
          value.value_or(""), definition.description, instruction_->lines, {}};
    }
    state_.notes.used.insert(name);
    state_.build_args.emplace_back(name, value.value_or(""));
    text += " " + name + (value ? "=" + *value : "");
  }
  History(text, true);
  return {};
}

}  // namespace skiff::builder
