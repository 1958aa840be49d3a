#include <fmt/format.h>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "base/diagnostic.h"
#include "base/json_text.h"
#include "cli/completion.h"
#include "cli/exit_status.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "cli/version.h"
#include "compose/labels.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

// Called in docker's place, programs ask whether Compose is new enough.
bool StandsForDocker(const Context& context) {
  return context.program().starts_with("docker");
}

}  // namespace

Result<int> RunVersion(Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckChoice(arguments, "format", {"pretty", "json"}));
  const bool docker = StandsForDocker(context);
  const std::string_view number = docker ? compose::kComposeVersion : kVersion;
  std::string text;
  if (arguments.Bool("short")) {
    text = fmt::format("{}\n", number);
  } else if (arguments.Text("format") == "json") {
    text = fmt::format("{{\"version\":\"v{}\"}}\n", number);
  } else if (docker) {
    text = fmt::format("Docker Compose version v{}\n", number);
  } else {
    text = fmt::format("Skiff version v{}\n", number);
  }
  SKIFF_TRY(context.Print(text));
  return 0;
}

Result<int> RunDockerVersion(Context& context, const Arguments& arguments) {
  utsname kernel{};
  uname(&kernel);
  const Json part = {{"Version", kVersion}, {"ApiVersion", "1.50"},
                     {"Os", "linux"},       {"Arch", "amd64"},
                     {"Name", "skiff"},     {"KernelVersion", kernel.release}};
  const Json value = {{"Client", part}, {"Server", part}};
  if (arguments.Has("format")) {
    SKIFF_ASSIGN(std::string text, RenderInspect({value}, arguments.Text("format")));
    // One object, no list.
    if (arguments.Text("format") == "json") text = text.substr(1, text.size() - 3) + '\n';
    SKIFF_TRY(context.Print(text));
    return 0;
  }
  SKIFF_TRY(
      context.Print(fmt::format("Client and engine: Skiff\n Version:      {}\n"
                                " API version:  1.50\n OS/Arch:      linux/amd64\n"
                                " Kernel:       {}\n",
                                kVersion, kernel.release)));
  return 0;
}

Result<int> RunCompletion(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const std::string script, CompletionScript(arguments.Operand(0)));
  SKIFF_TRY(context.Print(script));
  return 0;
}

Result<int> RunManual(Context& context, const Arguments& arguments) {
  const std::string name = arguments.Operand(0);
  const Command* command = nullptr;
  if (!name.empty()) {
    command = FindCommand(ComposeGroup(), name);
    if (command == nullptr) return Fail(Code::kNotFound, fmt::format("unknown command: {}", name));
  }
  SKIFF_TRY(context.Print(ManualPage(command)));
  return 0;
}

Result<int> RunSystemStart(Context& context, const Arguments&) {
  SKIFF_ASSIGN(const std::vector<engine::RestoredContainer> restored,
               context.around().restore_containers(context.EngineOptions()));
  bool failed = false;
  for (const engine::RestoredContainer& container : restored) {
    failed = failed || container.error;
    if (container.error) {
      context.PrintError(fmt::format("error: container {} could not be started: {}\n",
                                     container.name, container.error->Text()));
    } else {
      SKIFF_TRY(context.Print(container.name + "\n"));
    }
  }
  return failed ? kExitFailure : 0;
}

Result<int> RunSystemRetire(Context& context, const Arguments&) {
  SKIFF_TRY(context.around().retire_root(context.EngineOptions()));
  return 0;
}

Result<int> RunSystemCheck(Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckChoice(arguments, "format", {"text", "json"}));
  SKIFF_ASSIGN(const engine::SystemReport report,
               context.around().system_check(context.EngineOptions(), arguments.Bool("repair")));
  int open = 0;
  Json problems = Json::array();
  std::string text;
  for (const engine::SystemProblem& problem : report.problems) {
    open += problem.repaired ? 0 : 1;
    problems.push_back({{"kind", problem.kind},
                        {"object", problem.object},
                        {"message", problem.message},
                        {"repaired", problem.repaired}});
    text += fmt::format("{} {}: {}{}\n", problem.kind, problem.object, problem.message,
                        problem.repaired ? " (repaired)" : "");
  }
  if (arguments.Text("format") == "json") {
    const Json out = {{"checked", report.checked}, {"problems", std::move(problems)}};
    text = out.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  } else {
    text += fmt::format("{} objects checked, {} problem{} found{}\n", report.checked,
                        report.problems.size(), report.problems.size() == 1 ? "" : "s",
                        open > 0 && !arguments.Bool("repair") ? "; run with --repair" : "");
  }
  SKIFF_TRY(context.Print(text));
  return open == 0 ? 0 : kExitFailure;
}

}  // namespace skiff::cli
