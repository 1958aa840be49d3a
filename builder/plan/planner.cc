#include "builder/plan/planner.h"

#include <algorithm>

#include "base/text.h"
#include "builder/expand.h"
#include "builder/plan/interpret.h"
#include "builder/syntax/mistake.h"
#include "engine-core/references.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kEpoch = "SOURCE_DATE_EPOCH";
constexpr std::string_view kCheckArgument = "BUILDKIT_DOCKERFILE_CHECK";

bool IsReference(const std::string& text) {
  return engine::ParseReference(text).has_value();
}

}  // namespace

ImageResolver AssumedImages() {
  return [](const std::string&, const Platform&) -> Result<ImageDescription> {
    ImageDescription image;
    image.platform = {"linux", "amd64", "", ""};
    return image;
  };
}

std::vector<Target> TargetsOf(const Dockerfile& file) {
  std::vector<Target> targets;
  for (const Stage& stage : file.stages) {
    const FromInstruction& from = stage.base();
    targets.push_back({from.name.text, from.description, from.image.text,
                       from.platform ? from.platform->text : "", false, stage.from.lines});
  }
  if (!targets.empty()) targets.back().is_default = true;
  return targets;
}

Result<LintOptions> LintOptionsOf(const Dockerfile& file, const PlanOptions& options) {
  if (const auto given = options.arguments.find(kCheckArgument); given != options.arguments.end()) {
    return ParseLintOptions(given->second);
  }
  if (!file.check) return LintOptions{};
  const std::string& text = file.check->text;
  auto parsed = ParseLintOptions(std::string_view(text).substr(0, text.find(' ')));
  if (!parsed) return Fail(Placed(std::move(parsed.error()), file.check->span));
  return parsed;
}

Result<GlobalArguments> ReadGlobalArguments(const Dockerfile& file, const Environment& predefined,
                                            const PlanOptions& options, bool given) {
  GlobalArguments global{predefined, {}};
  for (const Instruction& instruction : file.global_arguments) {
    for (const ArgDefinition& definition : std::get<ArgInstruction>(instruction.body).definitions) {
      const std::string& name = definition.name.text;
      OutlineNotes::Arg arg{"", definition.description, instruction.lines, {}};
      const auto from_outside = options.arguments.find(name);
      std::optional<std::string> value;
      if (given && from_outside != options.arguments.end()) {
        value = from_outside->second;
      } else if (definition.value) {
        auto expansion = Expand(definition.value->text, global.values, {.escape = file.escape});
        if (!expansion) {
          return Fail(Placed(std::move(expansion.error()), definition.value->span));
        }
        value = expansion->text;
        arg.dependencies = {expansion->used.begin(), expansion->used.end()};
        // A default that extends the one before depends on what that depended on.
        if (arg.dependencies.erase(name) > 0) {
          const auto& before = global.declared[name].dependencies;
          arg.dependencies.insert(before.begin(), before.end());
        }
      }
      if (value) {
        global.values.Set(name, *value);
        arg.value = *value;
      }
      global.declared[name] = std::move(arg);
    }
  }
  return global;
}

void Planner::ChoosePlatforms() {
  build_platform_ = options_.build_platform.value_or(HostPlatform());
  implicit_target_ = !options_.target_platform.has_value();
  target_platform_ = options_.target_platform.value_or(build_platform_);
}

Environment Planner::PredefinedArguments() const {
  const Platform& build = build_platform_;
  const Platform& target = target_platform_;
  const std::string stage =
      options_.target.empty() ? file_.stages.back().base().name.text : options_.target;
  const std::pair<std::string_view, std::string> values[] = {
      {"BUILDPLATFORM", FormatPlatform(build)},
      {"BUILDOS", build.os},
      {"BUILDOSVERSION", build.os_version},
      {"BUILDARCH", build.architecture},
      {"BUILDVARIANT", build.variant},
      {"TARGETPLATFORM", FormatFullPlatform(target)},
      {"TARGETOS", target.os},
      {"TARGETOSVERSION", target.os_version},
      {"TARGETARCH", target.architecture},
      {"TARGETVARIANT", target.variant},
      {"TARGETSTAGE", stage.empty() ? "default" : stage},
  };
  Environment predefined;
  for (const auto& [name, value] : values) {
    const auto given = options_.arguments.find(name);
    predefined.Set(name, given != options_.arguments.end() ? given->second : value);
  }
  return predefined;
}

