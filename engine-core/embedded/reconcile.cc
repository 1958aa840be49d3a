// What a command finds of commands and monitors that died, and puts right before it changes
// anything itself.
#include <dirent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/identity.h"
#include "base/trace.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/image/work_folder.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine::embedded {
namespace {

constexpr size_t kDeletedAtOnce = 4;

// docker: daemon, restore. `ended`: how its last run ended, when it did before the reboot.
bool RestartsAfterReboot(const ContainerRecord& record,
                         const std::optional<ContainerState>& ended) {
  const bool ran = record.desired == store::Desired::kRunning;
  switch (record.config.restart.mode) {
    case RestartMode::kNo:
      return false;
    // docker: a stopped one comes back too, with the engine.
    case RestartMode::kAlways:
      return record.desired != store::Desired::kNeverStarted;
    case RestartMode::kUnlessStopped:
      return ran;
    case RestartMode::kOnFailure:
      return ran && (!ended || ended->exit_code != 0);
  }
  return false;
}

bool RestartsAfterMonitor(const ContainerRecord& record) {
  return record.desired == store::Desired::kRunning &&
         record.config.restart.mode != RestartMode::kNo;
}

}  // namespace

Status EmbeddedEngine::Reconcile(bool fresh_boot) {
  const TraceSpan span("engine.reconcile");
  if (fresh_boot) {
    SKIFF_TRY(store_.CheckFile());
    SKIFF_TRY(SweepAfterBoot());
  }
  SKIFF_TRY(RepairLeftovers());
  SKIFF_ASSIGN(const auto records, store_.Containers());
  bool live = false;
  for (const auto& record : records) {
    SKIFF_TRY(ReconcileContainer(*record, fresh_boot));
    const bool heir = record->name.empty() && !record->replaces.empty();
    if (heir && !store_.FindContainer(record->replaces)) {
      // The name was not handed on when the container that had it was removed.
      ContainerRecord gone;
      gone.id = record->replaces;
      gone.name = record->config.name;
      SKIFF_TRY(PassName(gone));
    }
    live = live || ::access(LiveMarker(layout_, record->id).c_str(), F_OK) == 0;
  }
  if (live) {
    SKIFF_ASSIGN(const bool missing, network_.FirewallMissing());
    if (missing) {
      SKIFF_ASSIGN(const net::FirewallState wanted, WholeFirewall());
      if (!wanted.networks.empty()) network_.WantRebuild();
    }
  }
  SKIFF_TRY(image::WorkFolder::RemoveAbandoned(layout_));
  return EmptyTrash();
}

Status EmbeddedEngine::RepairLeftovers() {
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  SKIFF_ASSIGN(const auto leftovers, intents_.Leftovers());
  bool any = false;
  for (const IntentLog::Leftover& leftover : leftovers) {
    for (const Intent& intent : leftover.intents) SKIFF_TRY(RepairIntent(intent));
    any = any || !leftover.intents.empty();
    SKIFF_TRY(Failpoint("engine.reconcile.forget"));
    SKIFF_TRY(IntentLog::Forget(leftover));
  }
  if (!any) return {};
  SKIFF_TRY(SweepTemporaries());
  {
    const std::lock_guard lock(pending_mutex_);
    removed_something_ = true;
  }
  // It may have died between the end of a container and the commit that closes its ports.
  return SweepPorts();
}

Status EmbeddedEngine::SweepTemporaries() {
  for (const std::string& folder : {layout_.run(), layout_.run_networks(), layout_.run_rows()}) {
    SKIFF_TRY(RemoveTemporaries(folder));
  }
  return volumes_.SettleAbandonedCopies();
}

