#include "compose/watch/tree_watch.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace skiff::compose {
namespace {

constexpr uint32_t kChanges = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE |
                              IN_MOVED_FROM | IN_MOVED_TO;
constexpr uint32_t kCame = IN_CREATE | IN_MOVED_TO;
constexpr uint32_t kWent = IN_DELETE | IN_MOVED_FROM;

std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string Join(const std::string& folder, const std::string& name) {
  return folder == "/" ? folder + name : folder + "/" + name;
}

bool IsFolder(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

bool IsWithin(const std::string& folder, const std::string& path) {
  if (folder == "/") return true;
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

Result<std::unique_ptr<TreeWatch>> TreeWatch::Open(std::vector<std::string> roots, Skip skip) {
  Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) return FailErrno("cannot watch files");
  std::unique_ptr<TreeWatch> watch(
      new TreeWatch(std::move(roots), std::move(skip), std::move(inotify)));
  for (const std::string& root : watch->roots_) SKIFF_TRY(watch->Attach(root));
  watch->changed_.clear();  // What was there before has not changed.
  return watch;
}

// The root, and the nearest folder above it that is there: where it comes back when it goes.
Status TreeWatch::Attach(const std::string& root) {
  if (IsFolder(root)) SKIFF_TRY(AddTree(root));
  for (std::string above = Parent(root);; above = Parent(above)) {
    SKIFF_ASSIGN(const bool there, Add(above, false));
    if (there || above == "/") return {};
  }
}

Result<bool> TreeWatch::Add(const std::string& folder, bool whole) {
  // On the way to a root only names matter, unless it is a file there or may become one.
  const bool has_file = std::ranges::any_of(roots_, [&](const std::string& root) {
    return Parent(root) == folder && !IsFolder(root);
  });
  const uint32_t changes = whole || has_file ? kChanges : kCame | kWent;
  const uint32_t how = IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD | (whole ? IN_DONT_FOLLOW : 0);
  const int added = ::inotify_add_watch(inotify_.get(), folder.c_str(), changes | how);
  if (added < 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return false;
    if (errno == ENOSPC) {
      return Fail(Error(Code::kExhausted, "cannot watch '" + folder + "': the kernel watches no more folders")
                      .With("raise fs.inotify.max_user_watches, or ignore folders that do not matter"));
    }
    return FailErrno("cannot watch '" + folder + "'");
  }
  Folder& known = folders_[added];
  known.path = folder;
  known.whole = known.whole || whole;
  return true;
}

// First the folder and then what is in it, so that nothing is lost in between.
Status TreeWatch::AddTree(const std::string& folder) {
  changed_.insert(folder);
  SKIFF_ASSIGN(const bool there, Add(folder, true));
  if (!there) return {};
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), ::closedir);
  if (!entries) {
    if (errno == ENOENT) return {};  // Gone meanwhile, which will be told.
    return FailErrno("cannot read '" + folder + "'");
  }
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = Join(folder, name);
    if (!IsFolder(path)) {
      changed_.insert(path);
    } else if (!skip_(path)) {
      SKIFF_TRY(AddTree(path));
    }
  }
  return {};
}

// A folder that was moved away is watched still, under a name that it has no longer.
void TreeWatch::Forget(const std::string& folder) {
  std::erase_if(folders_, [&](const auto& entry) {
    if (!entry.second.whole || !IsWithin(folder, entry.second.path)) return false;
    // One that was removed has no watch any more.
    ::inotify_rm_watch(inotify_.get(), entry.first);
    return true;
  });
}

Status TreeWatch::Take(const Change& change) {
  if ((change.mask & IN_Q_OVERFLOW) != 0) {
    for (const std::string& root : roots_) {
      changed_.insert(root);
      SKIFF_TRY(Attach(root));
    }
    return {};
  }
  if ((change.mask & IN_IGNORED) != 0) {
    folders_.erase(change.folder);
    return {};
  }
  const auto found = folders_.find(change.folder);
  if (found == folders_.end() || change.name.empty()) return {};
  const Folder folder = found->second;
  const std::string path = Join(folder.path, change.name);
  const bool is_folder = (change.mask & IN_ISDIR) != 0;
  if (folder.whole && !(is_folder && skip_(path))) {
    changed_.insert(path);
    if (is_folder && (change.mask & kWent) != 0) Forget(path);
    if (is_folder && (change.mask & kCame) != 0) SKIFF_TRY(AddTree(path));
  }
  for (const std::string& root : roots_) {
    if (!IsWithin(path, root)) continue;
    if (path == root || (change.mask & kWent) != 0) changed_.insert(root);
    if ((change.mask & kWent) != 0) Forget(path);
    if ((change.mask & (kCame | kWent)) != 0) SKIFF_TRY(Attach(root));
  }
  return {};
}

Result<std::set<std::string>> TreeWatch::Read() {
  alignas(inotify_event) char buffer[1 << 16];
  while (true) {
    const ssize_t got = ::read(inotify_.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) return FailErrno("cannot read what has changed");
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, buffer + at, sizeof event);
      const char* name = buffer + at + sizeof event;
      SKIFF_TRY(Take({event.wd, event.mask, event.len == 0 ? "" : std::string(name)}));
      at += static_cast<ssize_t>(sizeof event) + event.len;
    }
  }
  return std::exchange(changed_, {});
}

}  // namespace skiff::compose
