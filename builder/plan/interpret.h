#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "builder/expand.h"
#include "builder/plan/planner.h"

namespace skiff::builder {

// Goes through the instructions of one stage, whose sources have been gone through before, and
// fills in its image and steps.
class Interpreter {
 public:
  Interpreter(Planner& planner, StageState& state) : planner_(planner), state_(state) {}

  Status Run();

 private:
  Status Apply(const Command& command);
  Status Handle(const EnvInstruction& env);
  Status Handle(const LabelInstruction& label);
  Status Handle(const ArgInstruction& arg);
  Status Handle(const RunInstruction& run);
  Status Handle(const CopyInstruction& copy);
  Status Handle(const WorkdirInstruction& workdir);
  Status Handle(const UserInstruction& user);
  Status Handle(const ExposeInstruction& expose);
  Status Handle(const VolumeInstruction& volume);
  Status Handle(const CmdInstruction& cmd);
  Status Handle(const EntrypointInstruction& entrypoint);
  Status Handle(const HealthcheckInstruction& healthcheck);
  Status Handle(const StopSignalInstruction& signal);
  Status Handle(const ShellInstruction& shell);
  Status Handle(const OnbuildInstruction& onbuild);
  Status Handle(const MaintainerInstruction& maintainer);
  Status Handle(const FromInstruction& from);

  // -- plan/interpret.cc --
  void Prepare();
  Result<std::string> Value(const Word& word);
  Result<std::vector<KeyValue>> Pairs(const std::vector<KeyValue>& pairs);
  void LintUnset(const std::vector<std::string>& unset);
  void Report(LintRule rule, std::string message);
  void History(std::string created_by, bool empty_layer);
  void LintRepeated(const Instruction*& previous, std::string_view keyword);
  std::vector<std::string> WithShell(const std::string& command) const;
  std::vector<std::string> Arguments(const CommandLine& command);
  const engine::ImageConfig& config() const { return state_.image.config; }
  const std::string& os() const { return state_.platform->os; }

  // -- plan/interpret_run.cc --
  Result<std::vector<std::string>> RunArguments(const RunInstruction& run, RunStep& step);
  Result<std::vector<Mount>> Mounts(const RunInstruction& run);
  Status PlaceMount(Mount& mount, const MountFlag& flag, StageState& source);
  Status NoteSecret(Mount& mount, const MountFlag& flag);
  std::string RunHistory(const std::vector<std::string>& arguments) const;

  // -- plan/interpret_copy.cc --
  Result<CopyStep> ExpandCopy(const CopyInstruction& copy);
  Status CheckCopy(const CopyStep& step, const CopyInstruction& copy) const;
  Result<CopySource> SourceFor(const std::string& text, const Word& word, const CopyStep& step);
  Status PlaceFile(CopySource& source, const std::string& text, bool parents);
  void LintIgnored(const std::string& text, const CopyStep& step);

  // Adds a step; its title begins with the stage and its number.
  template <typename Action>
  void AddStep(Action action, const std::string& text);
  std::string Title(const std::string& text);

  Planner& planner_;
  StageState& state_;
  const Command* command_ = nullptr;          // The current one.
  const Instruction* instruction_ = nullptr;  // Of it.
};

template <typename Action>
void Interpreter::AddStep(Action action, const std::string& text) {
  state_.steps.push_back({std::move(action), Title(text), instruction_->lines, instruction_->span});
}

// "80", "8000-8010/udp", "127.0.0.1:80:8080/tcp": the ports of one EXPOSE word.
struct ExposedPorts {
  std::vector<std::string> ports;  // "8000/udp"
  bool mixed_case = false;         // The protocol was not in lower case.
  bool host_part = false;          // It named an address or a port of the host.
};
Result<ExposedPorts> ParseExposed(const std::string& text);

// The options of --mount. `value` expands each value.
using ExpandValue = std::function<Result<std::string>(const std::string&)>;
Result<Mount> ParseMount(const Word& options, const ExpandValue& value);

// What ADD and COPY take a source for.
Result<CopyKind> KindOfSource(const std::string& text);

// fmt's %q of Go for a list: ["a" "b"].
std::string QuoteList(const std::vector<std::string>& words);
std::string QuoteText(std::string_view text);
// %v of Go for a list: [a b].
std::string PlainList(const std::vector<std::string>& words);

}  // namespace skiff::builder
