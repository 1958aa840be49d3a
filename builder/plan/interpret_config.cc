// Instructions that change nothing but the image's configuration, and WORKDIR.
#include <algorithm>

#include "base/text.h"
#include "base/units.h"
#include "builder/plan/interpret.h"
#include "builder/plan/paths.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kSignals[] = {
    "ABRT", "ALRM",   "BUS",  "CHLD",   "CLD",   "CONT", "FPE",  "HUP",   "ILL",
    "INT",  "IO",     "IOT",  "KILL",   "PIPE",  "POLL", "PROF", "PWR",   "QUIT",
    "SEGV", "STKFLT", "STOP", "SYS",    "TERM",  "TRAP", "TSTP", "TTIN",  "TTOU",
    "URG",  "USR1",   "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX"};

// RTMIN, RTMIN+1 to RTMIN+15, RTMAX-14 to RTMAX-1, RTMAX.
bool IsRealTimeSignal(std::string_view name) {
  const bool from_first = name.starts_with("RTMIN+");
  if (!from_first && !name.starts_with("RTMAX-")) return false;
  const auto number = ParseNumber<int>(name.substr(6));
  return number && *number >= 1 && *number <= (from_first ? 15 : 14);
}

bool IsSignal(const std::string& text) {
  if (const auto number = ParseNumber<int64_t>(text)) return *number != 0;
  std::string name = text;
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
  }
  if (name.starts_with("SIG")) name.erase(0, 3);
  return std::ranges::find(kSignals, name) != std::end(kSignals) || IsRealTimeSignal(name);
}

std::vector<std::string> Texts(const std::vector<Word>& words) {
  std::vector<std::string> texts;
  for (const Word& word : words) texts.push_back(word.text);
  return texts;
}

void AddSorted(std::vector<std::string>& list, const std::string& value) {
  const auto at = std::ranges::lower_bound(list, value);
  if (at == list.end() || *at != value) list.insert(at, value);
}

}  // namespace

std::vector<std::string> Interpreter::WithShell(const std::string& command) const {
  std::vector<std::string> arguments = config().shell;
  if (arguments.empty()) {
    arguments = state_.image.platform.os == "windows" ? std::vector<std::string>{"cmd", "/S", "/C"}
                                                      : std::vector<std::string>{"/bin/sh", "-c"};
  }
  arguments.push_back(command);
  return arguments;
}

// The command of CMD and ENTRYPOINT as it is kept.
std::vector<std::string> Interpreter::Arguments(const CommandLine& command) {
  std::vector<std::string> words = Texts(command.words);
  if (command.exec_form) return words;
  if (config().shell.empty()) {
    Report(LintRule::kJSONArgsRecommended,
           "JSON arguments recommended for " + instruction_->keyword.text +
               " to prevent unintended behavior related to OS signals");
  }
  return WithShell(Join(words, " "));
}

// More than one of a kind in a stage: the earlier one is the place, for it has no effect.
void Interpreter::LintRepeated(const Instruction*& previous, std::string_view keyword) {
  if (previous != nullptr) {
    planner_.linter().Report(
        LintRule::kMultipleInstructionsDisallowed, *instruction_, previous->lines, previous->span,
        "Multiple " + std::string(keyword) +
            " instructions should not be used in the same stage because only the last one will be "
            "used");
  }
  previous = instruction_;
}

Status Interpreter::Handle(const CmdInstruction& cmd) {
  LintRepeated(state_.cmd, instruction_->keyword.text);
  state_.image.config.command = Arguments(cmd.command);
  state_.image.args_escaped = true;
  History("CMD " + QuoteList(config().command), true);
  return {};
}

Status Interpreter::Handle(const EntrypointInstruction& entrypoint) {
  LintRepeated(state_.entrypoint, instruction_->keyword.text);
  state_.image.config.entrypoint = Arguments(entrypoint.command);
  // A command of the base image was meant for the base image's entrypoint.
  if (state_.cmd == nullptr) state_.image.config.command.clear();
  History("ENTRYPOINT " + QuoteList(config().entrypoint), true);
  return {};
}

