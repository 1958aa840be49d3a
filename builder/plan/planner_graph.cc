// How stages depend on each other and on images.
#include <algorithm>

#include "base/text.h"
#include "builder/expand.h"
#include "builder/plan/planner.h"
#include "builder/syntax/mistake.h"
#include "engine-core/references.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kScratch = "scratch";
constexpr std::string_view kImageContext = "docker-image://";

// "docker.io/library/alpine:latest" and "alpine" are the same name.
std::string ContextKey(const std::string& name) {
  const auto reference = engine::ParseReference(name);
  if (!reference) return name;
  std::string key = reference->Familiar();
  if (key.ends_with(":latest")) key.resize(key.size() - std::string_view(":latest").size());
  return key;
}

ImageDescription EmptyImage(const Platform& platform) {
  ImageDescription image;
  image.platform = platform;
  image.config.working_dir = "/";
  return image;
}

// A search for a way from a stage back to itself.
class CycleSearch {
 public:
  // The stage at which a cycle was found, or null.
  const StageState* From(const StageState& state) {
    if (std::ranges::find(visited_, &state) != visited_.end()) return nullptr;
    visited_.push_back(&state);
    path_.push_back(&state);
    for (const StageState* next : state.dependencies) {
      if (std::ranges::find(path_, next) != path_.end()) return next;
      if (const StageState* found = From(*next)) return found;
    }
    path_.pop_back();
    return nullptr;
  }

 private:
  std::vector<const StageState*> visited_, path_;
};

}  // namespace

const std::string* Planner::NamedContext(const std::string& name) const {
  if (options_.contexts.empty() || EqualsIgnoreCase(name, kScratch) ||
      EqualsIgnoreCase(name, "context")) {
    return nullptr;
  }
  const std::string key = ContextKey(name);
  for (const auto& [context, value] : options_.contexts) {
    if (ContextKey(context) == key) return &value;
  }
  return nullptr;
}

Result<StageState*> Planner::CopySourceOf(const Word& from, const Instruction& instruction) {
  const auto expansion = Expand(from.text, {}, {.escape = file_.escape});
  if (!expansion || expansion->text != from.text) {
    return Mistake(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG "
        "from global scope as a workaround",
        from.span);
  }
  if (const auto index = ParseNumber<int64_t>(from.text)) {
    if (*index < 0 || static_cast<size_t>(*index) >= states_.size()) {
      return Mistake("invalid stage index " + from.text, from.span);
    }
    return states_[static_cast<size_t>(*index)].get();
  }
  if (StageState* stage = FindByName(from.text)) return stage;
  StageState* image = NewImage(from.text, instruction);
  if (from.span.valid()) image->span = from.span;
  return image;
}

Result<Command> Planner::MakeCommand(const Instruction& instruction) {
  Command command{&instruction, {}, false};
  if (const auto* copy = std::get_if<CopyInstruction>(&instruction.body); copy && copy->from) {
    SKIFF_ASSIGN(StageState * source, CopySourceOf(*copy->from, instruction));
    command.sources.push_back(source);
  }
  if (const auto* run = std::get_if<RunInstruction>(&instruction.body)) {
    for (const MountFlag& mount : run->mounts) {
      const std::string name = mount.from.empty() ? std::string(kScratch) : mount.from;
      StageState* source = FindByName(name);
      if (source == nullptr) source = NewImage(name, instruction);
      command.sources.push_back(source);
    }
  }
  return command;
}

Status Planner::Connect() {
  const size_t stages = states_.size();
  for (size_t i = 0; i < stages; ++i) {
    StageState& state = *states_[i];
    for (const Instruction& instruction : state.stage->instructions) {
      SKIFF_ASSIGN(Command command, MakeCommand(instruction));
      for (StageState* source : command.sources) state.DependOn(source);
      state.commands.push_back(std::move(command));
    }
  }
  SKIFF_TRY(CheckCycles());
  if (states_.size() == 1) states_[0]->title.clear();
  return {};
}

Status Planner::CheckCycles() const {
  CycleSearch search;
  for (const auto& state : states_) {
    const StageState* at = search.From(*state);
    if (at == nullptr) continue;
    return Mistake("circular dependency detected on stage: " + state->title, at->span);
  }
  return {};
}

std::vector<StageState*> Planner::Reachable() const {
  std::vector<StageState*> found = {target_};
  const auto add = [&](StageState* state) {
    if (std::ranges::find(found, state) == found.end()) found.push_back(state);
  };
  for (size_t i = 0; i < found.size(); ++i) {
    StageState* state = found[i];
    if (state->base != nullptr) add(state->base);
    for (StageState* dependency : state->dependencies) add(dependency);
  }
  return found;
}

