// What happens to a container after it has been started: stop, kill, pause, rename, remove.
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/embedded/names.h"
#include "engine-core/embedded/spec.h"
#include "engine-core/log_file.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine::embedded {
namespace {

tl::unexpected<Error> FailNotRunning(const std::string& id) {
  return Fail(Code::kFailedPrecondition, "container " + id + " is not running");
}

// A monitor that ends between the question and the answer has ended the container: no failure.
bool IsGone(const Status& status) {
  return !status && status.error().code == Code::kUnavailable;
}

}  // namespace

Status EmbeddedEngine::SetDesired(const std::string& id, store::Desired desired) {
  SKIFF_ASSIGN(const auto record, store_.FindContainer(id));
  {
    const std::lock_guard lock(pending_mutex_);
    orphans_.erase(id);
  }
  if (record->desired == desired || record->desired == store::Desired::kNeverStarted) return {};
  return store_.Update(id, [desired](ContainerRecord& row) { row.desired = desired; })
      .transform([](const ContainerRecord&) {});
}

Status EmbeddedEngine::AfterEnd(const ContainerRecord& record) {
  const auto ports = ReadLiveMarker(layout_, record.id);
  if (!ports) {
    if (ports.error().code == Code::kNotFound) return {};
    return Fail(ports.error());
  }
  SKIFF_TRY(Failpoint("engine.after_end"));
  // Its monitor may have been killed while it wrote, also while a command waited for it.
  SKIFF_TRY(RemoveTemporaries(layout_.run_container(record.id)));
  SKIFF_TRY(RemoveTemporaries(layout_.container(record.id)));
  SKIFF_TRY(RemoveNames(record));
  SKIFF_ASSIGN(CgroupManager * cgroups, Cgroups());
  SKIFF_TRY(KillLeft(record.id, record.config.cgroup_parent));
  SKIFF_TRY(cgroups->RemoveContainer(record.id, record.config.cgroup_parent));
  if (::unlink(LiveMarker(layout_, record.id).c_str()) != 0 && errno != ENOENT) {
    return FailErrno("cannot remove '" + LiveMarker(layout_, record.id) + "'");
  }
  // Not before its marker has gone: the firewall keeps what a marker speaks of.
  return network_.Unpublish(*ports);
}

Status EmbeddedEngine::AnnouncePorts(const ContainerRecord& record) {
  if (record.config.ports.empty()) return {};
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  Intent intent;
  intent.kind = Intent::Kind::kPorts;
  intent.id = record.id;
  return intents_.Append(intent);
}

Status EmbeddedEngine::KillLeft(const std::string& id, const std::string& cgroup_parent) {
  // Normally nobody is left: the kernel ended the PID namespace with its monitor. With a shared PID
  // namespace the cgroup is what finds the processes.
  SKIFF_ASSIGN(const CgroupManager* cgroups, Cgroups());
  const ContainerCgroups paths = cgroups->Describe(id, cgroup_parent);
  SKIFF_ASSIGN(const bool empty, CgroupIsEmpty(paths.cgroups));
  return empty ? Status() : KillCgroup(paths.cgroups, paths.freezer_cgroup, paths.unified);
}

Status EmbeddedEngine::StopContainer(std::string_view ref, const StopOptions& options) {
  const TraceSpan span("engine.stop");
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto found, store_.FindContainer(ref));
  int signal = 0;
  if (!options.signal.empty()) {
    SKIFF_ASSIGN(signal, ParseSignal(options.signal));
  }
  const Busy busy(this, found->id);
  SKIFF_ASSIGN(const ContainerGuard guard, LockContainer(found->id));
  SKIFF_ASSIGN(const auto record, Again(found->id));
  const std::string run_dir = layout_.run_container(record->id);
  const MonitorClient client(run_dir);
  SKIFF_TRY(AnnouncePorts(*record));
  if (client.Alive()) {
    SKIFF_TRY(Failpoint("engine.stop"));
    if (const Status stopped = client.Stop(signal, options.timeout); !stopped && !IsGone(stopped)) {
      return stopped;
    }
    SKIFF_TRY(AwaitMonitorExit(run_dir, -1));
  }
  SKIFF_TRY(AfterEnd(*record));
  return SetDesired(record->id, store::Desired::kStopped);
}

