#include "cli/dispatch.h"

#include <fmt/format.h>

#include "base/diagnostic.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/exit_status.h"
#include "cli/help.h"
#include "cli/verbs.h"
#include "cli/version.h"

namespace skiff::cli {
namespace {

// A word of the command line that is no command, with the nearest one.
Error UnknownCommand(std::string_view program, const std::string& word,
                     const std::vector<std::string_view>& known) {
  Error error(Code::kInvalidArgument, fmt::format("unknown command: {} {}", program, word));
  const std::string nearest = DidYouMean(word, known);
  if (nearest.empty()) return error;
  return std::move(error).With(fmt::format("did you mean '{} {}'?", program, nearest));
}

// One command line on its way to a verb.
class Dispatcher {
 public:
  Dispatcher(std::vector<std::string> words, Surroundings surroundings)
      : words_(std::move(words)), surroundings_(std::move(surroundings)) {}

  int Run() {
    const std::string path = words_.empty() ? "skiff" : words_.front();
    const std::string name = path.substr(path.rfind('/') + 1);
    if (!words_.empty()) words_.erase(words_.begin());
    if (name == "docker") return Docker("docker");
    if (name == "docker-compose") return Compose("docker-compose", false);
    return Compose("skiff", true);
  }

 private:
  int Compose(const std::string& program, bool with_nouns);
  int Docker(const std::string& program);
  int Noun(Context& context, const Group& group, const std::string& program);
  int RunCommand(Context& context, const Group& group, const std::string& program);
  int Usage(Context& context, const Error& error, const std::string& usage,
            const std::string& spelling, int status);
  Result<Arguments> TakeGlobals(std::span<const Flag> flags);
  Status ApplyCompose(const Arguments& arguments);
  static int Finish(Context& context, const Command& command, Result<int> result);

