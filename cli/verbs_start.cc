#include <fmt/format.h>

#include <algorithm>

#include "cli/exit_status.h"
#include "cli/flag_values.h"
#include "cli/pull_services.h"
#include "cli/terminal_session.h"
#include "cli/verbs.h"
#include "compose/use_cases.h"

namespace skiff::cli {
namespace {

Status CheckImageFlags(const Arguments& arguments) {
  SKIFF_TRY(RefuseTogether(arguments, "build", "no-build"));
  SKIFF_TRY(CheckChoice(arguments, "pull", {"always", "missing", "never", "build"}));
  return {};
}

// Images that are not here, or that are wanted anew.
Status PullBefore(Context& context, const Arguments& arguments, const schema::LoadResult& model,
                  const std::vector<std::string>& services, bool no_deps) {
  compose::PullOptions options;
  options.services = services;
  options.choice = compose::PullChoice::kNeeded;
  if (arguments.Has("pull")) options.policy = arguments.Text("pull");
  options.with_dependencies = !no_deps;
  options.quiet = arguments.Bool("quiet-pull");
  return PullServices(context, model, options);
}

Result<compose::CreateOptions> CreateOptionsOf(const Context& context, const Arguments& arguments) {
  SKIFF_TRY(RefuseTogether(arguments, "force-recreate", "no-recreate"));
  compose::CreateOptions options;
  options.services = arguments.operands();
  options.force_recreate = arguments.Bool("force-recreate");
  options.no_recreate = arguments.Bool("no-recreate");
  options.ignore_orphans = context.TruthVariable("COMPOSE_IGNORE_ORPHANS");
  options.remove_orphans = arguments.Has("remove-orphans")
                               ? arguments.Bool("remove-orphans")
                               : context.TruthVariable("COMPOSE_REMOVE_ORPHANS");
  if (options.ignore_orphans && options.remove_orphans) {
    return Fail(Code::kInvalidArgument,
                "cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans");
  }
  SKIFF_ASSIGN(options.scale, ParseScale(arguments.List("scale")));
  return options;
}

// Flags that `up` and `plan` have in common.
Result<compose::UpOptions> PlanOptionsOf(const Context& context, const Arguments& arguments) {
  SKIFF_TRY(RefuseTogether(arguments, "renew-anon-volumes", "no-recreate"));
  SKIFF_TRY(RefuseTogether(arguments, "always-recreate-deps", "no-recreate"));
  compose::UpOptions options;
  SKIFF_ASSIGN(options.create, CreateOptionsOf(context, arguments));
  options.create.no_deps = arguments.Bool("no-deps");
  options.create.always_recreate_deps = arguments.Bool("always-recreate-deps");
  options.create.renew_anon_volumes = arguments.Bool("renew-anon-volumes");
  options.create.timeout = SecondsOf(arguments, "timeout");
  return options;
}

Status CheckUpPairs(const Arguments& arguments) {
  for (std::string_view background : {"detach", "wait"}) {
    for (std::string_view attached : {"abort-on-container-exit", "abort-on-container-failure",
                                      "attach", "attach-dependencies", "watch"}) {
      if (!arguments.Bool(background)) continue;
      SKIFF_TRY(RefuseTogether(arguments, background, attached));
    }
  }
  SKIFF_TRY(RefuseTogether(arguments, "attach", "attach-dependencies"));
  if (arguments.Bool("detach")) SKIFF_TRY(RefuseTogether(arguments, "detach", "exit-code-from"));
  return RefuseTogether(arguments, "abort-on-container-exit", "abort-on-container-failure");
}

Result<compose::UpOptions> UpOptionsOf(const Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckUpPairs(arguments));
  SKIFF_TRY(CheckImageFlags(arguments));
  if (arguments.Bool("watch")) SKIFF_TRY(RefuseTogether(arguments, "watch", "no-build"));
  SKIFF_ASSIGN(compose::UpOptions options, PlanOptionsOf(context, arguments));
  options.wait = arguments.Bool("wait") || arguments.Has("wait-timeout");
  options.detach = arguments.Bool("detach") || options.wait;
  options.no_start = arguments.Bool("no-start");
  options.wait_timeout = SecondsOf(arguments, "wait-timeout");
  options.exit_code_from = arguments.Text("exit-code-from");
  options.abort_on_container_exit =
      arguments.Bool("abort-on-container-exit") || !options.exit_code_from.empty();
  options.abort_on_container_failure = arguments.Bool("abort-on-container-failure");
  options.attach = arguments.List("attach");
  options.no_attach = arguments.List("no-attach");
  options.attach_dependencies = arguments.Bool("attach-dependencies");
  options.log_style.prefix = !arguments.Bool("no-log-prefix");
  options.log_style.timestamps = arguments.Bool("timestamps");
  return options;
}

// A terminal when the person has one and does not decline it.
Result<bool> WantsTerminal(const Context& context, bool declined, bool demanded) {
  const bool has = IsTerminal(context.around().in) && IsTerminal(context.around().out);
  if (demanded && !IsTerminal(context.around().in)) {
    return Fail(Code::kInvalidArgument, "the input device is not a TTY");
  }
  return has && !declined;
}

Status FillRunOptions(const Context& context, const Arguments& arguments,
                      compose::RunOptions& options) {
  options.service = arguments.Operand(0);
  const std::vector<std::string>& words = arguments.operands();
  if (words.size() > 1) options.command = std::vector(words.begin() + 1, words.end());
  if (arguments.Has("entrypoint")) {
    SKIFF_ASSIGN(options.entrypoint, SplitShellWords(arguments.Text("entrypoint")));
  }
  const Environment& environment = context.around().environment;
  for (const std::string& path : arguments.List("env-from-file")) {
    SKIFF_ASSIGN(const auto lines, ReadEnvironmentFile(path, environment));
    options.environment.insert(options.environment.end(), lines.begin(), lines.end());
  }
  SKIFF_ASSIGN(const auto variables, ResolveEnvironment(arguments.List("env"), environment));
  options.environment.insert(options.environment.end(), variables.begin(), variables.end());
  for (const std::string& volume : arguments.List("volume")) {
    const bool relative = volume.starts_with('.') && volume.find(':') != std::string::npos;
    options.volumes.push_back(relative ? context.around().working_dir + '/' + volume : volume);
  }
  options.publish = arguments.List("publish");
  for (const std::string& port : options.publish) SKIFF_TRY(ParsePublish(port));
  for (const std::string& label : arguments.List("label")) {
    SKIFF_ASSIGN(auto pair, ParseKeyValue(label, "label"));
    options.labels.insert_or_assign(std::move(pair.first), std::move(pair.second));
  }
  options.cap_add = arguments.List("cap-add");
  options.cap_drop = arguments.List("cap-drop");
  options.name = arguments.Text("name");
  options.user = arguments.Text("user");
  options.working_dir = arguments.Text("workdir");
  options.remove = arguments.Bool("rm");
  options.detach = arguments.Bool("detach");
  options.service_ports = arguments.Bool("service-ports");
  options.no_deps = arguments.Bool("no-deps");
  options.use_aliases = arguments.Bool("use-aliases");
  options.remove_orphans = arguments.Bool("remove-orphans");
  options.interactive = arguments.Bool("interactive") && !options.detach;
  SKIFF_ASSIGN(options.tty, WantsTerminal(context, arguments.Bool("no-tty") || options.detach,
                                          arguments.Bool("tty")));
  return {};
}

}  // namespace