Status EmbeddedEngine::KillContainer(std::string_view ref, int signal_number) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  const std::string run_dir = layout_.run_container(record->id);
  const MonitorClient client(run_dir);
  const ContainerState state = StateOf(*record);
  if (!state.running()) return FailNotRunning(record->id);
  SKIFF_TRY(Failpoint("engine.kill"));
  const Status killed = client.Kill(signal_number);
  if (IsGone(killed)) return FailNotRunning(record->id);
  SKIFF_TRY(killed);
  if (signal_number != SIGKILL) return {};
  // docker: SIGKILL waits for the end, others do not.
  SKIFF_TRY(AwaitMonitorExit(run_dir, -1));
  SKIFF_ASSIGN(const ContainerGuard guard, LockContainer(record->id));
  // Whoever removed it, or started it again meanwhile, has done the rest.
  if (!Again(record->id) || client.Alive()) return {};
  SKIFF_TRY(AnnouncePorts(*record));
  SKIFF_TRY(AfterEnd(*record));
  return SetDesired(record->id, store::Desired::kStopped);
}

Status EmbeddedEngine::RestartContainer(std::string_view ref, const StopOptions& options) {
  const TraceSpan span("engine.restart");
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  int signal = 0;
  if (!options.signal.empty()) {
    SKIFF_ASSIGN(signal, ParseSignal(options.signal));
  }
  {
    SKIFF_ASSIGN(const ContainerGuard guard, LockContainer(record->id));
    SKIFF_TRY(Again(record->id));
    const MonitorClient client(layout_.run_container(record->id));
    if (client.Alive()) {
      SKIFF_TRY(Failpoint("engine.restart"));
      const Status restarted = client.Restart(signal, options.timeout);
      if (!IsGone(restarted)) return restarted;
    }
  }
  return StartContainer(record->id);
}

// The monitor knows best: the state that it last wrote may be older, on a full disk.
Status EmbeddedEngine::PauseContainer(std::string_view ref) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  const Status paused = MonitorClient(layout_.run_container(record->id)).Pause();
  return IsGone(paused) ? FailNotRunning(record->id) : paused;
}

Status EmbeddedEngine::UnpauseContainer(std::string_view ref) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  const Status unpaused = MonitorClient(layout_.run_container(record->id)).Unpause();
  if (!IsGone(unpaused)) return unpaused;
  return Fail(Code::kFailedPrecondition, "Container " + record->id + " is not paused");
}

Status EmbeddedEngine::Renamed(const ContainerRecord& record) {
  const MonitorClient client(layout_.run_container(record.id));
  if (!client.Alive()) return {};
  SKIFF_TRY(AddNames(record));
  const Status told = client.Rename(record.name);
  return IsGone(told) ? Status() : told;
}

Status EmbeddedEngine::RenameContainer(std::string_view ref, std::string_view name) {
  SKIFF_TRY(OpenForChange());
  SKIFF_TRY(ValidateContainerName(name));
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  if (record->name == name) {
    return Fail(Code::kInvalidArgument,
                "Renaming a container with the same name as its current name");
  }
  ContainerRecord renamed;
  {
    SKIFF_ASSIGN(const StateGuard guard, LockState());
    Intent intent;
    intent.id = record->id;
    SKIFF_ASSIGN(intent.name, ReserveName(std::string(name), "", record->id));
    SKIFF_TRY(intents_.Append(intent));
    SKIFF_TRY(Failpoint("engine.rename"));
    SKIFF_ASSIGN(renamed, store_.Update(record->id, [name = intent.name](ContainerRecord& row) {
      row.name = row.config.name = name;
    }));
  }
  Journal("container", "rename", record->id, {{"name", renamed.name}, {"oldName", record->name}});
  return Renamed(renamed);
}

Status EmbeddedEngine::EndNow(const ContainerRecord& record) {
  const std::string run_dir = layout_.run_container(record.id);
  const MonitorClient client(run_dir);
  if (!client.Alive()) return {};
  Status killed = client.Kill(SIGKILL);
  // Between two runs there is nobody to kill, but a policy to call off.
  if (!killed && !IsGone(killed)) killed = client.Stop(SIGKILL, Nanoseconds::zero());
  if (!killed && !IsGone(killed)) {
    // A monitor that does not answer: its processes are ended behind its back.
    SKIFF_ASSIGN(const CgroupManager* cgroups, Cgroups());
    const ContainerCgroups paths = cgroups->Describe(record.id, record.config.cgroup_parent);
    SKIFF_TRY(KillCgroup(paths.cgroups, paths.freezer_cgroup, paths.unified));
  }
  // It holds its lock and yet does not listen: stuck, or it could not.
  if (!killed && client.Alive()) SKIFF_TRY(client.KillMonitor());
  return AwaitMonitorExit(run_dir, -1);
}