Status EmbeddedEngine::RepairIntent(const Intent& intent) {
  const auto container_row = [&]() -> Result<Ptr<ContainerRecord>> {
    SKIFF_ASSIGN(const auto records, store_.Containers());
    for (const auto& record : records) {
      if (record->id == intent.id) return record;
    }
    return Ptr<ContainerRecord>();
  };
  switch (intent.kind) {
    case Intent::Kind::kCreateContainer: {
      SKIFF_ASSIGN(const auto row, container_row());
      // One of the volatile root whose maker died before it was started is nobody's; so is one
      // that runs on a layer its maker has not committed.
      const bool orphan =
          row && row->config.auto_remove &&
          (StateOf(*row).status == ContainerStatus::kCreated || !row->writable_layer.empty());
      if (row && !orphan) return {};
      Notice("container " + ShortId(intent.id) + " had been left half made: removed");
      if (!row) return DestroyGarbage(intent.id);
      SKIFF_TRY(store_.EraseContainer(intent.id));
      return DestroyGarbage(*row);
    }
    case Intent::Kind::kRemoveContainer: {
      SKIFF_ASSIGN(const auto row, container_row());
      if (!row) return DestroyGarbage(intent.id);
      SKIFF_TRY(store_.EraseContainer(intent.id));
      SKIFF_TRY(DestroyGarbage(*row));
      return PassName(*row);
    }
    case Intent::Kind::kCreateNetwork:
    case Intent::Kind::kRemoveNetwork: {
      const auto row = store_.FindNetwork(intent.id);
      const bool wanted = row && intent.kind == Intent::Kind::kCreateNetwork;
      if (wanted) return {};
      if (row) SKIFF_TRY(store_.EraseNetwork(intent.id));
      NetworkRecord gone;
      gone.network.id = intent.id;
      gone.bridge = net::BridgeName(root_hash_, intent.id);
      gone.link_group = net::LinkGroup(intent.id);
      // Nobody knows any more; what the firewall does not hold is not taken out.
      gone.network.config.internal = true;
      return network_.RemoveNetwork(gone);
    }
    case Intent::Kind::kPorts: {
      // Those that should be closed are found by SweepPorts().
      if (!MonitorClient(layout_.run_container(intent.id)).Alive()) return {};
      const auto ports = ReadLiveMarker(layout_, intent.id);
      return ports ? network_.Publish(*ports) : Status();
    }
    case Intent::Kind::kRemoveVolume:
      return store_.FindVolume(intent.id) ? volumes_.Spare(intent.id) : volumes_.Remove(intent.id);
    case Intent::Kind::kCreateVolume:
      // What somebody has written there already is kept for whoever looks for it (system check).
      return store_.FindVolume(intent.id) ? Status() : volumes_.RemoveEmpty(intent.id);
    case Intent::Kind::kBlob: {
      SKIFF_ASSIGN(const auto needed, images_.NeededBlobs());
      return std::ranges::count(needed, intent.id) > 0 ? Status() : PurgeBlobs({intent.id});
    }
    case Intent::Kind::kLayer: {
      SKIFF_ASSIGN(const auto layers, store_.Layers());
      const bool known =
          std::ranges::any_of(layers, [&](const auto& layer) { return layer->id == intent.id; });
      return known ? Status() : Discard(layout_.layer(intent.id), "layer");
    }
  }
  return {};
}

Status EmbeddedEngine::DestroyGarbage(const std::string& id) {
  ContainerRecord record;
  record.id = id;
  return DestroyGarbage(record);
}

// Its row as it was being written, under a name that was to be replaced.
Status EmbeddedEngine::RemoveHalfRows(const std::string& id) {
  const std::string rows = layout_.run_rows();
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(rows.c_str()), ::closedir);
  if (!folder) return errno == ENOENT ? Status() : FailErrno("cannot read '" + rows + "'");
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (!name.starts_with("." + id)) continue;
    if (::unlink((rows + "/" + name).c_str()) != 0 && errno != ENOENT) {
      return FailErrno("cannot remove '" + rows + "/" + name + "'");
    }
  }
  return {};
}

Status EmbeddedEngine::DestroyGarbage(const ContainerRecord& record) {
  const std::string& id = record.id;
  SKIFF_TRY(Failpoint("engine.garbage"));
  SKIFF_TRY(EndNow(record));
  SKIFF_TRY(AfterEnd(record));
  // Its endpoints are not known any more; an entry in a name table is found by the short id.
  SKIFF_ASSIGN(const auto networks, store_.Networks());
  for (const auto& network : networks) {
    const std::string table = layout_.names_table(network->network.id);
    const auto entries = net::ReadNameTable(table);
    if (!entries) continue;
    for (const net::NameEntry& entry : *entries) {
      if (std::ranges::count(entry.names, ShortId(id)) == 0) continue;
      SKIFF_TRY(net::RemoveEndpoints(table, {&entry.endpoint_id, 1}));
    }
  }
  SKIFF_TRY(Discard(layout_.container(id), "container"));
  SKIFF_TRY(RemoveHalfRows(id));
  return RemoveTree(layout_.run_container(id));
}

