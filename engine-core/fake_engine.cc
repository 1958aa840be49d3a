#include "engine-core/fake_engine.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <set>

#include "base/fd.h"
#include "engine-core/fake/state.h"
#include "engine-core/image_platform.h"
#include "engine-core/labels.h"

namespace skiff::engine {
namespace {

void Drain(const Fd& event) {
  uint64_t value = 0;
  [[maybe_unused]] const ssize_t got = ::read(event.get(), &value, sizeof value);
}

}  // namespace

class FakeEngine::FakeWatch : public Watch {
 public:
  FakeWatch(std::shared_ptr<Shared> shared, std::shared_ptr<Shared::Watcher> watcher)
      : shared_(std::move(shared)), watcher_(std::move(watcher)) {}

  int fd() const override { return watcher_->event.get(); }

  Result<std::vector<StateChange>> Next(int cancel_fd) override {
    while (true) {
      {
        const std::lock_guard lock(shared_->mutex);
        if (!watcher_->queue.empty()) {
          std::vector<StateChange> changes(watcher_->queue.begin(), watcher_->queue.end());
          watcher_->queue.clear();
          Drain(watcher_->event);
          return changes;
        }
        Drain(watcher_->event);
      }
      pollfd fds[] = {{watcher_->event.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0 && errno != EINTR) return FailErrno("cannot wait for containers");
      if (fds[1].revents != 0) return std::vector<StateChange>();
    }
  }

 private:
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Shared::Watcher> watcher_;
};

class FakeEngine::FakeSession : public Session {
 public:
  FakeSession(std::shared_ptr<Shared> shared, std::shared_ptr<Shared::SessionState> state)
      : shared_(std::move(shared)), state_(std::move(state)) {}

  int terminal_fd() const override { return -1; }
  Status Resize(TerminalSize) override { return {}; }
  Status Signal(int signal_number) override {
    const std::lock_guard lock(shared_->mutex);
    const auto it = shared_->containers.find(state_->container);
    if (it == shared_->containers.end()) return Fail(Code::kNotFound, "the process has ended");
    shared_->calls.push_back("Signal " + it->second.name + " " + std::to_string(signal_number));
    return {};
  }
  int exit_fd() const override { return state_->exit_event.get(); }
  Result<int> Wait() override {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait(lock, [&] { return state_->exit_code.has_value(); });
    return *state_->exit_code;
  }