Status EmbeddedEngine::RemoveContainer(std::string_view ref, const RemoveOptions& options) {
  const TraceSpan span("engine.remove");
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto found, store_.FindContainer(ref));
  const Busy busy(this, found->id);
  SKIFF_ASSIGN(const ContainerGuard guard, LockContainer(found->id));
  SKIFF_ASSIGN(const auto record, Again(found->id));
  const ContainerState state = StateOf(*record);
  const bool active = state.running() || state.status == ContainerStatus::kRestarting;
  if (active && !options.force) {
    const bool paused = state.status == ContainerStatus::kPaused;
    return Fail(Code::kFailedPrecondition, "cannot remove container \"" + record->name +
                                               "\": container is " +
                                               (paused ? "paused: unpause" : "running: stop") +
                                               " the container before removing or force remove");
  }
  {
    SKIFF_ASSIGN(const StateGuard state_guard, LockState());
    Intent intent;
    intent.kind = Intent::Kind::kRemoveContainer;
    intent.id = record->id;
    SKIFF_TRY(intents_.Append(intent));
  }
  SKIFF_TRY(Failpoint("engine.remove.after_intent"));
  SKIFF_TRY(EndNow(*record));
  // A monitor that is just ending by itself still writes to its folder.
  SKIFF_TRY(AwaitMonitorExit(layout_.run_container(record->id), -1));
  return Erase(*record, options.anonymous_volumes || record->config.auto_remove);
}

Status EmbeddedEngine::Erase(const ContainerRecord& record, bool anonymous_volumes) {
  SKIFF_TRY(AfterEnd(record));
  SKIFF_TRY(RemoveNames(record));
  SKIFF_TRY(Failpoint("engine.remove.before_row"));
  {
    // Reservations of a container that was made by this very command end with it.
    SKIFF_ASSIGN(const StateGuard guard, LockState());
    SKIFF_TRY(store_.EraseContainer(record.id));
    std::vector<Intent> kept = intents_.own();
    const size_t erased = std::erase_if(kept, [&](const Intent& intent) {
      return intent.id == record.id && intent.kind == Intent::Kind::kCreateContainer;
    });
    if (erased > 0) SKIFF_TRY(intents_.Replace(kept));
  }
  {
    const std::lock_guard lock(pending_mutex_);
    orphans_.erase(record.id);
    doomed_containers_.push_back(record.id);
    removed_something_ = true;
  }
  if (anonymous_volumes) {
    SKIFF_ASSIGN(const auto records, store_.Containers());
    for (const Mount& mount : record.mounts) {
      if (!mount.anonymous) continue;
      const bool used = std::ranges::any_of(records, [&](const auto& other) {
        return std::ranges::any_of(other->mounts,
                                   [&](const Mount& theirs) { return theirs.name == mount.name; });
      });
      if (used) continue;
      SKIFF_TRY(GiveUpVolume(mount.name));
    }
  }
  const Status passed = PassName(record);
  // Last: who watches sees the container go when all of it has gone.
  SKIFF_TRY(RemoveTree(layout_.run_container(record.id)));
  SKIFF_TRY(passed);
  JournalWhole("destroy", record);
  return {};
}

Status EmbeddedEngine::PassName(const ContainerRecord& gone) {
  SKIFF_ASSIGN(const auto records, store_.Containers());
  for (const auto& record : records) {
    if (record->replaces != gone.id || !record->name.empty()) continue;
    SKIFF_TRY(Failpoint("engine.remove.pass_name"));
    SKIFF_ASSIGN(const ContainerRecord heir,
                 store_.Update(record->id, [name = gone.name](ContainerRecord& row) {
                   row.name = row.config.name.empty() ? name : row.config.name;
                   row.replaces.clear();
                 }));
    SKIFF_TRY(Renamed(heir));
  }
  return {};
}

}  // namespace skiff::engine::embedded