Status Interpreter::Handle(const HealthcheckInstruction& healthcheck) {
  LintRepeated(state_.healthcheck, instruction_->keyword.text);
  const engine::Healthcheck& check = healthcheck.check;
  state_.image.config.healthcheck = check;
  History("HEALTHCHECK {Test:" + PlainList(check.test) + " Interval:" +
              FormatDuration(check.interval) + " Timeout:" + FormatDuration(check.timeout) +
              " StartPeriod:" + FormatDuration(check.start_period) +
              " StartInterval:" + FormatDuration(check.start_interval) +
              " Retries:" + std::to_string(check.retries) + "}",
          true);
  return {};
}

Status Interpreter::Handle(const UserInstruction& user) {
  SKIFF_ASSIGN(state_.user, Value(user.user));
  state_.image.config.user = state_.user;
  History("USER " + state_.user, true);
  return {};
}

Status Interpreter::Handle(const VolumeInstruction& volume) {
  std::vector<std::string> paths;
  for (const Word& word : volume.paths) {
    SKIFF_ASSIGN(const std::string path, Value(word));
    paths.push_back(path);
  }
  for (size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].empty()) {
      return Mistake("VOLUME specified can not be an empty string", volume.paths[i].span);
    }
    AddSorted(state_.image.config.volumes, paths[i]);
  }
  History("VOLUME " + PlainList(paths), true);
  return {};
}

Status Interpreter::Handle(const StopSignalInstruction& instruction) {
  SKIFF_ASSIGN(const std::string signal, Value(instruction.signal));
  if (!IsSignal(signal)) return Mistake("invalid signal: " + signal, instruction.signal.span);
  state_.image.config.stop_signal = signal;
  History("STOPSIGNAL " + signal, true);
  return {};
}

Status Interpreter::Handle(const ShellInstruction& shell) {
  state_.image.config.shell = Texts(shell.words);
  History("SHELL " + PlainList(config().shell), true);
  return {};
}

Status Interpreter::Handle(const OnbuildInstruction& onbuild) {
  state_.image.config.on_build.push_back(onbuild.trigger);
  return {};
}

Status Interpreter::Handle(const MaintainerInstruction& maintainer) {
  state_.image.author = maintainer.author.text;
  History("MAINTAINER " + state_.image.author, true);
  return {};
}

Status Interpreter::Handle(const FromInstruction&) {
  return Mistake("FROM begins a stage", instruction_->span);
}

Status Interpreter::Handle(const ExposeInstruction& expose) {
  std::vector<std::string> ports;
  for (const Word& word : expose.ports) {
    auto expansion = Expand(word.text, state_.variables, {.escape = planner_.file().escape});
    if (!expansion) return Fail(Placed(std::move(expansion.error()), word.span));
    for (const std::string& text : expansion->words) {
      auto exposed = ParseExposed(text);
      if (!exposed) return Fail(Placed(std::move(exposed.error()), word.span));
      if (exposed->mixed_case) {
        Report(LintRule::kExposeProtoCasing,
               "Defined protocol '" + text + "' in EXPOSE instruction should be lowercase");
      }
      if (exposed->host_part) {
        Report(LintRule::kExposeInvalidFormat,
               "EXPOSE instruction should not define an IP address or host-port mapping, found '" +
                   text + "'");
      }
      ports.insert(ports.end(), exposed->ports.begin(), exposed->ports.end());
    }
  }
  for (const std::string& port : ports) AddSorted(state_.image.config.exposed_ports, port);
  History("EXPOSE " + PlainList(ports), true);
  return {};
}

Status Interpreter::Handle(const WorkdirInstruction& workdir) {
  SKIFF_ASSIGN(const std::string given, Value(workdir.path));
  if (!state_.workdir_set && !IsAbsolutePath(given, os())) {
    Report(LintRule::kWorkdirRelativePath, "Relative workdir " + QuoteText(given) +
                                               " can have unexpected results if the base image "
                                               "changes");
  }
  state_.workdir_set = true;
  SKIFF_ASSIGN(const std::string path, AbsolutePath(config().working_dir, given, os(), false));
  state_.image.config.working_dir = path;
  if (os() == "windows") {
    std::ranges::replace(state_.image.config.working_dir, '/', '\\');
  }
  const bool makes_layer = path != "/";
  if (makes_layer) AddStep(WorkdirStep{path, config().user}, "WORKDIR " + given);
  History("WORKDIR " + path, !makes_layer);
  return {};
}

}  // namespace skiff::builder