 private:
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Shared::SessionState> state_;
};

FakeEngine::FakeEngine() : shared_(std::make_shared<Shared>()) {
  for (const char* name : {"bridge", "host", "none"}) {
    Network network;
    network.id = HexId(shared_->next_id++);
    network.config.name = name;
    network.config.driver = std::string_view(name) == "none" ? "null" : name;
    network.predefined = true;
    shared_->networks[name] = network;
  }
}
FakeEngine::~FakeEngine() = default;

std::vector<std::string> FakeEngine::Calls() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->calls;
}

void FakeEngine::ClearCalls() {
  const std::lock_guard lock(shared_->mutex);
  shared_->calls.clear();
}

void FakeEngine::AddImage(const std::string& reference, const ImageConfig& config) {
  const std::lock_guard lock(shared_->mutex);
  Image image;
  image.id = "sha256:" + HexId(shared_->next_id++);
  image.references = {WithTag(reference)};
  image.architecture = "amd64";
  image.os = "linux";
  image.created_at = shared_->Now();
  image.config = config;
  for (auto& [id, other] : shared_->images) std::erase(other.references, image.references[0]);
  shared_->images[image.id] = image;
}

void FakeEngine::SetBehaviour(const std::string& name, Behaviour behaviour) {
  const std::lock_guard lock(shared_->mutex);
  shared_->behaviours[name] = std::move(behaviour);
}

void FakeEngine::SetExecResult(const std::string& container, ExecResult result) {
  const std::lock_guard lock(shared_->mutex);
  shared_->exec_results[container] = std::move(result);
}

void FakeEngine::FailNext(const std::string& call, Error error) {
  const std::lock_guard lock(shared_->mutex);
  shared_->failures.emplace_back(call, std::move(error));
}

void FakeEngine::Exit(const std::string& ref, int exit_code) {
  const std::lock_guard lock(shared_->mutex);
  if (auto found = shared_->Find(ref)) shared_->End(**found, exit_code);
}

void FakeEngine::SetHealth(const std::string& ref, HealthStatus health) {
  const std::lock_guard lock(shared_->mutex);
  auto found = shared_->Find(ref);
  if (!found) return;
  (*found)->state.health = health;
  shared_->Announce(**found, false);
}

void FakeEngine::SetState(const std::string& ref, const ContainerState& state) {
  const std::lock_guard lock(shared_->mutex);
  auto found = shared_->Find(ref);
  if (!found) return;
  (*found)->state = state;
  shared_->Announce(**found, false);
}

void FakeEngine::AppendLog(const std::string& ref, FakeLog log) {
  const std::lock_guard lock(shared_->mutex);
  auto found = shared_->Find(ref);
  if (!found) return;
  shared_->logs[(*found)->id].push_back(std::move(log));
  shared_->changed.notify_all();
}

void FakeEngine::SetClock(int64_t now) {
  const std::lock_guard lock(shared_->mutex);
  shared_->clock = now;
}

Result<CreatedContainer> FakeEngine::CreateContainer(const ContainerConfig& config) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("CreateContainer " + config.name));
  static const Image kNothing;
  const bool on_layer = config.image.empty() && !config.writable_layer.empty();
  const Image* image = on_layer ? &kNothing : shared_->FindImage(config.image);
  if (image == nullptr) return Fail(Code::kNotFound, "No such image: " + WithTag(config.image));
  if (!config.platform.empty()) {
    SKIFF_ASSIGN(const Platform platform, ParsePlatform(config.platform));
    if (!PlatformMatches(platform, PlatformOf(*image))) {
      return Fail(Code::kNotFound, "No image of " + config.image + " for " + config.platform);
    }
  }
  std::string replaced;
  if (!config.replaces.empty()) {
    SKIFF_ASSIGN(Container * old, shared_->Find(config.replaces));
    replaced = old->id;
  }
  for (const auto& [id, other] : shared_->containers) {
    if (config.name.empty() || other.name != config.name || id == replaced) continue;
    return Fail(Code::kAlreadyExists, "Conflict. The container name \"/" + config.name +
                                          "\" is already in use by container \"" + id + "\"");
  }
  Container container;
  const int number = shared_->next_id++;
  container.id = HexId(number);
  container.name = config.name.empty() ? "fake_" + std::to_string(number) : config.name;
  if (!replaced.empty()) {
    container.name.clear();
    shared_->replaces[container.id] = replaced;
  }
  container.image = config.image;
  container.image_id = image->id;
  container.created_at = shared_->Now();
  container.labels = image->config.labels;
  for (const auto& [key, value] : config.labels) container.labels[key] = value;
  container.annotations = config.annotations;
  container.command = config.entrypoint.value_or(image->config.entrypoint);
  const auto command = config.command.value_or(config.entrypoint ? std::vector<std::string>()
                                                                 : image->config.command);
  container.command.insert(container.command.end(), command.begin(), command.end());
  container.config = config;
  for (const PortRequest& port : config.ports) {
    container.ports.push_back({port.host_ip, port.publish ? port.host_port : uint16_t{0},
                               port.container_port, port.protocol});
  }
  for (const EndpointRequest& request : config.endpoints) {
    const Network* network = shared_->FindNetwork(request.network);
    if (network == nullptr) {
      return Fail(Code::kNotFound, "network " + request.network + " not found");
    }
    Endpoint endpoint;
    endpoint.network = network->config.name;
    endpoint.network_id = network->id;
    endpoint.endpoint_id = HexId(shared_->next_id++);
    endpoint.aliases = request.aliases;
    endpoint.ipv4_address = request.ipv4_address.empty() ? "172.20.0." + std::to_string(number + 1)
                                                         : request.ipv4_address;
    endpoint.ipv4_prefix = 16;
    container.endpoints.push_back(endpoint);
  }
  for (const MountRequest& request : config.mounts) {
    Mount mount{request.kind, "", request.source, request.target, request.read_only, false};
    if (request.kind == MountKind::kVolume) {
      mount.anonymous = request.source.empty();
      mount.name = mount.anonymous ? HexId(shared_->next_id++) : request.source;
      mount.source = "/volumes/" + mount.name + "/_data";
      Volume& volume = shared_->volumes[mount.name];
      volume.config.name = mount.name;
      volume.config.driver = "local";
      volume.mountpoint = mount.source;
      volume.anonymous = volume.anonymous || mount.anonymous;
    }
    container.mounts.push_back(mount);
  }
  container.log_path = "/containers/" + container.id + "/" + container.id + "-json.log";
  const std::string id = container.id;
  shared_->containers[id] = std::move(container);
  shared_->Announce(shared_->containers[id], false);
  return CreatedContainer{id, {}};
}