std::optional<ContainerState> EmbeddedEngine::EndOf(const ContainerRecord& record) const {
  const auto text = ReadFile(layout_.container_state(record.id), size_t{1} << 20);
  if (!text) return std::nullopt;
  auto state = StateFromJson(*text);
  if (!state) return std::nullopt;
  return std::move(*state);
}

Status EmbeddedEngine::ReconcileContainer(const ContainerRecord& record, bool fresh_boot) {
  if (::access(LiveMarker(layout_, record.id).c_str(), F_OK) != 0) {
    if (fresh_boot && RestartsAfterReboot(record, EndOf(record))) orphans_.insert(record.id);
    return {};
  }
  const std::string run_dir = layout_.run_container(record.id);
  const MonitorClient client(run_dir);
  if (client.Alive()) return {};
  // Somebody starts or stops it right now: theirs to put right.
  const auto busy = FileLock::TryAcquire(run_dir + "/command.lock", FileLock::Mode::kExclusive);
  if (!busy || client.Alive()) return {};
  const auto written = client.ReadState();
  const bool killed =
      written && (written->running() || written->status == ContainerStatus::kRestarting);
  if (killed) {
    ContainerState state = StateOf(record);
    state.finished_at = NowNanoseconds();
    // Its writer is dead: the state it left would go on claiming that the container runs.
    SKIFF_TRY(WriteFileAtomically(run_dir + "/state.json", StateToJson(state), 0600,
                                  Durability::kVolatile));
    Journal("container", "die", record.id,
            {{"exitCode", std::to_string(state.exit_code)}, {"name", record.name}});
    Notice("container " + record.name + " ended because its monitor was killed");
    if (RestartsAfterMonitor(record)) orphans_.insert(record.id);
  }
  SKIFF_TRY(AnnouncePorts(record));
  SKIFF_TRY(AfterEnd(record));
  if (record.config.auto_remove) return Erase(record, true);
  return {};
}

std::vector<net::PublishSpec> EmbeddedEngine::MarkedPorts() {
  std::vector<net::PublishSpec> all;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(layout_.run_containers().c_str()),
                                                   ::closedir);
  if (!folder) return all;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] == '.') continue;
    const auto ports = ReadLiveMarker(layout_, entry->d_name);
    if (ports) all.insert(all.end(), ports->begin(), ports->end());
  }
  return all;
}

Status EmbeddedEngine::SweepPorts() {
  const std::vector<net::PublishSpec> marked = MarkedPorts();
  SKIFF_ASSIGN(const net::FirewallState held, network_.ReadFirewall());
  std::vector<net::PublishSpec> stale;
  for (const net::PublishSpec& port : held.ports) {
    const bool known = std::ranges::any_of(
        marked, [&](const net::PublishSpec& other) { return NetworkSide::SamePlace(port, other); });
    if (!known) stale.push_back(port);
  }
  return network_.Unpublish(stale);
}

std::vector<RestoredContainer> EmbeddedEngine::RestartOrphans() {
  std::set<std::string> orphans;
  {
    const std::lock_guard lock(pending_mutex_);
    orphans.swap(orphans_);
  }
  std::vector<RestoredContainer> restored;
  // One that shares the namespaces of another comes after it.
  const std::function<void(const std::string&)> start = [&](const std::string& id) {
    if (orphans.erase(id) == 0) return;
    const auto record = store_.FindContainer(id);
    if (!record) return;
    start((*record)->network_container);
    for (const std::string& mode : {(*record)->config.pid_mode, (*record)->config.ipc_mode}) {
      if (!mode.starts_with(kContainerMode)) continue;
      const auto other = store_.FindContainer(mode.substr(kContainerMode.size()));
      if (other) start((*other)->id);
    }
    const Status started = StartContainer(id);
    restored.push_back({(*record)->name, started ? std::nullopt : std::optional(started.error())});
  };
  while (!orphans.empty()) start(std::string(*orphans.begin()));
  if (std::exchange(fresh_boot_, false) && ::unlink(layout_.fresh_boot().c_str()) != 0 &&
      errno != ENOENT) {
    Notice(FailErrno("cannot remove '" + layout_.fresh_boot() + "'").value().Text());
  }
  return restored;
}

