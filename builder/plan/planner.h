#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "builder/plan/state.h"

namespace skiff::builder {

// Values that are known before any stage: the platform's and those of ARG before the first FROM.
struct GlobalArguments {
  Environment values;
  std::map<std::string, OutlineNotes::Arg> declared;
};
// `given` are build arguments; without them the result is what the defaults make.
Result<GlobalArguments> ReadGlobalArguments(const Dockerfile& file, const Environment& predefined,
                                            const PlanOptions& options, bool given);

// Plans one build. See BuildKit's dockerfile2llb for the order of things, which decides which
// mistake is reported first and what a stage index means.
class Planner {
 public:
  Planner(const Dockerfile& file, const PlanOptions& options, Linter& linter)
      : file_(file), options_(options), linter_(linter) {}

  Result<BuildPlan> Run();

  // -- for interpreting instructions --
  const Dockerfile& file() const { return file_; }
  const PlanOptions& options() const { return options_; }
  const Environment& global_arguments() const { return global_.values; }
  const Platform& target_platform() const { return target_platform_; }
  Linter& linter() { return linter_; }

 private:
  // plan/planner.cc
  void ChoosePlatforms();
  Environment PredefinedArguments() const;
  void LintDefaultBases(const Environment& predefined);
  Status ReadEpoch();
  Status Interpret();
  BuildPlan Finish();

  // plan/planner_stages.cc
  Status AddStages();
  Status AddStage(const Stage& stage);
  Status ReadPlatform(const Stage& stage, StageState& state, std::vector<std::string>& used);
  void LintFromNames(const Stage& stage, const std::vector<std::string>& unset);
  StageState* Register(std::unique_ptr<StageState> state);
  StageState* FindByName(const std::string& name);
  StageState* NewImage(const std::string& reference, const Instruction& instruction);
  Status ChooseTarget();

  // plan/planner_graph.cc
  Status Connect();
  Result<Command> MakeCommand(const Instruction& instruction);
  Result<StageState*> CopySourceOf(const Word& from, const Instruction& instruction);
  Status CheckCycles() const;
  std::vector<StageState*> Reachable() const;
  Status ResolveStages();
  Status Resolve(StageState& state, bool needed);
  Status ResolveImage(StageState& state, bool needed);
  Result<bool> AddTriggers(StageState& state);
  // The value of a named context for an image reference or a stage's name, or null.
  const std::string* NamedContext(const std::string& name) const;

  const Dockerfile& file_;
  const PlanOptions& options_;
  Linter& linter_;
  Platform target_platform_, build_platform_;
  bool implicit_target_ = false;
  GlobalArguments global_;
  std::vector<std::unique_ptr<StageState>> states_;
  std::map<std::string, StageState*> by_name_;
  StageState* target_ = nullptr;
  BuildPlan plan_;
};

// Takes over what a stage inherits from its base stage.
void InheritFromBase(StageState& state);
// plan/outline.cc
Outline MakeOutline(StageState& state);

}  // namespace skiff::builder