Status FakeEngine::StartContainer(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("StartContainer " + container->name));
  return shared_->Start(*container);
}

Status FakeEngine::StopContainer(std::string_view ref, const StopOptions& options) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  std::string record = "StopContainer " + container->name;
  if (options.timeout) {
    record += " " + std::to_string(options.timeout->count() / kSecond) + "s";
  }
  SKIFF_TRY(shared_->Record(record));
  if (container->state.running() || container->state.status == ContainerStatus::kRestarting) {
    shared_->End(*container, 143);
  }
  return {};
}

Status FakeEngine::KillContainer(std::string_view ref, int signal_number) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(
      shared_->Record("KillContainer " + container->name + " " + std::to_string(signal_number)));
  if (!container->state.running()) {
    return Fail(Code::kFailedPrecondition, "container " + container->id + " is not running");
  }
  if (signal_number == 9 || signal_number == 15) shared_->End(*container, 128 + signal_number);
  return {};
}

Status FakeEngine::RestartContainer(std::string_view ref, const StopOptions&) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("RestartContainer " + container->name));
  container->state.status = ContainerStatus::kExited;
  return shared_->Start(*container);
}

Status FakeEngine::PauseContainer(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("PauseContainer " + container->name));
  if (container->state.status != ContainerStatus::kRunning) {
    return Fail(Code::kFailedPrecondition, "container " + container->id + " is not running");
  }
  container->state.status = ContainerStatus::kPaused;
  shared_->Announce(*container, false);
  return {};
}

Status FakeEngine::UnpauseContainer(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("UnpauseContainer " + container->name));
  if (container->state.status != ContainerStatus::kPaused) {
    return Fail(Code::kFailedPrecondition, "container " + container->id + " is not paused");
  }
  container->state.status = ContainerStatus::kRunning;
  shared_->Announce(*container, false);
  return {};
}

Status FakeEngine::RemoveContainer(std::string_view ref, const RemoveOptions& options) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("RemoveContainer " + container->name + (options.force ? " force" : "") +
                            (options.anonymous_volumes ? " volumes" : "")));
  if (container->state.running() && !options.force) {
    return Fail(Code::kFailedPrecondition,
                "cannot remove container \"" + container->name +
                    "\": container is running: stop the container before removing or force remove");
  }
  const Container gone = *container;
  shared_->Erase(gone.id);
  if (options.anonymous_volumes) {
    for (const Mount& mount : gone.mounts) {
      if (mount.anonymous) shared_->volumes.erase(mount.name);
    }
  }
  return {};
}

Status FakeEngine::RenameContainer(std::string_view ref, std::string_view name) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("RenameContainer " + container->name + " " + std::string(name)));
  for (const auto& [id, other] : shared_->containers) {
    if (other.name == name && id != container->id) {
      return Fail(Code::kAlreadyExists, "Conflict. The container name \"/" + std::string(name) +
                                            "\" is already in use by container \"" + id + "\"");
    }
  }
  container->name = name;
  return {};
}

Result<std::vector<Container>> FakeEngine::ListContainers(const ContainerFilter& filter) {
  const std::lock_guard lock(shared_->mutex);
  std::vector<Container> found;
  for (const auto& [id, container] : shared_->containers) {
    const bool shown = filter.all || container.state.running() ||
                       container.state.status == ContainerStatus::kRestarting;
    if (shown && LabelsMatch(container.labels, filter.labels)) found.push_back(container);
  }
  return found;
}

Result<Container> FakeEngine::InspectContainer(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(const Container* container, shared_->Find(ref));
  return *container;
}

