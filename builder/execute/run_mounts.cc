#include "builder/execute/run_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/identity.h"
#include "base/root_path.h"
#include "builder/execute/tree_writer.h"
#include "builder/plan/paths.h"

namespace skiff::builder {
namespace {

constexpr size_t kMaximumSecret = 512u << 10;
constexpr uint32_t kSecretMode = 0400;
constexpr uint32_t kCacheMode = 0755;
constexpr uint32_t kAgentMode = 0600;

engine::MountRequest BindOf(std::string source, std::string target, bool read_only) {
  engine::MountRequest mount;
  mount.kind = engine::MountKind::kBind;
  mount.source = std::move(source);
  mount.target = std::move(target);
  mount.read_only = read_only;
  return mount;
}

struct NewFile {
  std::string name;
  std::string content;
  uint32_t mode = 0;
  Owner owner;
};

// The path of a new file in `folder`.
Result<std::string> MakeFile(const std::string& folder, const NewFile& file) {
  const std::string path = folder + "/" + file.name;
  SKIFF_ASSIGN(const Fd fd, OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  SKIFF_TRY(WriteAll(fd.get(), file.content, file.name));
  if (::fchown(fd.get(), file.owner.uid, file.owner.gid) != 0 ||
      ::fchmod(fd.get(), file.mode) != 0) {
    return FailErrno("cannot set the owner and mode of '" + file.name + "'");
  }
  return path;
}

Result<std::string> ValueOf(const BuildSecret& secret) {
  if (secret.value) return *secret.value;
  return ReadFile(secret.path, kMaximumSecret);
}

// The folder of a cache mount and, unless it is shared, the lock on it. A private one that is in
// use gives way to another.
Result<std::string> TakeCacheFolder(const std::string& base, CacheSharing sharing,
                                    std::vector<FileLock>& locks) {
  for (int number = 0;; ++number) {
    const std::string folder = base + "/" + std::to_string(number);
    SKIFF_TRY(MakeDirectories(base));
    if (sharing == CacheSharing::kPrivate) {
      auto lock = FileLock::TryAcquire(folder + ".lock", FileLock::Mode::kExclusive);
      if (!lock && lock.error().code == Code::kFailedPrecondition) continue;
      if (!lock) return Fail(std::move(lock.error()));
      locks.push_back(std::move(*lock));
    } else {
      const auto mode =
          sharing == CacheSharing::kLocked ? FileLock::Mode::kExclusive : FileLock::Mode::kShared;
      SKIFF_ASSIGN(FileLock lock, FileLock::Acquire(folder + ".lock", mode));
      locks.push_back(std::move(lock));
    }
    // When it was used last, for pruning.
    if (::utimensat(AT_FDCWD, (folder + ".lock").c_str(), nullptr, 0) != 0) {
      return FailErrno("cannot set the time of a cache mount");
    }
    return folder;
  }
}

}  // namespace

Status BuildSession::RunMounts::Started() {
  for (const std::string& path : secrets) {
    if (::unlink(path.c_str()) != 0) return FailErrno("cannot remove a secret's file");
  }
  secrets.clear();
  return {};
}

Status BuildSession::AddMounts(const RunStep& run, engine::ContainerConfig& config,
                               RunMounts& mounts) {
  // Locks of caches are taken in one order everywhere.
  std::vector<const Mount*> caches;
  int agents = 0;
  for (const Mount& mount : run.mounts) {
    switch (mount.type) {
      case MountType::kBind:
        SKIFF_TRY(AddBind(mount, config, mounts));
        break;
      case MountType::kCache:
        caches.push_back(&mount);
        break;
      case MountType::kTmpfs: {
        engine::MountRequest request;
        request.kind = engine::MountKind::kTmpfs;
        request.target = mount.target;
        request.tmpfs_size = mount.size;
        request.tmpfs_options = {"exec"};
        config.mounts.push_back(std::move(request));
        break;
      }
      case MountType::kSecret:
        SKIFF_TRY(AddSecret(mount, config, mounts));
        break;
      case MountType::kSsh:
        SKIFF_TRY(AddAgent(mount, agents++, config, mounts));
        break;
    }
  }
  std::ranges::stable_sort(caches, [](const Mount* a, const Mount* b) { return a->id < b->id; });
  for (const Mount* mount : caches) SKIFF_TRY(AddCache(*mount, config, mounts));
  if (run.script) SKIFF_TRY(AddScript(*run.script, config, mounts));
  return {};
}

// The selected files in a folder of their own, which the step may change.
Result<std::string> BuildSession::CopyForMount(const Mount& mount, const OpenedSource& source,
                                               RunMounts& mounts) {
  SKIFF_ASSIGN(const std::vector<SourceItem> items,
               SelectSources(source.root, {mount.source, "", {}}));
  SKIFF_ASSIGN(auto layer, shared_.engine().CreateLayer({}));
  SKIFF_ASSIGN(const std::string folder, FolderOf(*layer));
  SKIFF_ASSIGN(const Fd root, layer->OpenRoot());
  WriteOptions options;
  options.owned_by_root = source.is_local();
  TreeWriter writer(source.fd.get(), root.get(), options);
  mounts.layers.push_back(std::move(layer));
  if (items.empty()) return folder;
  if (items[0].node.is_folder()) {
    SKIFF_TRY(writer.Copy(items[0], "/"));
    return folder;
  }
  SKIFF_TRY(writer.Copy(items[0], "/file"));
  return folder + "/file";
}

// A folder of this machine without ignored files is mounted as it is; other sources are copied.
Status BuildSession::AddBind(const Mount& mount, engine::ContainerConfig& config,
                             RunMounts& mounts) {
  SKIFF_ASSIGN(const OpenedSource source, OpenSource(mount.from));
  const bool in_place = source.is_local() && mount.read_only &&
                        (source.root.ignore == nullptr || source.root.ignore->empty());
  std::string path;
  if (in_place) {
    SKIFF_ASSIGN(const std::string inside, RealPathInRoot(source.fd.get(), mount.source.substr(1)));
    path = inside.empty() ? source.folder : source.folder + "/" + inside;
  } else {
    SKIFF_ASSIGN(path, CopyForMount(mount, source, mounts));
  }
  config.mounts.push_back(BindOf(std::move(path), mount.target, mount.read_only));
  return {};
}

Status BuildSession::AddCache(const Mount& mount, engine::ContainerConfig& config,
                              RunMounts& mounts) {
  StepKey key("cache mount");
  key.Add(mount.id);
  const bool seeded = !std::holds_alternative<EmptySource>(mount.from);
  if (seeded) {
    SKIFF_ASSIGN(const std::vector<std::string> layers, LayersOf(mount.from));
    key.Add(layers).Add(mount.source);
  }
  for (const auto& number : {mount.mode, mount.uid, mount.gid}) {
    key.Add(number ? static_cast<int64_t>(*number) : -1);
  }
  const std::string base = shared_.options().cache_folder + "/mounts/" + key.Finish().substr(0, 32);
  SKIFF_ASSIGN(const std::string folder, TakeCacheFolder(base, mount.sharing, mounts.locks));
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) {
    const std::string fresh = folder + ".new-" + RandomHex(4);
    SKIFF_TRY(MakeDirectories(fresh, kCacheMode));
    if (seeded) {
      SKIFF_ASSIGN(const OpenedSource source, OpenSource(mount.from));
      SKIFF_ASSIGN(const auto items, SelectSources(source.root, {mount.source, "", {}}));
      SKIFF_ASSIGN(const Fd root, OpenFile(fresh, O_RDONLY | O_DIRECTORY));
      TreeWriter writer(source.fd.get(), root.get(), {});
      if (!items.empty()) SKIFF_TRY(writer.Copy(items[0], "/"));
    }
    if (::chown(fresh.c_str(), mount.uid.value_or(0), mount.gid.value_or(0)) != 0 ||
        ::chmod(fresh.c_str(), mount.mode.value_or(kCacheMode)) != 0) {
      return FailErrno("cannot set the owner and mode of a cache mount");
    }
    // Another step may have been faster.
    if (::rename(fresh.c_str(), folder.c_str()) != 0) SKIFF_TRY(RemoveTree(fresh));
  }
  std::string path = folder;
  if (!seeded && mount.source.size() > 1) {
    SKIFF_ASSIGN(const Fd root, OpenFile(folder, O_RDONLY | O_DIRECTORY));
    SKIFF_TRY(MakeDirectoriesInRoot(root.get(), mount.source, kCacheMode));
    SKIFF_ASSIGN(const std::string inside, RealPathInRoot(root.get(), mount.source.substr(1)));
    path += "/" + inside;
  }
  config.mounts.push_back(BindOf(std::move(path), mount.target, mount.read_only));
  return {};
}

Status BuildSession::AddSecret(const Mount& mount, engine::ContainerConfig& config,
                               RunMounts& mounts) {
  const auto it = settings_.secrets.find(mount.id);
  if (it == settings_.secrets.end()) {
    if (!mount.required) return {};
    return Fail(Error(Code::kNotFound, "secret " + mount.id + ": not found")
                    .With("--secret id=" + mount.id + ",src=FILE gives it"));
  }
  SKIFF_ASSIGN(const std::string value, ValueOf(it->second));
  if (mount.variable) config.environment.push_back(*mount.variable + "=" + value);
  if (mount.target.empty()) return {};
  // Removed from its folder as soon as it is mounted; on the way it is in the folder of a layer in
  // the making, which the next command removes when this one is killed.
  SKIFF_ASSIGN(auto layer, shared_.engine().CreateLayer({}));
  SKIFF_ASSIGN(const std::string folder, FolderOf(*layer));
  mounts.layers.push_back(std::move(layer));
  NewFile file{"secret",
               value,
               mount.mode.value_or(kSecretMode),
               {mount.uid.value_or(0), mount.gid.value_or(0)}};
  SKIFF_ASSIGN(const std::string path, MakeFile(folder, file));
  mounts.secrets.push_back(path);
  config.mounts.push_back(BindOf(path, mount.target, true));
  return {};
}

Status BuildSession::AddAgent(const Mount& mount, int number, engine::ContainerConfig& config,
                              RunMounts& mounts) {
  const auto it = settings_.agents.find(mount.id);
  if (it == settings_.agents.end()) {
    if (!mount.required) return {};
    return Fail(Error(Code::kNotFound, "unset ssh forward key " + mount.id)
                    .With("--ssh " + mount.id + "=SOCKET gives it"));
  }
  AgentRelay::Options options;
  SKIFF_ASSIGN(options.agent, shared_.SocketOf(it->second));
  options.owner = {mount.uid.value_or(0), mount.gid.value_or(0)};
  options.mode = mount.mode.value_or(kAgentMode);
  SKIFF_ASSIGN(auto layer, shared_.engine().CreateLayer({}));
  SKIFF_ASSIGN(options.folder, FolderOf(*layer));
  mounts.layers.push_back(std::move(layer));
  SKIFF_ASSIGN(auto relay, AgentRelay::Start(options));
  const std::string target =
      mount.target.empty() ? "/run/buildkit/ssh_agent." + std::to_string(number) : mount.target;
  config.mounts.push_back(BindOf(relay->socket(), target, false));
  mounts.relays.push_back(std::move(relay));
  if (number == 0) config.environment.push_back("SSH_AUTH_SOCK=" + target);
  return {};
}

Status BuildSession::AddScript(const Script& script, engine::ContainerConfig& config,
                               RunMounts& mounts) {
  SKIFF_ASSIGN(auto layer, shared_.engine().CreateLayer({}));
  SKIFF_ASSIGN(const std::string folder, FolderOf(*layer));
  mounts.layers.push_back(std::move(layer));
  NewFile file{std::string(BaseName(script.path)), script.content, 0755, {}};
  SKIFF_TRY(MakeFile(folder, file));
  const std::string parent = script.path.substr(0, script.path.rfind('/'));
  config.mounts.push_back(BindOf(folder, parent, true));
  return {};
}

}  // namespace skiff::builder