Result<int> RunUp(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(compose::UpOptions options, UpOptionsOf(context, arguments));
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, arguments.operands()));
  SKIFF_TRY(ConfirmRemoteProject(context, *model, arguments.Bool("yes")));
  SKIFF_TRY(PullBefore(context, arguments, *model, options.create.services, options.create.no_deps));
  SKIFF_TRY(BuildBefore(context, *model,
                        {options.create.services, options.create.no_deps, arguments.Bool("build"),
                         arguments.Bool("no-build"), arguments.Bool("quiet-build")}));
  SKIFF_ASSIGN(compose::Context use, context.ComposeContext(model->sources.get()));
  if (arguments.Bool("no-color")) use.output.color = false;
  if (arguments.Bool("watch")) {
    options.watch = WatchOptionsOf(context, use, *model, arguments.operands(),
                                   arguments.Bool("quiet-build"));
  }
  return compose::Up(use, model->project, options);
}

Result<int> RunWatch(Context& context, const Arguments& arguments) {
  const std::vector<std::string>& services = arguments.operands();
  const bool quiet = arguments.Bool("quiet");
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, services));
  if (!arguments.Bool("no-up")) {
    compose::PullOptions pull;
    pull.services = services;
    pull.choice = compose::PullChoice::kNeeded;
    pull.with_dependencies = true;
    pull.quiet = quiet;
    SKIFF_TRY(PullServices(context, *model, pull));
    // What is watched is built from what is there now.
    std::vector<std::string> watched;
    for (const auto& [name, service] : model->project.services) {
      const bool selected = services.empty() || std::ranges::count(services, name) > 0;
      if (selected && service.build && !service.watch.empty()) watched.push_back(name);
    }
    if (!watched.empty()) {
      SKIFF_TRY(BuildBefore(context, *model, {watched, true, true, false, quiet}));
    }
    SKIFF_TRY(BuildBefore(context, *model, {services, false, false, false, quiet}));
  }
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model->sources.get()));
  if (!arguments.Bool("no-up")) {
    compose::UpOptions up;
    up.create.services = services;
    up.detach = true;
    SKIFF_TRY(compose::Up(use, model->project, up));
  }
  if (context.globals.dry_run) return 0;
  compose::WatchOptions options = WatchOptionsOf(context, use, *model, services, quiet);
  options.prune = arguments.Bool("prune");
  SKIFF_TRY(compose::Watch(use, model->project, options));
  return kExitInterrupted;
}

