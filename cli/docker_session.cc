#include <fmt/format.h>

#include "base/fd.h"
#include "base/units.h"
#include "cli/exit_status.h"
#include "cli/flag_values.h"
#include "cli/operands.h"
#include "cli/terminal_session.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

SessionOptions Streams(const Context& context) {
  SessionOptions options;
  options.in = context.around().in;
  options.out = context.around().out;
  options.err = context.around().err;
  return options;
}

Result<int> AttachTo(Context& context, engine::Engine& engine, const engine::Container& container,
                     SessionOptions options, bool start) {
  options.tty = container.config.tty;
  options.interactive = options.interactive && container.config.open_stdin;
  if (options.tty && options.interactive && !IsTerminal(options.in)) {
    return Fail(Code::kInvalidArgument, "the input device is not a TTY");
  }
  SKIFF_ASSIGN(const auto driver, TerminalSession::Create(options));
  SKIFF_ASSIGN(auto session, engine.Attach(container.id, driver->streams()));
  if (start) {
    Status started = engine.StartContainer(container.id);
    if (started) started = engine.Commit();
    if (!started) {
      context.Report(started.error(), nullptr);
      return StartFailureStatus(started.error(), kExitFailure);
    }
  }
  return driver->Drive(*session);
}

Result<int> WaitFor(engine::Engine& engine, const std::string& ref) {
  SKIFF_ASSIGN(engine::Container container, engine.InspectContainer(ref));
  const std::string id = container.id;
  SKIFF_ASSIGN(const auto watch, engine.WatchContainers({.all = true, .labels = {}}));
  for (;;) {
    auto now = engine.InspectContainer(id);
    if (!now) {
      // Removed after its end: the last state that was seen counts.
      if (now.error().code == Code::kNotFound) return container.state.exit_code;
      return Fail(now.error());
    }
    container = std::move(*now);
    const bool alive =
        container.state.running() || container.state.status == engine::ContainerStatus::kRestarting;
    if (!alive) return container.state.exit_code;
    SKIFF_ASSIGN(const auto changes, watch->Next(-1));
    for (const engine::StateChange& change : changes) {
      if (change.id == id && !change.removed) container.state = change.state;
    }
  }
}

}  // namespace

Result<int> RunDockerExec(Context& context, const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.operands();
  engine::ExecConfig config;
  config.command.assign(words.begin() + 1, words.end());
  const Environment& environment = context.around().environment;
  for (const std::string& path : arguments.List("env-file")) {
    SKIFF_ASSIGN(const auto lines, ReadEnvironmentFile(path, environment));
    config.environment.insert(config.environment.end(), lines.begin(), lines.end());
  }
  SKIFF_ASSIGN(const auto variables, ResolveEnvironment(arguments.List("env"), environment));
  config.environment.insert(config.environment.end(), variables.begin(), variables.end());
  config.user = arguments.Text("user");
  config.working_dir = arguments.Text("workdir");
  config.privileged = arguments.Bool("privileged");
  const bool detached = arguments.Bool("detach");
  SessionOptions options = Streams(context);
  options.tty = config.tty = arguments.Bool("tty") && !detached;
  options.interactive = arguments.Bool("interactive") && !detached;
  options.detach_keys = arguments.Text("detach-keys");
  if (options.tty && options.interactive && !IsTerminal(options.in)) {
    return Fail(Code::kInvalidArgument, "the input device is not a TTY");
  }
  SKIFF_ASSIGN(const auto driver, TerminalSession::Create(options));
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  auto session = engine->Exec(
      words[0], config, detached ? engine::StandardStreams{} : driver->streams(), driver->size());
  if (!session) {
    context.Report(session.error(), nullptr);
    return StartFailureStatus(session.error(), kExitFailure);
  }
  if (detached) return 0;
  return driver->Drive(**session);
}

Result<int> RunDockerAttach(Context& context, const Arguments& arguments) {
  return AttachToContainer(context, arguments, arguments.Operand(0));
}

Result<int> AttachToContainer(Context& context, const Arguments& arguments,
                              const std::string& ref) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const engine::Container container, engine->InspectContainer(ref));
  if (container.state.status == engine::ContainerStatus::kPaused) {
    return Fail(Code::kFailedPrecondition,
                "You cannot attach to a paused container, unpause it first");
  }
  if (!container.state.running()) {
    return Fail(Code::kFailedPrecondition,
                "You cannot attach to a stopped container, start it first");
  }
  SessionOptions options = Streams(context);
  options.interactive = !arguments.Bool("no-stdin");
  options.forward_signals = arguments.Bool("sig-proxy");
  options.detach_keys = arguments.Text("detach-keys");
  return AttachTo(context, *engine, container, options, false);
}

Result<int> RunDockerStart(Context& context, const Arguments& arguments) {
  if (!arguments.Bool("attach") && !arguments.Bool("interactive")) {
    return ForEachPrinted(context, arguments, [](engine::Engine& engine, const std::string& ref) {
      return engine.StartContainer(ref);
    });
  }
  if (arguments.operands().size() > 1) {
    return Fail(Code::kInvalidArgument, "you cannot start and attach multiple containers at once");
  }
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const engine::Container container, engine->InspectContainer(arguments.Operand(0)));
  SessionOptions options = Streams(context);
  options.interactive = arguments.Bool("interactive");
  options.detach_keys = arguments.Text("detach-keys");
  return AttachTo(context, *engine, container, options, true);
}

Result<int> RunDockerLogs(Context& context, const Arguments& arguments) {
  engine::LogOptions options;
  options.follow = arguments.Bool("follow");
  SKIFF_ASSIGN(options.tail, ParseTail(arguments.Text("tail")));
  SKIFF_ASSIGN(options.since, ParseMoment(arguments.Text("since"), context.now()));
  SKIFF_ASSIGN(options.until, ParseMoment(arguments.Text("until"), context.now()));
  SKIFF_ASSIGN(options.cancel_fd, context.InterruptFd());
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  const bool stamps = arguments.Bool("timestamps");
  Status written;
  std::string line;
  SKIFF_TRY(engine->ReadLogs(arguments.Operand(0), options, [&](const engine::LogEntry& entry) {
    const bool out = entry.stream == engine::LogStream::kStdout;
    line.clear();
    if (stamps) line = FormatTimestamp(entry.time) + ' ';
    line += entry.text;
    written = WriteAll(out ? context.around().out : context.around().err, line, "the output");
    return written.has_value();
  }));
  SKIFF_TRY(written);
  return 0;
}

Result<int> RunDockerWait(Context& context, const Arguments& arguments) {
  return ForEachOperand(context, arguments,
                        [&](engine::Engine& engine, const std::string& ref) -> Status {
                          SKIFF_ASSIGN(const int code, WaitFor(engine, ref));
                          return context.Print(fmt::format("{}\n", code));
                        });
}

}  // namespace skiff::cli
