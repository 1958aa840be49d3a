#include "engine-core/embedded/embedded_engine.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/failpoint.h"
#include "base/fd.h"
#include "base/trace.h"
#include "engine-core/embedded/events.h"
#include "engine-core/journal.h"

namespace skiff::engine {
namespace {

std::string Absolute(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  std::string text = error ? path : absolute.lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

// The programs are installed side by side.
std::string Beside(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? name : (self.parent_path() / name).string();
}

EmbeddedOptions Completed(EmbeddedOptions options) {
  options.root = Absolute(options.root);
  options.run = Absolute(options.run);
  if (options.monitor_program.empty()) options.monitor_program = Beside("skiff-monitor");
  if (options.transfer_program.empty()) options.transfer_program = Beside("skiff-transfer");
  return options;
}

}  // namespace

Result<std::unique_ptr<Engine>> OpenEmbeddedEngine(const EmbeddedOptions& options) {
  return std::make_unique<embedded::EmbeddedEngine>(options);
}

Result<SystemReport> SystemCheck(const EmbeddedOptions& options, bool repair) {
  embedded::EmbeddedEngine engine(options);
  return engine.Check(repair);
}

Result<std::vector<RestoredContainer>> RestoreContainers(const EmbeddedOptions& options) {
  embedded::EmbeddedEngine engine(options);
  return engine.Restore();
}

Status RetireRoot(const EmbeddedOptions& options) {
  embedded::EmbeddedEngine engine(options);
  return engine.Retire();
}

namespace embedded {

int64_t NowNanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

std::string ShortId(std::string_view id) {
  return std::string(id.substr(0, 12));
}

EmbeddedEngine::EmbeddedEngine(EmbeddedOptions options)
    : options_(Completed(std::move(options))),
      layout_(options_.root, options_.run),
      root_hash_(RootHash(options_.root)),
      store_(layout_),
      intents_(layout_),
      volumes_(layout_.volumes(), layout_.trash()),
      layers_(layout_, store_, options_.transfer_program,
              [this](image::Artifact kind, const std::string& hex) {
                return AnnounceArtifact(kind, hex);
              }),
      images_(store_, layers_),
      network_(layout_, root_hash_),
      delegated_unit_(root_hash_) {}

EmbeddedEngine::~EmbeddedEngine() {
  // Documented: the destructor cannot report a failure; what stays undone is in the intents.
  [[maybe_unused]] const Status committed = Commit();
}

Status EmbeddedEngine::OpenRoots() {
  const std::lock_guard lock(open_mutex_);
  if (open_) return {};
  if (!layout_.Prepared()) SKIFF_TRY(layout_.Prepare());
  open_ = true;
  return {};
}

Status EmbeddedEngine::Open() {
  SKIFF_TRY(OpenRoots());
  {
    const std::lock_guard lock(open_mutex_);
    if (std::exchange(looked_, true)) return {};
  }
  // What a dead command left half done is put right before anybody decides by it.
  SKIFF_ASSIGN(const bool died, intents_.SomebodyDied());
  return died ? OpenForChange() : Status();
}

Status EmbeddedEngine::OpenForChange() {
  SKIFF_TRY(OpenRoots());
  const std::lock_guard lock(open_mutex_);
  if (reconciled_) return {};
  reconciled_ = true;
  fresh_boot_ = ::access(layout_.fresh_boot().c_str(), F_OK) == 0;
  return Reconcile(fresh_boot_);
}

Result<EmbeddedEngine::StateGuard> EmbeddedEngine::LockState() {
  std::unique_lock thread(state_mutex_);
  SKIFF_ASSIGN(FileLock process,
               FileLock::Acquire(layout_.lock("state"), FileLock::Mode::kExclusive));
  return StateGuard{std::move(thread), std::move(process)};
}

Result<EmbeddedEngine::ContainerGuard> EmbeddedEngine::LockContainer(const std::string& id) {
  std::shared_ptr<std::mutex> mutex;
  {
    const std::lock_guard lock(containers_mutex_);
    auto& place = container_mutexes_[id];
    if (!place) place = std::make_shared<std::mutex>();
    mutex = place;
  }
  std::unique_lock thread(*mutex);
  SKIFF_TRY(MakeDirectories(layout_.run_container(id), 0700));
  auto process =
      FileLock::Acquire(layout_.run_container(id) + "/command.lock", FileLock::Mode::kExclusive);
  // Whoever had the lock removed the container and its folder.
  if (!process && process.error().code == Code::kNotFound) {
    return Fail(Code::kNotFound, "No such container: " + id);
  }
  if (!process) return Fail(std::move(process).error());
  return ContainerGuard{std::move(mutex), std::move(thread), std::move(*process)};
}

Result<Ptr<ContainerRecord>> EmbeddedEngine::Again(const std::string& id) {
  auto record = store_.FindContainer(id);
  if (record || record.error().code != Code::kNotFound) return record;
  // Taking its lock made its folder anew.
  SKIFF_TRY(RemoveTree(layout_.run_container(id)));
  return record;
}

Result<CgroupManager*> EmbeddedEngine::Cgroups() {
  const std::lock_guard lock(lazy_mutex_);
  if (!cgroups_) {
    SKIFF_ASSIGN(cgroups_, CgroupManager::Create({root_hash_, delegated_unit_.cgroup()}));
  }
  return cgroups_.get();
}

void EmbeddedEngine::HoldUnit() {
  const std::lock_guard lock(lazy_mutex_);
  if (unit_lost_) return;
  const auto joined = delegated_unit_.Hold();
  if (!joined) {
    unit_lost_ = true;
    Notice("containers run without a unit of systemd: " + joined.error().Text());
    return;
  }
  // It may hold folders of a unit that somebody has stopped; a start may be using it still.
  if (*joined && launcher_) old_launchers_.push_back(std::move(launcher_));
}

Result<Launcher*> EmbeddedEngine::GetLauncher() {
  SKIFF_ASSIGN(CgroupManager * cgroups, Cgroups());
  const std::lock_guard lock(lazy_mutex_);
  if (!launcher_) {
    Launcher::Options options;
    options.program = options_.monitor_program;
    options.cgroups = cgroups->MonitorCgroups();
    SKIFF_ASSIGN(launcher_, Launcher::Create(std::move(options)));
    for (const std::string& text : CheckCallerContext()) Notice(text);
  }
  return launcher_.get();
}

void EmbeddedEngine::Notice(const std::string& text) {
  if (options_.notice) options_.notice(text);
}

void EmbeddedEngine::Journal(std::string_view type, std::string_view action,
                             const std::string& actor,
                             const std::vector<std::pair<std::string, std::string>>& attributes) {
  // News, not state: a journal that cannot be written fails nothing.
  [[maybe_unused]] const Status appended = AppendJournalEntry(
      layout_.run(), FormatJournalEntry(NowNanoseconds(), type, action, actor, attributes));
}

void EmbeddedEngine::JournalWhole(std::string_view action, const ContainerRecord& record) {
  const auto attributes = EventAttributes(record.config.labels, record.image, record.name);
  Journal("container", action, record.id, {attributes.begin(), attributes.end()});
}

Status EmbeddedEngine::Commit() {
  const std::lock_guard commit_lock(commit_mutex_);
  {
    const std::lock_guard lock(open_mutex_);
    if (!reconciled_) return {};  // Nothing has been changed.
  }
  // What comes after a failure is done all the same: the first one is told.
  Status first;
  for (const RestoredContainer& restored : RestartOrphans()) {
    // A failure of the policy's, not of the command's.
    const std::string container = "container " + restored.name;
    Notice(restored.error ? container + " could not be started again by its restart policy: " +
                                restored.error->Text()
                          : container + " was started again by its restart policy");
  }
  const auto keep = [&](Status next) {
    if (first && !next) first = std::move(next);
  };
  std::shared_ptr<FileLock> used;
  std::shared_ptr<FileLock> owned;
  {
    // Whoever comes from here on takes a lock anew.
    const std::lock_guard lock(images_mutex_);
    used.swap(images_used_);
    owned.swap(images_owned_);
  }
  // What rows are about to speak of outlives them.
  SKIFF_TRY(layers_.Sync());
  TraceSpan rows("engine.commit.rows");
  const Status stored = store_.Commit();
  rows.Done();
  keep(stored);
  bool done = stored.has_value();
  if (network_.HasWork()) {
    const TraceSpan span("engine.commit.network");
    std::vector<std::string> warnings;
    const Status flushed = network_.Flush([this] { return WholeFirewall(); }, &warnings);
    keep(flushed);
    for (const std::string& text : warnings) Notice(text);
    done = done && flushed;
  }
  // The intents stay: they tell the next command what is missing.
  if (!done) return first;
  {
    const TraceSpan span("engine.commit.retire");
    keep(RetireIfIdle());
  }
  keep(Failpoint("engine.commit.before_purge"));
  {
    const TraceSpan span("engine.commit.purge");
    const Status purged = Purge();
    keep(purged);
    if (!purged) return first;
  }
  keep(SettleIntents());
  return first;
}

Status EmbeddedEngine::SettleIntents() {
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  if (intents_.own().empty()) return {};
  SKIFF_ASSIGN(const auto records, store_.Containers());
  std::vector<Intent> kept;
  for (const Intent& intent : intents_.own()) {
    // A container that is in the volatile root only is not safe by having been committed.
    const bool unsafe = std::ranges::any_of(records, [&](const auto& record) {
      return record->id == intent.id && record->config.auto_remove;
    });
    const std::lock_guard lock(pending_mutex_);
    if (unsafe || busy_.contains(intent.id) || store_.Changing(intent.id)) kept.push_back(intent);
  }
  return intents_.Replace(kept);
}

}  // namespace embedded
}  // namespace skiff::engine
