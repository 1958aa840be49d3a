// What is: listing, inspecting, talking to containers, logs.
#include <algorithm>

#include "base/trace.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/embedded/watch.h"
#include "engine-core/labels.h"
#include "engine-core/log_file.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine::embedded {
namespace {

constexpr int kKilled = 137;
constexpr int kUnknown = 255;

Container Describe(const ContainerRecord& record, ContainerState state, const Layout& layout) {
  Container container;
  container.id = record.id;
  container.name = record.name;
  container.image = record.image;
  container.image_id = record.image_id;
  container.created_at = record.created_at;
  container.command = record.command;
  container.labels = record.config.labels;
  container.annotations = record.config.annotations;
  container.ports = record.ports;
  for (const store::EndpointRecord& endpoint : record.endpoints) {
    container.endpoints.push_back(endpoint.endpoint);
  }
  container.mounts = record.mounts;
  container.log_path = layout.container_log(record.id);
  container.config = record.config;
  const bool alive = state.running() || state.status == ContainerStatus::kRestarting;
  if (!alive) {
    // docker: a container that does not run publishes nothing.
    for (PublishedPort& port : container.ports) port.host_port = 0;
  }
  container.state = std::move(state);
  return container;
}

}  // namespace

ContainerState EmbeddedEngine::StateOf(const ContainerRecord& record) {
  const MonitorClient client(layout_.run_container(record.id));
  auto state = client.ReadState();
  if (!state) {
    ContainerState none;
    if (record.desired != store::Desired::kNeverStarted) {
      // It ran before the last boot. Where that ended it nobody knows how.
      if (auto ended = EndOf(record)) return std::move(*ended);
      none.status = ContainerStatus::kExited;
      none.exit_code = kUnknown;
    }
    return none;
  }
  const bool claims = state->running() || state->status == ContainerStatus::kRestarting;
  if (!claims || client.Alive()) return std::move(*state);
  // It may have written its last state between the two questions.
  state = client.ReadState();
  if (!state) return {};
  if (state->running() || state->status == ContainerStatus::kRestarting) {
    state->status = ContainerStatus::kExited;
    state->exit_code = kKilled;
    state->pid = 0;
    state->error = "the container's monitor was killed";
  }
  return std::move(*state);
}

Result<std::vector<Container>> EmbeddedEngine::ListContainers(const ContainerFilter& filter) {
  const TraceSpan span("engine.list");
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto records, store_.Containers());
  std::vector<Container> found;
  for (const auto& record : records) {
    if (!LabelsMatch(record->config.labels, filter.labels)) continue;
    ContainerState state = StateOf(*record);
    const bool alive = state.running() || state.status == ContainerStatus::kRestarting;
    // One that removes itself is gone once it has ended, whoever gets to do it.
    const bool ended = state.status == ContainerStatus::kExited;
    if (record->config.auto_remove && ended) continue;
    if (!filter.all && !alive) continue;
    found.push_back(Describe(*record, std::move(state), layout_));
  }
  std::ranges::sort(found, [](const Container& a, const Container& b) {
    return a.created_at != b.created_at ? a.created_at > b.created_at : a.id < b.id;
  });
  return found;
}

Result<Container> EmbeddedEngine::InspectContainer(std::string_view ref) {
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  return Describe(*record, StateOf(*record), layout_);
}

Result<std::unique_ptr<Session>> EmbeddedEngine::Attach(std::string_view ref,
                                                        const StandardStreams& streams) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  const ContainerState state = StateOf(*record);
  if (state.status == ContainerStatus::kPaused) {
    return Fail(Code::kFailedPrecondition, "cannot attach to a paused container, unpause it first");
  }
  if (state.running()) return MonitorClient(layout_.run_container(record->id)).Attach(streams);
  if (state.status == ContainerStatus::kRestarting) {
    return Fail(Code::kFailedPrecondition,
                "cannot attach to a restarting container, wait until it is running");
  }
  SKIFF_ASSIGN(auto waiting, DeferredState::Make(streams, record->config.tty));
  const std::lock_guard lock(containers_mutex_);
  waiting_[record->id] = waiting;
  return std::make_unique<DeferredSession>(std::move(waiting));
}

Result<std::unique_ptr<Session>> EmbeddedEngine::Exec(std::string_view ref,
                                                      const ExecConfig& config,
                                                      const StandardStreams& streams,
                                                      TerminalSize size) {
  const TraceSpan span("engine.exec");
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  if (config.command.empty()) return Fail(Code::kInvalidArgument, "No exec command specified");
  const ContainerState state = StateOf(*record);
  if (state.status == ContainerStatus::kPaused) {
    return Fail(Code::kFailedPrecondition,
                "Container " + record->id + " is paused, unpause the container before exec");
  }
  if (!state.running()) {
    return Fail(Code::kFailedPrecondition, "container " + record->id + " is not running");
  }
  auto session = MonitorClient(layout_.run_container(record->id)).Exec(config, streams, size);
  if (!session && session.error().code == Code::kUnavailable) {
    return Fail(Code::kFailedPrecondition, "container " + record->id + " is not running");
  }
  return session;
}

Status EmbeddedEngine::ReadLogs(std::string_view ref, const LogOptions& options,
                                const std::function<bool(const LogEntry&)>& sink) {
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  if (record->config.log.driver == "none") {
    return Fail(Code::kUnsupported, "configured logging driver does not support reading");
  }
  const std::string path = layout_.container_log(record->id);
  if (options.follow) {
    return FollowContainerLog(path, layout_.run_container(record->id), options, sink);
  }
  return ReadLogFile(
      path, options, [] { return true; }, -1, sink);
}

Result<std::unique_ptr<Watch>> EmbeddedEngine::WatchContainers(const ContainerFilter& filter) {
  SKIFF_TRY(Open());
  return ContainerWatch::Open(this, layout_, filter);
}

}  // namespace skiff::engine::embedded