Result<int> RunPlan(Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckChoice(arguments, "format", {"text", "json"}));
  SKIFF_ASSIGN(const compose::UpOptions options, PlanOptionsOf(context, arguments));
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, arguments.operands(), false));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model->sources.get()));
  SKIFF_ASSIGN(const compose::Plan plan, compose::PlanUp(use, model->project, options));
  const bool json = arguments.Text("format") == "json";
  if (!json) context.PrintError(FormatDiagnostics(plan.warnings, *model->sources));
  std::string text = json ? compose::PlanToJson(plan) + '\n' : compose::PlanToText(plan);
  SKIFF_TRY(context.Print(text));
  return 0;
}

Result<int> RunCreate(Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckImageFlags(arguments));
  SKIFF_ASSIGN(const compose::CreateOptions options, CreateOptionsOf(context, arguments));
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, arguments.operands()));
  SKIFF_TRY(PullBefore(context, arguments, *model, options.services, options.no_deps));
  SKIFF_TRY(BuildBefore(context, *model,
                        {options.services, options.no_deps, arguments.Bool("build"),
                         arguments.Bool("no-build"), false}));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model->sources.get()));
  SKIFF_TRY(compose::Create(use, model->project, options));
  return 0;
}

Result<int> RunScale(Context& context, const Arguments& arguments) {
  compose::ScaleOptions options;
  SKIFF_ASSIGN(options.scale, ParseScale(arguments.operands()));
  options.no_deps = arguments.Bool("no-deps");
  std::vector<std::string> services;
  for (const auto& [service, count] : options.scale) services.push_back(service);
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, services));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model->sources.get()));
  SKIFF_TRY(compose::Scale(use, model->project, options));
  return 0;
}

Result<int> RunStart(Context& context, const Arguments& arguments) {
  compose::StartOptions options;
  options.services = arguments.operands();
  options.wait = arguments.Bool("wait") || arguments.Has("wait-timeout");
  options.wait_timeout = SecondsOf(arguments, "wait-timeout");
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, options.services));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  SKIFF_TRY(compose::Start(use, project.ref, options));
  return 0;
}

Result<int> RunRun(Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckChoice(arguments, "pull", {"always", "missing", "never"}));
  compose::RunOptions options;
  SKIFF_TRY(FillRunOptions(context, arguments, options));
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, {options.service}));
  SKIFF_TRY(ConfirmRemoteProject(context, *model, false));
  SKIFF_TRY(PullBefore(context, arguments, *model, {options.service}, options.no_deps));
  SKIFF_TRY(BuildBefore(context, *model,
                        {{options.service},
                         options.no_deps,
                         arguments.Bool("build"),
                         false,
                         arguments.Bool("quiet-build")}));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model->sources.get()));
  SessionOptions session;
  session.tty = options.tty;
  session.interactive = options.interactive;
  session.in = context.around().in;
  session.out = context.around().out;
  session.err = context.around().err;
  SKIFF_ASSIGN(const auto driver, TerminalSession::Create(session));
  SKIFF_ASSIGN(const compose::RunResult result,
               compose::Run(use, model->project, options, *driver));
  if (options.detach && !arguments.Bool("quiet")) {
    SKIFF_TRY(context.Print(result.container + '\n'));
  }
  return result.exit_code;
}

}  // namespace skiff::cli
