#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/fd.h"
#include "engine-core/fake_engine.h"
#include "engine-core/labels.h"

// What the fake engine knows: shared by it, its watches and its sessions.
namespace skiff::engine {

inline constexpr int64_t kSecond = 1'000'000'000;

inline std::string HexId(int number) {
  std::string digits;
  for (int i = 0; i < 8; ++i, number /= 16)
    digits.insert(digits.begin(), "0123456789abcdef"[number % 16]);
  // The counter comes first, so that ids differ in their first twelve digits.
  return "c0de" + digits + std::string(52, '0');
}

inline void Signal(const Fd& event) {
  const uint64_t one = 1;
  // An eventfd refuses only past 2^64 - 1.
  [[maybe_unused]] const ssize_t written = ::write(event.get(), &one, sizeof one);
}

inline std::string WithTag(std::string_view reference) {
  const size_t slash = reference.rfind('/');
  const bool tagged =
      reference.find(':', slash == std::string_view::npos ? 0 : slash) != std::string_view::npos;
  return std::string(reference) + (tagged ? "" : ":latest");
}

struct FakeEngine::Shared {
  mutable std::mutex mutex;
  std::condition_variable changed;
  int next_id = 1;
  int64_t clock = 1'700'000'000 * kSecond;
  std::vector<std::string> calls;
  std::map<std::string, Container> containers;  // By id.
  std::map<std::string, std::string> replaces;  // Id -> id it takes the name of.
  std::map<std::string, Network> networks;      // By name.
  std::map<std::string, Volume> volumes;
  std::map<std::string, Image> images;               // By id.
  std::map<std::string, std::string> image_configs;  // Bytes, by id, where CreateImage gave them.
  std::map<std::string, Image> remote_images;        // By reference, for PullImage.
  std::map<std::string, std::string> remote_files;   // By URL, for DownloadFile.
  std::map<std::string, std::string> sent_images;  // Configurations by place.
  std::set<std::string> layers;                      // Diff ids.
  std::map<std::string, CacheEntry> cache;
  std::map<std::string, Behaviour> behaviours;
  std::map<std::string, ExecResult> exec_results;
  std::map<std::string, std::vector<FakeLog>> logs;  // By id.
  std::vector<std::pair<std::string, Error>> failures;

  struct Watcher {
    ContainerFilter filter;
    Fd event;
    std::deque<StateChange> queue;
  };
  std::vector<std::weak_ptr<Watcher>> watchers;
  struct SessionState {
    std::string container;  // "": an exec, ended from the beginning.
    Fd exit_event;
    std::optional<int> exit_code;
    bool started = false;
  };
  std::vector<std::weak_ptr<SessionState>> sessions;

  int64_t Now() { return clock += kSecond; }

  Status Record(const std::string& call) {
    calls.push_back(call);
    for (auto it = failures.begin(); it != failures.end(); ++it) {
      if (!call.starts_with(it->first)) continue;
      Error error = it->second;
      failures.erase(it);
      return Fail(std::move(error));
    }
    return {};
  }

  Result<Container*> Find(std::string_view ref) {
    if (const auto it = containers.find(std::string(ref)); it != containers.end())
      return &it->second;
    Container* found = nullptr;
    for (auto& [id, container] : containers) {
      if (container.name == ref) return &container;
    }
    for (auto& [id, container] : containers) {
      if (ref.empty() || !id.starts_with(ref)) continue;
      if (found != nullptr) {
        return Fail(Code::kInvalidArgument,
                    "multiple IDs found with provided prefix: " + std::string(ref));
      }
      found = &container;
    }
    if (found == nullptr) return Fail(Code::kNotFound, "No such container: " + std::string(ref));
    return found;
  }

  Network* FindNetwork(std::string_view ref) {
    for (auto& [name, network] : networks) {
      if (name == ref || network.id == ref) return &network;
    }
    return nullptr;
  }

  Image* FindImage(std::string_view ref) {
    const std::string tagged = WithTag(ref);
    for (auto& [id, image] : images) {
      if (id == ref || (ref.size() >= 4 && id.substr(7).starts_with(ref))) return &image;
      if (std::ranges::count(image.references, tagged) > 0) return &image;
    }
    return nullptr;
  }

  void Announce(const Container& container, bool removed) {
    std::erase_if(watchers, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : watchers) {
      const auto watcher = weak.lock();
      if (!watcher || !LabelsMatch(container.labels, watcher->filter.labels)) continue;
      watcher->queue.push_back({container.id, removed, container.state});
      Signal(watcher->event);
    }
    std::erase_if(sessions, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : sessions) {
      const auto session = weak.lock();
      if (!session || session->container != container.id || session->exit_code) continue;
      if (container.state.running()) session->started = true;
      const bool ended = removed || (session->started && !container.state.running() &&
                                     container.state.status != ContainerStatus::kRestarting);
      if (!ended) continue;
      session->exit_code = container.state.exit_code;
      Signal(session->exit_event);
    }
    changed.notify_all();
  }

  void End(Container& container, int exit_code) {
    container.state.status = ContainerStatus::kExited;
    container.state.pid = 0;
    container.state.exit_code = exit_code;
    container.state.finished_at = Now();
    if (container.state.health != HealthStatus::kNone) {
      container.state.health = HealthStatus::kUnhealthy;
    }
    Announce(container, false);
    if (container.config.auto_remove) Erase(container.id);
  }

  Status Start(Container& container) {
    if (container.state.running()) return {};
    const Behaviour behaviour =
        behaviours.contains(container.name) ? behaviours[container.name] : Behaviour{};
    if (behaviour.start_error) {
      container.state.exit_code = 127;
      container.state.error = behaviour.start_error->message;
      Announce(container, false);
      return Fail(*behaviour.start_error);
    }
    container.state = ContainerState{};
    container.state.status = ContainerStatus::kRunning;
    container.state.pid = 1000 + next_id;
    container.state.started_at = Now();
    const auto& check = container.config.healthcheck;
    if (check && !check->test.empty() && check->test[0] != "NONE") {
      container.state.health = behaviour.health;
    }
    Announce(container, false);
    if (behaviour.exits_with) End(container, *behaviour.exits_with);
    return {};
  }

  void Erase(const std::string& id) {
    const auto it = containers.find(id);
    if (it == containers.end()) return;
    Container gone = std::move(it->second);
    containers.erase(it);
    gone.state.status = ContainerStatus::kRemoving;
    Announce(gone, true);
    for (auto& [heir, victim] : replaces) {
      if (victim != id || !containers.contains(heir)) continue;
      containers[heir].name = gone.name;
    }
    std::erase_if(replaces, [&](const auto& item) { return item.second == id; });
  }
};

}  // namespace skiff::engine
