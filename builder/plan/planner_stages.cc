#include <algorithm>

#include "base/text.h"
#include "builder/expand.h"
#include "builder/plan/planner.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kScratch = "scratch";

bool MakesStep(const Instruction& instruction) {
  return std::holds_alternative<RunInstruction>(instruction.body) ||
         std::holds_alternative<CopyInstruction>(instruction.body) ||
         std::holds_alternative<WorkdirInstruction>(instruction.body);
}

}  // namespace

void StageState::DependOn(StageState* state) {
  if (std::ranges::find(dependencies, state) == dependencies.end()) dependencies.push_back(state);
}

StageState* Planner::FindByName(const std::string& name) {
  const auto found = by_name_.find(ToLower(name));
  return found == by_name_.end() ? nullptr : found->second;
}

StageState* Planner::Register(std::unique_ptr<StageState> state) {
  const auto base = by_name_.find(state->base_name);
  if (base != by_name_.end()) {
    state->base = base->second;
    state->notes = base->second->notes;
  }
  StageState* added = state.get();
  states_.push_back(std::move(state));
  if (!added->name.empty()) by_name_[added->name] = added;
  return added;
}

StageState* Planner::NewImage(const std::string& reference, const Instruction& instruction) {
  auto state = std::make_unique<StageState>();
  state->base_name = reference;
  state->span = instruction.span;
  state->lines = instruction.lines;
  return Register(std::move(state));
}

// UndefinedArgInFrom
void Planner::LintFromNames(const Stage& stage, const std::vector<std::string>& unset) {
  std::vector<std::string_view> known = global_.values.Names();
  for (const auto& [name, arg] : global_.declared) known.push_back(name);
  for (const std::string& name : unset) {
    if (std::ranges::find(known, name) != known.end()) continue;
    linter_.Report(LintRule::kUndefinedArgInFrom, stage.from,
                   "FROM argument '" + name + "' is not declared" + Suggestion(name, known));
  }
}

Status Planner::ReadPlatform(const Stage& stage, StageState& state,
                             std::vector<std::string>& used) {
  const Word& word = *stage.base().platform;
  auto expansion = Expand(word.text, global_.values, {.escape = file_.escape});
  if (!expansion) return Fail(Placed(std::move(expansion.error()), word.span));
  LintFromNames(stage, expansion->unset);
  const std::string& text = expansion->text;
  const bool constant = expansion->used.empty() && expansion->unset.empty();
  const bool only_target =
      expansion->used == std::vector<std::string>{"TARGETPLATFORM"} && expansion->unset.empty();
  if (only_target && text == *global_.values.Find("TARGETPLATFORM")) {
    linter_.Report(LintRule::kRedundantTargetPlatform, stage.from,
                   "Setting platform to predefined " + word.text +
                       " in FROM is redundant as this is the default behavior");
  }
  std::string hint;
  for (const std::string& name : expansion->unset) {
    hint = Suggestion(name, global_.values.Names());
    if (!hint.empty()) break;
  }
  if (text.empty()) {
    return Mistake("empty platform value from expression " + word.text + hint, word.span);
  }
  const auto platform = ParsePlatform(text);
  if (!platform) {
    return Mistake("failed to parse platform " + word.text + ": " + platform.error().message + hint,
                   word.span);
  }
  const std::string& name = stage.base().name.text;
  const bool named_for_it = name.find(platform->os) != std::string::npos ||
                            name.find(platform->architecture) != std::string::npos;
  if (constant && !named_for_it) {
    linter_.Report(LintRule::kFromPlatformFlagConstDisallowed, stage.from,
                   "FROM --platform flag should not use constant value \"" + text + "\"");
  }
  used.insert(used.end(), expansion->used.begin(), expansion->used.end());
  state.platform = *platform;
  return {};
}

Status Planner::AddStage(const Stage& stage) {
  const Word& image = stage.base().image;
  auto expansion = Expand(image.text, global_.values, {.escape = file_.escape});
  if (expansion) LintFromNames(stage, expansion->unset);
  if (!expansion) return Fail(Placed(std::move(expansion.error()), image.span));
  if (expansion->text.empty()) {
    return Mistake("base name (" + image.text + ") should not be blank", image.span);
  }
  auto state = std::make_unique<StageState>();
  state->stage = &stage;
  state->index = states_.size();
  state->name = stage.base().name.text;
  state->title = state->name.empty() ? "stage-" + std::to_string(state->index) : state->name;
  state->base_name = expansion->text;
  state->span = stage.from.span;
  state->lines = stage.from.lines;
  state->notes.args = global_.declared;
  if (stage.base().platform) SKIFF_TRY(ReadPlatform(stage, *state, expansion->used));
  StageState* added = Register(std::move(state));
  const bool replaced = !added->name.empty() && NamedContext(added->name) != nullptr;
  if (replaced) {
    added->base = nullptr;
    return {};
  }
  added->notes.used.insert(expansion->used.begin(), expansion->used.end());
  for (const Instruction& instruction : stage.instructions) {
    added->step_total += MakesStep(instruction);
  }
  if (added->base == nullptr && added->base_name != kScratch) ++added->step_total;
  return {};
}

Status Planner::AddStages() {
  for (const Stage& stage : file_.stages) SKIFF_TRY(AddStage(stage));
  return {};
}

Status Planner::ChooseTarget() {
  if (options_.target.empty()) {
    target_ = states_.back().get();
    return {};
  }
  target_ = FindByName(options_.target);
  if (target_ != nullptr) return {};
  std::vector<std::string_view> titles;
  for (const auto& state : states_) titles.push_back(state->title);
  Error error(Code::kNotFound, "target stage \"" + options_.target + "\" could not be found" +
                                   Suggestion(options_.target, titles));
  std::string names;
  for (const auto& [name, state] : by_name_) names += (names.empty() ? "" : ", ") + name;
  if (!names.empty()) error.notes.push_back({"stages with a name: " + names, {}});
  return Fail(std::move(error));
}

}  // namespace skiff::builder
