#include <fmt/format.h>

#include "base/text.h"
#include "cli/flag_values.h"
#include "cli/verbs.h"
#include "compose/use_cases.h"

namespace skiff::cli {
namespace {

// What the verbs that act on existing containers have in common: find the project, run, end with 0.
template <typename Call>
Result<int> WithProject(Context& context, const std::vector<std::string>& services, Call call) {
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, services));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  SKIFF_TRY(call(use, project.ref));
  return 0;
}

// "Going to remove a, b" and y/N on the terminal.
bool Confirm(const Context& context, const std::vector<std::string>& names) {
  context.PrintError(fmt::format("? Going to remove {}. Are you sure? [yN] ", Join(names, ", ")));
  return context.ReadYes();
}

}  // namespace

Result<int> RunDown(Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckChoice(arguments, "rmi", {"local", "all"}));
  compose::DownOptions options;
  options.services = arguments.operands();
  options.volumes = arguments.Bool("volumes");
  options.remove_orphans = arguments.Has("remove-orphans")
                               ? arguments.Bool("remove-orphans")
                               : context.TruthVariable("COMPOSE_REMOVE_ORPHANS");
  options.timeout = SecondsOf(arguments, "timeout");
  options.rmi = arguments.Text("rmi");
  return WithProject(context, options.services, [&](const auto& use, const auto& project) {
    return compose::Down(use, project, options);
  });
}

Result<int> RunStop(Context& context, const Arguments& arguments) {
  const compose::StopOptions options{arguments.operands(), SecondsOf(arguments, "timeout")};
  return WithProject(context, options.services, [&](const auto& use, const auto& project) {
    return compose::Stop(use, project, options);
  });
}

Result<int> RunRestart(Context& context, const Arguments& arguments) {
  const compose::RestartOptions options{arguments.operands(), SecondsOf(arguments, "timeout"),
                                        arguments.Bool("no-deps")};
  return WithProject(context, options.services, [&](const auto& use, const auto& project) {
    return compose::Restart(use, project, options);
  });
}

Result<int> RunKill(Context& context, const Arguments& arguments) {
  const compose::KillOptions options{arguments.operands(), arguments.Text("signal"),
                                     arguments.Bool("remove-orphans")};
  SKIFF_TRY(ParseSignal(options.signal));
  return WithProject(context, options.services, [&](const auto& use, const auto& project) {
    return compose::Kill(use, project, options);
  });
}

Result<int> RunRm(Context& context, const Arguments& arguments) {
  compose::RmOptions options;
  options.services = arguments.operands();
  options.stop = arguments.Bool("stop");
  options.volumes = arguments.Bool("volumes");
  if (!arguments.Bool("force")) {
    options.confirm = [&context](const std::vector<std::string>& names) {
      return Confirm(context, names);
    };
  }
  return WithProject(context, options.services, [&](const auto& use, const auto& project) {
    return compose::Rm(use, project, options);
  });
}

Result<int> RunPause(Context& context, const Arguments& arguments) {
  return WithProject(context, arguments.operands(), [&](const auto& use, const auto& project) {
    return compose::Pause(use, project, arguments.operands());
  });
}

Result<int> RunUnpause(Context& context, const Arguments& arguments) {
  return WithProject(context, arguments.operands(), [&](const auto& use, const auto& project) {
    return compose::Unpause(use, project, arguments.operands());
  });
}

}  // namespace skiff::cli