Result<std::vector<RestoredContainer>> EmbeddedEngine::Restore() {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto records, store_.Containers());
  for (const auto& record : records) SKIFF_TRY(ReconcileContainer(*record, true));
  auto restored = RestartOrphans();
  SKIFF_TRY(Commit());
  return restored;
}

Result<std::string> EmbeddedEngine::MoveToTrash(const std::string& path, const std::string& name) {
  std::string doomed = layout_.trash() + "/" + name + "-" + RandomHex(8);
  SKIFF_TRY(Failpoint("engine.discard"));
  if (::rename(path.c_str(), doomed.c_str()) != 0 && errno != ENOENT) {
    return FailErrno("cannot move '" + path + "' to the trash");
  }
  return doomed;
}

Status EmbeddedEngine::Discard(const std::string& path, const std::string& name) {
  SKIFF_ASSIGN(const std::string doomed, MoveToTrash(path, name));
  return RemoveTree(doomed);
}

Status EmbeddedEngine::EmptyTrash() {
  std::set<std::string> stays;
  while (true) {
    {
      // Held by whoever is at it already, a detached process included.
      const auto lock = FileLock::TryAcquire(layout_.lock("trash"), FileLock::Mode::kExclusive);
      if (!lock) return {};
      SKIFF_TRY(DeleteTrash(stays));
    }
    // What came while the lock was held was left to this process.
    SKIFF_ASSIGN(const std::vector<std::string> names, TrashNames());
    const bool done = std::ranges::all_of(
        names, [&](const std::string& name) { return stays.contains(name); });
    if (done) return {};
  }
}

Status EmbeddedEngine::EmptyTrashDetached() {
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno("cannot start a process");
  if (pid == 0) {
    // Nothing of the command's is kept: no lock, no database, no terminal; also not until the
    // second process is scheduled, since a command that is killed must look dead.
    ::syscall(SYS_close_range, 0U, ~0U, 0U);
    // The middle process ends at once, so that init reaps the one that works.
    if (::fork() != 0) ::_exit(0);
    ::setsid();
    [[maybe_unused]] const Status emptied = EmptyTrash();
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return FailErrno("cannot await a process");
  }
  return {};
}

Result<std::vector<std::string>> EmbeddedEngine::TrashNames() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(layout_.trash().c_str()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + layout_.trash() + "'");
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

Status EmbeddedEngine::DeleteTrash(std::set<std::string>& stays) {
  SKIFF_ASSIGN(const std::vector<std::string> names, TrashNames());
  for (const std::string& name : names) {
    // Another command may be at the same tree: what it has removed meanwhile is no failure, and
    // what stays is found by the next one.
    if (!RemoveTree(layout_.trash() + "/" + name)) stays.insert(name);
  }
  return {};
}

Status EmbeddedEngine::RetireIfIdle() {
  {
    const std::lock_guard lock(pending_mutex_);
    if (!std::exchange(removed_something_, false)) return {};
  }
  if (network_.HasWork()) {
    // Another thread goes on removing; the commit after it would build the table anew.
    const std::lock_guard lock(pending_mutex_);
    removed_something_ = true;
    return {};
  }
  // Under the state lock, so that no other command is about to need what goes here.
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  SKIFF_ASSIGN(const auto others, intents_.Others());
  if (!others.empty()) return {};
  SKIFF_ASSIGN(const auto records, store_.Containers());
  for (const auto& record : records) {
    if (::access(LiveMarker(layout_, record->id).c_str(), F_OK) == 0) return {};
  }
  SKIFF_ASSIGN(CgroupManager * cgroups, Cgroups());
  SKIFF_TRY(cgroups->RemoveRoot());
  SKIFF_TRY(delegated_unit_.RemoveFolders(cgroups->layout()));
  SKIFF_ASSIGN(const auto networks, store_.Networks());
  return networks.empty() ? network_.Retire({}) : Status();
}