Result<std::unique_ptr<Session>> FakeEngine::Attach(std::string_view ref, const StandardStreams&) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(const Container* container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("Attach " + container->name));
  auto state = std::make_shared<Shared::SessionState>();
  state->container = container->id;
  state->started = container->state.running();
  state->exit_event = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  shared_->sessions.push_back(state);
  return std::make_unique<FakeSession>(shared_, state);
}

Result<std::unique_ptr<Session>> FakeEngine::Exec(std::string_view ref, const ExecConfig& config,
                                                  const StandardStreams& streams, TerminalSize) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(const Container* container, shared_->Find(ref));
  std::string record = "Exec " + container->name;
  for (const std::string& word : config.command) record += " " + word;
  SKIFF_TRY(shared_->Record(record));
  if (!container->state.running()) {
    return Fail(Code::kFailedPrecondition, "container " + container->id + " is not running");
  }
  const ExecResult result = shared_->exec_results[container->name];
  if (streams.output >= 0) SKIFF_TRY(WriteAll(streams.output, result.output, "standard output"));
  if (streams.error >= 0) SKIFF_TRY(WriteAll(streams.error, result.error_output, "standard error"));
  auto state = std::make_shared<Shared::SessionState>();
  state->exit_event = Fd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  state->exit_code = result.exit_code;
  return std::make_unique<FakeSession>(shared_, state);
}

Status FakeEngine::ReadLogs(std::string_view ref, const LogOptions& options,
                            const std::function<bool(const LogEntry&)>& sink) {
  std::unique_lock lock(shared_->mutex);
  SKIFF_ASSIGN(const Container* container, shared_->Find(ref));
  const std::string id = container->id;
  const auto wanted = [&](const FakeLog& log) {
    return log.time >= options.since && (options.until == 0 || log.time <= options.until);
  };
  std::vector<FakeLog> now;
  std::ranges::copy_if(shared_->logs[id], std::back_inserter(now), wanted);
  size_t first = 0;
  if (options.tail >= 0 && now.size() > static_cast<size_t>(options.tail)) {
    first = now.size() - static_cast<size_t>(options.tail);
  }
  size_t seen = shared_->logs[id].size();
  while (true) {
    lock.unlock();
    for (size_t i = first; i < now.size(); ++i) {
      if (!sink({now[i].stream, now[i].time, now[i].text})) return {};
    }
    lock.lock();
    if (!options.follow) return {};
    const auto more = [&] {
      pollfd cancel{options.cancel_fd, POLLIN, 0};
      const auto it = shared_->containers.find(id);
      return shared_->logs[id].size() > seen || it == shared_->containers.end() ||
             !it->second.state.running() || ::poll(&cancel, 1, 0) > 0;
    };
    // A descriptor cannot wake a condition variable: cancellation is looked for now and then.
    while (!more()) shared_->changed.wait_for(lock, std::chrono::milliseconds(5));
    if (shared_->logs[id].size() == seen) return {};
    const auto& all = shared_->logs[id];
    now.clear();
    std::copy_if(all.begin() + static_cast<ptrdiff_t>(seen), all.end(), std::back_inserter(now),
                 wanted);
    first = 0;
    seen = all.size();
  }
}

Result<std::unique_ptr<Watch>> FakeEngine::WatchContainers(const ContainerFilter& filter) {
  const std::lock_guard lock(shared_->mutex);
  auto watcher = std::make_shared<Shared::Watcher>();
  watcher->filter = filter;
  watcher->event = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watcher->event.valid()) return FailErrno("cannot make an event descriptor");
  shared_->watchers.push_back(watcher);
  return std::make_unique<FakeWatch>(shared_, watcher);
}

Result<Network> FakeEngine::CreateNetwork(const NetworkConfig& config) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("CreateNetwork " + config.name));
  if (shared_->networks.contains(config.name)) {
    return Fail(Code::kAlreadyExists, "network with name " + config.name + " already exists");
  }
  Network network;
  const int number = shared_->next_id++;
  network.id = HexId(number);
  network.created_at = shared_->Now();
  network.config = config;
  if (network.config.driver.empty()) network.config.driver = "bridge";
  if (network.config.subnets.empty()) {
    const std::string prefix = "172." + std::to_string(16 + number % 16);
    network.config.subnets = {{prefix + ".0.0/16", prefix + ".0.1", "", {}}};
  }
  shared_->networks[config.name] = network;
  return network;
}