// InvalidDefaultArgInFrom: what FROM names must be good without any build argument.
void Planner::LintDefaultBases(const Environment& predefined) {
  const auto defaults = ReadGlobalArguments(file_, predefined, options_, false);
  if (!defaults) return;
  for (const Stage& stage : file_.stages) {
    const std::string& name = stage.base().image.text;
    const auto expansion = Expand(name, defaults->values, {.escape = file_.escape});
    if (!expansion) return;
    if (IsReference(expansion->text)) continue;
    // About the defaults, not the instruction: its "# check=" comments do not count.
    Instruction place;
    place.lines = stage.from.lines;
    place.span = stage.base().image.span;
    linter_.Report(
        LintRule::kInvalidDefaultArgInFrom, place,
        "Default value for ARG " + name + " results in empty or invalid base image name");
  }
}

// SOURCE_DATE_EPOCH: seconds, or the name of what has the time.
Status Planner::ReadEpoch() {
  const auto given = options_.arguments.find(kEpoch);
  const bool from_outside = given != options_.arguments.end();
  const std::string* global = global_.values.Find(kEpoch);
  if (!from_outside && global == nullptr) return {};
  const std::string value = from_outside ? given->second : *global;
  if (value.empty()) return {};
  plan_.source_date_epoch = ParseNumber<int64_t>(value);
  if (plan_.source_date_epoch) return {};
  const bool known = value == "context" || options_.contexts.contains(value) ||
                     std::ranges::any_of(file_.stages, [&](const Stage& stage) {
                       return EqualsIgnoreCase(stage.base().name.text, value);
                     });
  if (!known) {
    return Fail(Code::kInvalidArgument, "invalid SOURCE_DATE_EPOCH: " + value);
  }
  plan_.source_date_epoch_of = value;
  global_.values.Erase(kEpoch);
  return {};
}

Status Planner::Interpret() {
  const std::vector<StageState*> reachable = Reachable();
  for (size_t i = 0; i < states_.size(); ++i) {
    StageState& state = *states_[i];
    const bool needed = std::ranges::find(reachable, &state) != reachable.end();
    if (state.is_image() || (!needed && !options_.all_stages)) continue;
    SKIFF_TRY(Interpreter(*this, state).Run());
  }
  for (const auto& [name, value] : options_.labels) {
    target_->image.config.labels[name] = value;
  }
  return {};
}

BuildPlan Planner::Finish() {
  const std::vector<StageState*> reachable = Reachable();
  for (const auto& state : states_) {
    if (state->is_image()) continue;
    PlannedStage stage;
    stage.name = state->name;
    stage.title = state->title;
    stage.span = state->span;
    stage.lines = state->lines;
    stage.base = state->base != nullptr ? Source(StageSource{state->base->index}) : state->source;
    stage.platform = state->platform.value_or(target_platform_);
    stage.needed = std::ranges::find(reachable, state.get()) != reachable.end();
    if (stage.needed) {
      stage.steps = std::move(state->steps);
      stage.image = std::move(state->image);
    }
    plan_.stages.push_back(std::move(stage));
  }
  plan_.target = target_->index;
  plan_.outline = MakeOutline(*target_);
  if (!implicit_target_) {
    ImageDescription& image = plan_.stages[plan_.target].image;
    const bool same = image.platform.os == target_platform_.os &&
                      image.platform.architecture == target_platform_.architecture;
    const std::string variant = image.platform.variant;
    image.platform = target_platform_;
    if (same && target_platform_.variant.empty()) image.platform.variant = variant;
  }
  return std::move(plan_);
}

Result<BuildPlan> Planner::Run() {
  if (file_.stages.empty()) {
    return Fail(Code::kInvalidArgument, "dockerfile contains no stages to build");
  }
  ChoosePlatforms();
  LintSyntax(file_, linter_);
  const Environment predefined = PredefinedArguments();
  LintDefaultBases(predefined);
  SKIFF_ASSIGN(global_, ReadGlobalArguments(file_, predefined, options_, true));
  SKIFF_TRY(ReadEpoch());
  SKIFF_TRY(AddStages());
  SKIFF_TRY(ChooseTarget());
  SKIFF_TRY(Connect());
  SKIFF_TRY(ResolveStages());
  SKIFF_TRY(Interpret());
  return Finish();
}

Result<BuildPlan> PlanBuild(const Dockerfile& file, const PlanOptions& options, Linter& linter) {
  return Planner(file, options, linter).Run();
}

}  // namespace skiff::builder