Status Planner::ResolveImage(StageState& state, bool needed) {
  auto reference = engine::ParseReference(state.base_name);
  if (!reference) {
    return Mistake(
        "failed to parse stage name \"" + state.base_name + "\": " + reference.error().message,
        state.stage != nullptr ? state.stage->base().image.span : state.span);
  }
  const bool explicit_platform = state.platform.has_value();
  const Platform platform = state.platform.value_or(target_platform_);
  std::string name = reference->Canonical();
  const std::string* context = state.name.empty() ? nullptr : NamedContext(state.name);
  if (context == nullptr) context = NamedContext(name);
  if (context != nullptr && !context->starts_with(kImageContext)) {
    state.source = ContextSource{state.name.empty() ? state.base_name : state.name};
    state.image = EmptyImage(platform);
    state.platform = platform;
    return {};
  }
  if (context != nullptr) {
    name = context->substr(kImageContext.size());
    // An image of the engine's by its id: it came from an OCI layout.
    if (!engine::IsDigest(name)) {
      SKIFF_ASSIGN(const engine::Reference replaced, engine::ParseReference(name));
      name = replaced.Canonical();
    }
  }
  state.source = ImageSource{name, platform};
  state.platform = platform;
  if (!needed) return {};
  auto image = options_.images(name, platform);
  if (!image) return Fail(Placed(std::move(image.error()), state.span));
  state.image = std::move(*image);
  const Platform& actual = state.image.platform;
  const bool matches = actual.os == platform.os && actual.architecture == platform.architecture;
  if (!explicit_platform && implicit_target_ && actual.os == build_platform_.os &&
      actual.architecture == build_platform_.architecture) {
    state.platform = build_platform_;
  } else if (!matches && state.image.has_layers && state.stage != nullptr) {
    linter_.Report(LintRule::kInvalidBaseImagePlatform, state.stage->from,
                   "Base image " + state.base_name + " was pulled with platform \"" +
                       FormatPlatform(actual) + "\", expected \"" + FormatPlatform(platform) +
                       "\" for current build");
  }
  return {};
}

Status Planner::Resolve(StageState& state, bool needed) {
  if (state.base != nullptr || state.dispatched || state.resolved) return {};
  state.resolved = needed;
  const bool replaced = !state.name.empty() && NamedContext(state.name) != nullptr;
  if (state.base_name == kScratch && !replaced) {
    state.source = EmptySource{};
    state.image = EmptyImage(target_platform_);
    state.platform = target_platform_;
  } else {
    SKIFF_TRY(ResolveImage(state, needed));
  }
  if (state.is_image()) state.dispatched = true;
  // A context with a stage's name stands for the whole stage.
  if (replaced) state.commands.clear();
  return {};
}

Status Planner::ResolveStages() {
  for (bool again = true; again;) {
    again = false;
    const std::vector<StageState*> reachable = Reachable();
    for (size_t i = 0; i < states_.size(); ++i) {
      StageState& state = *states_[i];
      const bool needed = options_.all_stages || std::ranges::count(reachable, &state) > 0;
      SKIFF_TRY(Resolve(state, needed));
    }
    for (StageState* state : reachable) {
      auto added = AddTriggers(*state);
      if (!added) return Fail(Placed(std::move(added.error()), state->span));
      again |= *added;
    }
  }
  return {};
}

// ONBUILD of the base. True when a trigger depends on a stage or image that may not be resolved
// yet.
Result<bool> Planner::AddTriggers(StageState& state) {
  if (state.triggers_added || state.stage == nullptr) return false;
  state.triggers_added = true;
  std::vector<std::string> triggers = std::move(state.image.config.on_build);
  state.image.config.on_build.clear();
  if (state.base != nullptr) {
    for (const Command& command : state.base->commands) {
      const auto* onbuild = std::get_if<OnbuildInstruction>(&command.instruction->body);
      if (onbuild != nullptr) triggers.push_back(onbuild->trigger);
    }
  }
  bool new_dependencies = false;
  std::vector<Command> commands;
  for (const std::string& trigger : triggers) {
    SKIFF_ASSIGN(Instruction instruction, ParseTrigger(trigger, state.span, state.lines));
    state.triggers.push_back(std::make_unique<Instruction>(std::move(instruction)));
    SKIFF_ASSIGN(Command command, MakeCommand(*state.triggers.back()));
    command.is_trigger = true;
    for (StageState* source : command.sources) state.DependOn(source);
    new_dependencies |= !command.sources.empty();
    commands.push_back(std::move(command));
  }
  state.step_total += commands.size();
  state.commands.insert(state.commands.begin(), commands.begin(), commands.end());
  return new_dependencies;
}

}  // namespace skiff::builder
