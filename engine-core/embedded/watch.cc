#include "engine-core/embedded/watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/labels.h"

namespace skiff::engine::embedded {
namespace {

constexpr uint32_t kRootEvents = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR;
constexpr uint32_t kFolderEvents = IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR;

}  // namespace

Result<std::unique_ptr<Watch>> ContainerWatch::Open(EmbeddedEngine* engine, const Layout& layout,
                                                    const ContainerFilter& filter) {
  Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.valid()) return FailErrno("cannot watch containers");
  std::unique_ptr<ContainerWatch> watch(
      new ContainerWatch(engine, layout, filter, std::move(inotify)));
  watch->root_watch_ =
      ::inotify_add_watch(watch->inotify_.get(), layout.run_containers().c_str(), kRootEvents);
  if (watch->root_watch_ < 0) {
    return FailErrno("cannot watch '" + layout.run_containers() + "'");
  }
  SKIFF_TRY(watch->Rescan());
  watch->changed_.clear();  // What is there already is no change.
  return watch;
}

Status ContainerWatch::Rescan() {
  SKIFF_ASSIGN(const auto records, engine_->Records());
  for (const auto& record : records) {
    if (!LabelsMatch(record->config.labels, filter_.labels)) continue;
    matching_.insert(record->id);
    SKIFF_TRY(Add(record->id));
    changed_.insert(record->id);
  }
  return {};
}

Status ContainerWatch::Add(const std::string& id) {
  if (watched_.contains(id)) return {};
  const int watch =
      ::inotify_add_watch(inotify_.get(), layout_.run_container(id).c_str(), kFolderEvents);
  if (watch < 0) {
    // Not started since the last boot, or removed meanwhile: the parent's events tell.
    if (errno == ENOENT) return {};
    return FailErrno("cannot watch container " + ShortId(id));
  }
  watches_[watch] = id;
  watched_.insert(id);
  return {};
}

Status ContainerWatch::Drain() {
  alignas(inotify_event) char buffer[16384];
  while (true) {
    const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return {};
    if (size <= 0) return FailErrno("cannot watch containers");
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      const std::string name = event->len > 0 ? event->name : "";
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        // Some were lost: everything counts as changed.
        SKIFF_TRY(Rescan());
      } else if (event->wd == root_watch_) {
        if ((event->mask & IN_DELETE) != 0) {
          removed_.insert(name);
          continue;
        }
        SKIFF_TRY(Add(name));
        // Its first state may have been written before the watch stood.
        changed_.insert(name);
      } else if ((event->mask & IN_IGNORED) != 0) {
        const auto watch = watches_.find(event->wd);
        if (watch == watches_.end()) continue;
        watched_.erase(watch->second);
        watches_.erase(watch);
      } else if (const auto watch = watches_.find(event->wd); watch != watches_.end()) {
        const bool state = name == "state.json" && (event->mask & IN_MOVED_TO) != 0;
        const bool lock = name == "lock" && (event->mask & IN_CLOSE_WRITE) != 0;
        if (state || lock) changed_.insert(watch->second);
      }
    }
  }
}

std::vector<StateChange> ContainerWatch::Collect() {
  std::vector<StateChange> changes;
  for (auto it = changed_.begin(); it != changed_.end();) {
    if (removed_.contains(*it)) {
      it = changed_.erase(it);
      continue;
    }
    const auto record = engine_->RecordOf(*it);
    if (!record) {
      // Not committed yet by whoever made it: its next event asks again.
      it = changed_.erase(it);
      continue;
    }
    if (LabelsMatch((*record)->config.labels, filter_.labels)) {
      matching_.insert(*it);
      changes.push_back({*it, false, engine_->StateOf(**record)});
    }
    it = changed_.erase(it);
  }
  for (const std::string& id : removed_) {
    if (matching_.erase(id) == 0) continue;
    StateChange change;
    change.id = id;
    change.removed = true;
    change.state.status = ContainerStatus::kRemoving;
    changes.push_back(std::move(change));
  }
  removed_.clear();
  return changes;
}

Result<std::vector<StateChange>> ContainerWatch::Next(int cancel_fd) {
  while (true) {
    SKIFF_TRY(Drain());
    if (auto changes = Collect(); !changes.empty()) return changes;
    pollfd fds[] = {{inotify_.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return FailErrno("cannot wait for containers");
    if (fds[1].revents != 0) return std::vector<StateChange>();
  }
}

}  // namespace skiff::engine::embedded