Status FakeEngine::RemoveNetwork(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  const Network* network = shared_->FindNetwork(ref);
  if (network == nullptr)
    return Fail(Code::kNotFound, "network " + std::string(ref) + " not found");
  const std::string name = network->config.name;
  SKIFF_TRY(shared_->Record("RemoveNetwork " + name));
  for (const auto& [id, container] : shared_->containers) {
    for (const Endpoint& endpoint : container.endpoints) {
      if (endpoint.network == name) {
        return Fail(Code::kFailedPrecondition, "network " + name + " has active endpoints");
      }
    }
  }
  shared_->networks.erase(name);
  return {};
}

Result<std::vector<Network>> FakeEngine::ListNetworks(const std::vector<std::string>& labels) {
  const std::lock_guard lock(shared_->mutex);
  std::vector<Network> found;
  for (const auto& [name, network] : shared_->networks) {
    if (LabelsMatch(network.config.labels, labels)) found.push_back(network);
  }
  return found;
}

Status FakeEngine::ConnectNetwork(std::string_view ref, const EndpointRequest& request) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("ConnectNetwork " + container->name + " " + request.network));
  const Network* network = shared_->FindNetwork(request.network);
  if (network == nullptr) return Fail(Code::kNotFound, "network " + request.network + " not found");
  Endpoint endpoint;
  endpoint.network = network->config.name;
  endpoint.network_id = network->id;
  endpoint.endpoint_id = HexId(shared_->next_id++);
  endpoint.aliases = request.aliases;
  endpoint.ipv4_address = request.ipv4_address;
  container->endpoints.push_back(endpoint);
  return {};
}

Status FakeEngine::DisconnectNetwork(std::string_view ref, std::string_view name) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_ASSIGN(Container * container, shared_->Find(ref));
  SKIFF_TRY(shared_->Record("DisconnectNetwork " + container->name + " " + std::string(name)));
  if (std::erase_if(container->endpoints, [&](const Endpoint& endpoint) {
        return endpoint.network == name || endpoint.network_id == name;
      }) == 0) {
    return Fail(Code::kNotFound, "container " + container->id +
                                     " is not connected to the network " + std::string(name));
  }
  return {};
}

Result<Volume> FakeEngine::CreateVolume(const VolumeConfig& config) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("CreateVolume " + config.name));
  const bool anonymous = config.name.empty();
  const std::string name = anonymous ? HexId(shared_->next_id++) : config.name;
  Volume& volume = shared_->volumes[name];
  if (!volume.mountpoint.empty()) return volume;
  volume.config = config;
  volume.config.name = name;
  if (volume.config.driver.empty()) volume.config.driver = "local";
  volume.created_at = shared_->Now();
  volume.mountpoint = "/volumes/" + name + "/_data";
  volume.anonymous = anonymous;
  return volume;
}

Status FakeEngine::RemoveVolume(std::string_view name) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("RemoveVolume " + std::string(name)));
  std::string users;
  for (const auto& [id, container] : shared_->containers) {
    for (const Mount& mount : container.mounts) {
      if (mount.name == name) users += (users.empty() ? "" : ", ") + id;
    }
  }
  if (!users.empty()) {
    return Fail(Code::kFailedPrecondition,
                "remove " + std::string(name) + ": volume is in use - [" + users + "]");
  }
  if (shared_->volumes.erase(std::string(name)) == 0) {
    return Fail(Code::kNotFound, "get " + std::string(name) + ": no such volume");
  }
  return {};
}

Result<std::vector<Volume>> FakeEngine::ListVolumes(const std::vector<std::string>& labels) {
  const std::lock_guard lock(shared_->mutex);
  std::vector<Volume> found;
  for (const auto& [name, volume] : shared_->volumes) {
    if (LabelsMatch(volume.config.labels, labels)) found.push_back(volume);
  }
  return found;
}

Status FakeEngine::Commit() {
  const std::lock_guard lock(shared_->mutex);
  return shared_->Record("Commit");
}

}  // namespace skiff::engine
