#include "compose/operation_runner.h"

#include <fmt/format.h>

#include "base/text.h"
#include "compose/execute.h"
#include "compose/hook_process.h"

namespace skiff::compose {
namespace {

constexpr int64_t kExplainedLines = 10;
constexpr size_t kExplainedBytes = 4096;

// What a person sees of an operation; "" is not shown.
struct Words {
  std::string_view doing, done;
};

Words WordsOf(const Operation& operation) {
  switch (operation.kind) {
    case OperationKind::kCreateNetwork:
    case OperationKind::kCreateVolume:
      return {"Creating", "Created"};
    case OperationKind::kCreateContainer:
      if (operation.recreate) return {"Recreate", ""};
      return {"Creating", "Created"};
    case OperationKind::kStartContainer:
      return {"Starting", "Started"};
    case OperationKind::kStopContainer:
      if (operation.recreate) return {"", ""};
      return {"Stopping", "Stopped"};
    case OperationKind::kRemoveContainer:
      if (operation.recreate) return {"", "Recreated"};
      return {"Removing", "Removed"};
    case OperationKind::kRemoveNetwork:
    case OperationKind::kRemoveVolume:
    case OperationKind::kRemoveImage:
      return {"Removing", "Removed"};
    case OperationKind::kKillContainer:
      return {"Killing", "Killed"};
    case OperationKind::kRestartContainer:
      return {"Restarting", "Started"};
    case OperationKind::kPauseContainer:
      return {"Pausing", "Paused"};
    case OperationKind::kUnpauseContainer:
      return {"Unpausing", "Unpaused"};
    case OperationKind::kDisconnectNetwork:
    case OperationKind::kConnectNetwork:
    case OperationKind::kRunHook:
    case OperationKind::kWait:
      return {"", ""};
  }
  return {"", ""};
}

std::string ResourceId(const Operation& operation) {
  switch (operation.kind) {
    case OperationKind::kCreateNetwork:
    case OperationKind::kRemoveNetwork:
      return "Network " + operation.name;
    case OperationKind::kCreateVolume:
    case OperationKind::kRemoveVolume:
      return "Volume " + operation.name;
    case OperationKind::kRemoveImage:
      return "Image " + operation.name;
    default:
      return "Container " + operation.name;
  }
}

}  // namespace

void OperationRunner::Report(std::string id, std::string_view status, ProgressPhase phase,
                             std::string details) const {
  ProgressEvent event;
  event.id = std::move(id);
  event.status = status;
  event.phase = phase;
  event.details = std::move(details);
  progress_.Report(event);
}

std::string OperationRunner::IdOf(const ContainerTarget& target) const {
  if (target.created_by < 0) return target.id;
  const std::lock_guard lock(mutex_);
  return created_[static_cast<size_t>(target.created_by)];
}

Status OperationRunner::Run(int index) {
  const Operation& operation = plan_.operations[static_cast<size_t>(index)];
  const Words words = WordsOf(operation);
  ProgressEvent event;
  event.id = ResourceId(operation);
  event.cause = operation.cause;
  event.explain = operation.recreate;
  if (!words.doing.empty()) {
    event.status = words.doing;
    progress_.Report(event);
  }
  Status status = Call(index, operation);
  if (!status && operation.ignore_failure) {
    return Tolerate(operation, std::move(status));
  }
  if (!status) {
    Report(ResourceId(operation), "Error", ProgressPhase::kError, status.error().Text());
    Error error = std::move(status.error());
    if (!error.span.valid()) error.span = operation.span;
    error.notes.push_back({fmt::format("while: {} {} ({})", OperationName(operation.kind),
                                       operation.name, operation.cause),
                           {}});
    return Fail(std::move(error));
  }
  if (!words.done.empty()) {
    event.status = words.done;
    event.phase = ProgressPhase::kDone;
    progress_.Report(event);
  }
  return {};
}

// Somebody else uses it, or it is gone: what was wanted cannot be had, and nothing is broken.
Status OperationRunner::Tolerate(const Operation& operation, Status status) const {
  const std::string id = ResourceId(operation);
  switch (status.error().code) {
    case Code::kNotFound:
      Report(id, operation.kind == OperationKind::kRemoveImage ? "Warning" : "Removed",
             operation.kind == OperationKind::kRemoveImage ? ProgressPhase::kWarning
                                                           : ProgressPhase::kDone,
             operation.kind == OperationKind::kRemoveImage ? "No resource found to remove" : "");
      return {};
    case Code::kFailedPrecondition:
    case Code::kAlreadyExists:
      Report(id, "Resource is still in use", ProgressPhase::kWarning);
      return {};
    default:
      Report(id, "Error", ProgressPhase::kError, status.error().Text());
      return status;
  }
}

Status OperationRunner::Create(int index, const Operation& operation) {
  engine::ContainerConfig config = operation.container_config;
  for (const ContainerReference& reference : operation.references) {
    const std::string id = IdOf(reference.target);
    switch (reference.field) {
      case ContainerReference::Field::kNetwork:
        config.network_mode = "container:" + id;
        break;
      case ContainerReference::Field::kPid:
        config.pid_mode = "container:" + id;
        break;
      case ContainerReference::Field::kIpc:
        config.ipc_mode = "container:" + id;
        break;
      case ContainerReference::Field::kVolumesFrom:
        config.volumes_from.push_back(id + reference.suffix);
        break;
    }
  }
  SKIFF_ASSIGN(engine::CreatedContainer created, engine_.CreateContainer(config));
  for (const std::string& warning : created.warnings) {
    progress_.Diagnose(
        {Severity::kWarning,
         Error(Code::kUnsupported, fmt::format("services.{}: {}", operation.service, warning))
             .At(operation.span)});
  }
  const std::lock_guard lock(mutex_);
  created_[static_cast<size_t>(index)] = std::move(created.id);
  return {};
}

Status OperationRunner::RunHook(const Operation& operation, const std::string& id) {
  HookLineSink on_line;
  if (options_.hook_output) {
    on_line = [&](engine::LogStream stream, std::string_view line) {
      options_.hook_output(operation, stream, line);
    };
  }
  const auto ran = RunHookProcess(engine_, id, operation.hook, options_.interrupt_fd, on_line);
  if (!ran) {
    const bool gone =
        ran.error().code == Code::kNotFound || ran.error().code == Code::kFailedPrecondition;
    return gone && operation.ended_is_success ? Status() : Fail(ran.error());
  }
  if (ran->exit_code == 0) return {};
  return Fail(Code::kSystem, fmt::format("{} hook exited with status {}{}{}", operation.service,
                                         ran->exit_code, ran->tail.empty() ? "" : ": ", ran->tail));
}

Status OperationRunner::Call(int index, const Operation& operation) {
  switch (operation.kind) {
    case OperationKind::kCreateNetwork: {
      SKIFF_TRY(engine_.CreateNetwork(operation.network_config));
      return {};
    }
    case OperationKind::kRemoveNetwork:
      return engine_.RemoveNetwork(operation.name);
    case OperationKind::kCreateVolume: {
      SKIFF_TRY(engine_.CreateVolume(operation.volume_config));
      return {};
    }
    case OperationKind::kRemoveVolume:
      return engine_.RemoveVolume(operation.name);
    case OperationKind::kRemoveImage: {
      SKIFF_TRY(engine_.RemoveImage(operation.name, false));
      return {};
    }
    case OperationKind::kCreateContainer:
      return Create(index, operation);
    default:
      return CallContainer(operation, IdOf(operation.container));
  }
}

Status OperationRunner::CallContainer(const Operation& operation, const std::string& id) {
  switch (operation.kind) {
    case OperationKind::kDisconnectNetwork:
      return engine_.DisconnectNetwork(id, operation.endpoint.network);
    case OperationKind::kConnectNetwork:
      return engine_.ConnectNetwork(id, operation.endpoint);
    case OperationKind::kStartContainer:
      return engine_.StartContainer(id);
    case OperationKind::kStopContainer:
      return engine_.StopContainer(id, operation.stop);
    case OperationKind::kKillContainer:
      return engine_.KillContainer(id, operation.signal);
    case OperationKind::kRestartContainer:
      return engine_.RestartContainer(id, operation.stop);
    case OperationKind::kPauseContainer:
      return engine_.PauseContainer(id);
    case OperationKind::kUnpauseContainer:
      return engine_.UnpauseContainer(id);
    case OperationKind::kRunHook:
      return RunHook(operation, id);
    case OperationKind::kRemoveContainer: {
      Status status = engine_.RemoveContainer(id, operation.remove);
      // Gone already: an auto-removed one, or another command was faster.
      if (!status && status.error().code == Code::kNotFound) return {};
      return status;
    }
    default:
      return Fail(Code::kInternal, "an operation of a plan is no engine call");
  }
}

void ExplainContainer(engine::Engine& engine, const std::string& id, const std::string& name,
                      Error& error) {
  if (const auto container = engine.InspectContainer(id)) {
    const auto& probes = container->state.health_log;
    if (!probes.empty() && probes.back().exit_code != 0) {
      const engine::ProbeResult& probe = probes.back();
      error.notes.push_back(
          {fmt::format("last probe of {} {}{}", name,
                       probe.exit_code < 0 ? std::string("timed out")
                                           : fmt::format("exited with {}", probe.exit_code),
                       probe.output.empty() ? "" : ": " + std::string(Trim(probe.output))),
           {}});
    }
    if (!container->state.error.empty()) error.notes.push_back({container->state.error, {}});
  }
  engine::LogOptions options;
  options.tail = kExplainedLines;
  std::string output;
  const Status read = engine.ReadLogs(id, options, [&](const engine::LogEntry& entry) {
    output += entry.text;
    return output.size() < kExplainedBytes;
  });
  if (!read || Trim(output).empty()) return;
  std::string text = fmt::format("last output of {}:", name);
  for (std::string_view line : Split(Trim(output), '\n')) text += fmt::format("\n    {}", line);
  error.notes.push_back({std::move(text), {}});
}

}  // namespace skiff::compose