  std::vector<std::string> words_;
  Surroundings surroundings_;
  GlobalOptions globals_;
};

Result<Arguments> Dispatcher::TakeGlobals(std::span<const Flag> flags) {
  SKIFF_ASSIGN(Arguments arguments, ParseArguments(flags, true, words_));
  words_ = arguments.operands();
  return arguments;
}

Status Dispatcher::ApplyCompose(const Arguments& arguments) {
  const auto variable = [&](const char* name) {
    const auto found = surroundings_.environment.find(name);
    return found == surroundings_.environment.end() ? std::string() : found->second;
  };
  const auto append = [&](std::string_view flag, std::vector<std::string>& out) {
    const std::vector<std::string>& given = arguments.List(flag);
    out.insert(out.end(), given.begin(), given.end());
  };
  append("file", globals_.files);
  append("profile", globals_.profiles);
  append("env-file", globals_.env_files);
  const auto text = [&](std::string_view flag, const char* name, std::string& out) {
    if (arguments.Has(flag))
      out = arguments.Text(flag);
    else if (out.empty() || out == "auto") {
      if (const std::string value = variable(name); !value.empty()) out = value;
    }
  };
  text("ansi", "COMPOSE_ANSI", globals_.ansi);
  text("progress", "COMPOSE_PROGRESS", globals_.progress);
  if (arguments.Has("project-name")) globals_.project_name = arguments.Text("project-name");
  if (arguments.Has("project-directory") || arguments.Has("workdir")) {
    globals_.project_directory = arguments.Has("project-directory")
                                     ? arguments.Text("project-directory")
                                     : arguments.Text("workdir");
  }
  if (arguments.Has("root")) globals_.root = arguments.Text("root");
  if (arguments.Has("run")) globals_.run = arguments.Text("run");
  if (arguments.Bool("no-ansi")) globals_.ansi = "never";
  if (globals_.ansi != "auto" && globals_.ansi != "never" && globals_.ansi != "always") {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("invalid value \"{}\" for --ansi: use auto, never or always", globals_.ansi));
  }
  globals_.parallel = static_cast<int>(
      arguments.Has("parallel") ? arguments.Number("parallel").value_or(0)
                                : ParseNumber<int>(variable("COMPOSE_PARALLEL_LIMIT")).value_or(0));
  globals_.compatibility |= arguments.Bool("compatibility");
  globals_.dry_run |= arguments.Bool("dry-run");
  globals_.all_resources |= arguments.Bool("all-resources");
  globals_.strict |= arguments.Bool("strict");
  return {};
}

int Dispatcher::Usage(Context& context, const Error& error, const std::string& usage,
                      const std::string& spelling, int status) {
  context.Report(error, nullptr);
  if (!context.json_progress()) {
    context.PrintError(
        fmt::format("\n{}\n\nRun '{} --help' for more information\n", usage, spelling));
  }
  return status;
}

int Dispatcher::Compose(const std::string& program, bool with_nouns) {
  const auto nouns = with_nouns ? NounGroups() : std::span<const Group>();
  const std::string usage = fmt::format("Usage:  {} [OPTIONS] COMMAND", program);
  const auto globals = TakeGlobals(GlobalFlags());
  const Status applied = globals ? ApplyCompose(*globals) : Fail(globals.error());
  Context context(surroundings_, Grammar::kCompose, program);
  context.globals = globals_;
  if (!applied) return Usage(context, applied.error(), usage, program, kExitFailure);
  if (globals->Bool("version")) words_ = {"version"};
  const bool help = globals->Bool("help") || words_.empty() || words_.front() == "help";
  if (help && (words_.size() < 2 || words_.front() != "help")) {
    const std::string text = GroupHelp(ComposeGroup(), program, GlobalFlags(), nouns);
    if (globals->Bool("help") || !words_.empty()) return context.Print(text) ? 0 : kExitFailure;
    context.PrintError(text);
    return kExitFailure;
  }
  if (words_.front() == "help") {
    words_.erase(words_.begin());
    words_.push_back("--help");
  }
  if (with_nouns) {
    const std::string word = words_.front();
    if (word == "compose" || word == "docker") {
      words_.erase(words_.begin());
      return word == "docker" ? Docker("skiff docker") : Compose("skiff compose", false);
    }
    if (const Group* noun = FindNoun(word)) return Noun(context, *noun, program);
  }
  if (FindCommand(ComposeGroup(), words_.front()) == nullptr) {
    std::vector<std::string_view> known = CommandNames(ComposeGroup(), true);
    for (const Group& noun : nouns) known.push_back(noun.name);
    return Usage(context, UnknownCommand(program, words_.front(), known), usage, program,
                 kExitFailure);
  }
  return RunCommand(context, ComposeGroup(), program);
}

int Dispatcher::Docker(const std::string& program) {
  const std::string usage = fmt::format("Usage:  {} [OPTIONS] COMMAND", program);
  const auto globals = TakeGlobals(DockerGlobalFlags());
  if (globals && globals->Has("root")) globals_.root = globals->Text("root");
  if (globals && globals->Has("run")) globals_.run = globals->Text("run");
  Context context(surroundings_, Grammar::kDocker, program);
  context.globals = globals_;
  if (!globals) return Usage(context, globals.error(), usage, program, kExitEngine);
  if (globals->Bool("version")) words_ = {"version"};
  if (globals->Bool("help") || words_.empty()) {
    const std::string text = GroupHelp(DockerGroup(), program, DockerGlobalFlags(), NounGroups());
    return context.Print(text) ? 0 : kExitFailure;
  }
  const std::string word = words_.front();
  if (word == "compose") {
    words_.erase(words_.begin());
    return Compose(program + " compose", false);
  }
  if (const Group* noun = FindNoun(word)) return Noun(context, *noun, program);
  if (FindCommand(DockerGroup(), word) == nullptr) {
    std::vector<std::string_view> known = CommandNames(DockerGroup(), true);
    for (const Group& noun : NounGroups()) known.push_back(noun.name);
    known.push_back("compose");
    return Usage(context, UnknownCommand(program, word, known), usage, program, kExitFailure);
  }
  return RunCommand(context, DockerGroup(), program);
}

int Dispatcher::Noun(Context& context, const Group& group, const std::string& program) {
  const std::string spelling = fmt::format("{} {}", program, group.name);
  words_.erase(words_.begin());
  if (words_.empty() || words_.front() == "--help" || words_.front() == "-h") {
    return context.Print(GroupHelp(group, spelling, {}, {})) ? 0 : kExitFailure;
  }
  if (FindCommand(group, words_.front()) == nullptr) {
    return Usage(context, UnknownCommand(spelling, words_.front(), CommandNames(group, true)),
                 fmt::format("Usage:  {} COMMAND", spelling), spelling, kExitFailure);
  }
  return RunCommand(context, group, spelling);
}

int Dispatcher::RunCommand(Context& context, const Group& group, const std::string& program) {
  const Command& command = *FindCommand(group, words_.front());
  words_.erase(words_.begin());
  const std::string spelling = fmt::format("{} {}", program, command.name);
  const std::string usage = UsageLine(command, spelling);
  auto arguments = ParseArguments(command.flags, command.flags_first, words_);
  if (!arguments) {
    Error error = std::move(arguments.error());
    // -f and its like come before the verb.
    for (const Flag& flag : GlobalFlags()) {
      const bool global = error.message == fmt::format("unknown flag: --{}", flag.name) ||
                          (flag.letter != 0 && error.message.starts_with(fmt::format(
                                                   "unknown shorthand flag: '{}'", flag.letter)));
      if (!global || group.grammar != Grammar::kCompose || flag.help.empty()) continue;
      if (flag.name == "help")
        return context.Print(CommandHelp(command, spelling, program)) ? 0 : 1;
      error.notes.push_back(
          {fmt::format("--{} is a global flag: write it before '{}'", flag.name, command.name),
           {}});
    }
    return Usage(context, error, usage, spelling,
                 group.grammar == Grammar::kDocker ? kExitEngine : kExitFailure);
  }
  if (arguments->Bool("help")) {
    // Examples of nouns name the noun themselves.
    const std::string prefix = program.substr(0, program.rfind(' '));
    const bool noun = !group.name.empty() && group.name != "docker";
    return context.Print(CommandHelp(command, spelling, noun ? prefix : program)) ? 0
                                                                                  : kExitFailure;
  }
  const Status counted = CheckOperandCount(command, spelling, arguments->operands().size());
  if (!counted) return Usage(context, counted.error(), usage, spelling, kExitFailure);
  return Finish(context, command, command.run(context, *arguments));
}

int Dispatcher::Finish(Context& context, const Command& command, Result<int> result) {
  if (result) return *result;
  context.Report(result.error(), context.sources());
  const int status = ExitStatus(result.error().code);
  const bool runs = command.run == RunDockerRun || command.run == RunDockerCreate;
  if (runs && status == kExitFailure) return kExitEngine;
  if (command.run == RunExec || command.run == RunRun) {
    // "exec: "x": executable file not found in $PATH"
    const bool of_process = result.error().message.find("exec: ") != std::string::npos;
    if (of_process) return StartFailureStatus(result.error(), status);
  }
  return status;
}

}  // namespace

int RunProgram(std::vector<std::string> words, Surroundings surroundings) {
  return Dispatcher(std::move(words), std::move(surroundings)).Run();
}

}  // namespace skiff::cli