Status EmbeddedEngine::Retire() {
  SKIFF_TRY(OpenForChange());
  SKIFF_TRY(Commit());
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  SKIFF_ASSIGN(const auto records, store_.Containers());
  for (const auto& record : records) {
    if (!MonitorClient(layout_.run_container(record->id)).Alive()) continue;
    return Fail(Code::kFailedPrecondition, "container " + record->name + " is running");
  }
  SKIFF_ASSIGN(CgroupManager * cgroups, Cgroups());
  SKIFF_TRY(cgroups->RemoveRoot());
  SKIFF_TRY(delegated_unit_.RemoveFolders(cgroups->layout()));
  SKIFF_ASSIGN(const auto networks, store_.Networks());
  return network_.Retire(networks);
}

Status EmbeddedEngine::PurgeBlobs(const std::vector<std::string>& blobs) {
  SKIFF_TRY(Failpoint("engine.purge_blobs"));
  SKIFF_ASSIGN(const auto needed, images_.NeededBlobs());
  const std::set<std::string> kept(needed.begin(), needed.end());
  for (const std::string& hex : blobs) {
    if (kept.contains(hex)) continue;
    if (::unlink(layout_.blob(hex).c_str()) != 0 && errno != ENOENT) {
      return FailErrno("cannot remove the blob '" + layout_.blob(hex) + "'");
    }
  }
  return {};
}

Status EmbeddedEngine::Purge() {
  std::vector<std::string> containers;
  std::vector<std::string> doomed_volumes;
  image::Released artifacts;
  {
    const std::lock_guard lock(pending_mutex_);
    // Only what has gone by the commit: other threads go on removing.
    const auto take = [&](std::vector<std::string>& from, std::vector<std::string>& to) {
      std::ranges::partition_copy(std::exchange(from, {}), std::back_inserter(from),
                                  std::back_inserter(to),
                                  [&](const std::string& id) { return store_.Changing(id); });
    };
    take(doomed_containers_, containers);
    take(doomed_volumes_, doomed_volumes);
    std::swap(artifacts, doomed_artifacts_);
  }
  const Status purged = Purge(containers, doomed_volumes, artifacts);
  if (purged) return {};
  // All of it once more: what has gone is passed over.
  const std::lock_guard lock(pending_mutex_);
  std::ranges::move(containers, std::back_inserter(doomed_containers_));
  std::ranges::move(doomed_volumes, std::back_inserter(doomed_volumes_));
  std::ranges::move(artifacts.layers, std::back_inserter(doomed_artifacts_.layers));
  std::ranges::move(artifacts.blobs, std::back_inserter(doomed_artifacts_.blobs));
  return purged;
}

Status EmbeddedEngine::Purge(const std::vector<std::string>& containers,
                             const std::vector<std::string>& doomed_volumes,
                             const image::Released& artifacts) {
  // Deleting the upper folders of many containers takes longer than all the rest of a removal.
  const bool detached = containers.size() > kDeletedAtOnce;
  for (const std::string& id : containers) {
    if (detached) {
      SKIFF_TRY(MoveToTrash(layout_.container(id), "container"));
    } else {
      SKIFF_TRY(Discard(layout_.container(id), "container"));
    }
  }
  if (detached) SKIFF_TRY(EmptyTrashDetached());
  for (const std::string& name : doomed_volumes) SKIFF_TRY(volumes_.Remove(name));
  for (const std::string& id : artifacts.layers) {
    // Made again meanwhile by another thread.
    SKIFF_ASSIGN(const bool wanted, layers_.HasLayer(id));
    if (!wanted) SKIFF_TRY(Discard(layout_.layer(id), "layer"));
  }
  return artifacts.blobs.empty() ? Status() : PurgeBlobs(artifacts.blobs);
}

}  // namespace skiff::engine::embedded
