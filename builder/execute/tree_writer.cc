#include "builder/execute/tree_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/failpoint.h"
#include "base/root_path.h"
#include "base/text.h"
#include "builder/execute/copy_data.h"
#include "builder/execute/tree_digest.h"
#include "builder/plan/paths.h"

namespace skiff::builder {
namespace {

constexpr int kMaximumLinks = 40;
constexpr size_t kWorthTwo = 256;  // Files; fewer are not worth a second thread.
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

bool SameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_size == b.st_size && SameTime(a.st_mtim, b.st_mtim) &&
         SameTime(a.st_ctim, b.st_ctim);
}

tl::unexpected<Error> FailAt(const char* what, const std::string& path) {
  return FailErrno(std::string(what) + " '/" + path + "'");
}

// The number of files, counted no further than to `enough`.
size_t CountAtLeast(const TreeNode& node, size_t enough) {
  size_t count = 1;
  for (const TreeNode& child : node.children) {
    if (count >= enough) break;
    count += CountAtLeast(child, enough - count);
  }
  return count;
}

// Files that are one must not be copied by two threads at once.
bool HasLinks(const TreeNode& node) {
  if (S_ISREG(node.info.st_mode) && node.info.st_nlink > 1) return true;
  return std::ranges::any_of(node.children, HasLinks);
}

std::string Below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

Result<std::string> LinkAt(int folder, const std::string& name) {
  std::string target(4096, '\0');
  const ssize_t length = ::readlinkat(folder, name.c_str(), target.data(), target.size());
  if (length < 0) return FailErrno("cannot read the link '" + name + "'");
  target.resize(static_cast<size_t>(length));
  return target;
}

}  // namespace

Status TreeWriter::MakeFolders(const std::string& path) {
  std::vector<std::string> made;
  std::string prefix;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty()) continue;
    prefix += "/" + std::string(part);
    const auto there = OpenInRoot(target_, prefix, O_PATH);
    if (!there && there.error().code == Code::kNotFound) made.push_back(prefix);
  }
  const mode_t mode = NewFolderMode(options_.mode);
  SKIFF_TRY(MakeDirectoriesInRoot(target_, path.empty() ? "/" : path, mode));
  for (const std::string& folder : made) {
    SKIFF_ASSIGN(const Fd fd, OpenInRoot(target_, folder, O_RDONLY | O_DIRECTORY));
    const Owner owner = options_.owner.value_or(Owner{});
    if (!options_.mode.empty() && ::fchmod(fd.get(), mode) != 0) {
      return FailAt("cannot set the mode of", folder.substr(1));
    }
    if (::fchown(fd.get(), owner.uid, owner.gid) != 0) {
      return FailAt("cannot set the owner of", folder.substr(1));
    }
  }
  return {};
}

// Where the last name of `path` really is: links there are followed inside the root.
Result<TreeWriter::Place> TreeWriter::Follow(std::string path) {
  for (int links = 0; links < kMaximumLinks; ++links) {
    path = CleanPath("/" + path);
    Place place;
    const size_t slash = path.rfind('/');
    place.name = path.substr(slash + 1);
    place.path = path.substr(1);
    const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
    SKIFF_ASSIGN(place.folder, OpenInRoot(target_, folder, kFolderFlags & ~O_NOFOLLOW));
    struct stat info {};
    const bool exists =
        ::fstatat(place.folder.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (!exists || !S_ISLNK(info.st_mode) || !options_.follow_destination) return place;
    const auto link = LinkAt(place.folder.get(), place.name);
    if (!link) return Fail(link.error());
    path = link->starts_with('/') ? *link : folder + "/" + *link;
  }
  return Fail(Code::kInvalidArgument, "too many links at '" + path + "'");
}

// The place of a file called `name` that is copied to `destination`.
Result<TreeWriter::Place> TreeWriter::PlaceOf(const std::string& name,
                                              const std::string& destination) {
  const bool says_folder = destination.ends_with('/') || destination.ends_with("/.");
  std::string clean = CleanPath(destination);
  bool is_folder = says_folder || clean == "/";
  if (!is_folder) {
    const auto existing = OpenInRoot(target_, clean, O_PATH | O_DIRECTORY);
    is_folder = existing.has_value();
  }
  const std::string folder = is_folder ? clean : clean.substr(0, clean.rfind('/'));
  SKIFF_TRY(MakeFolders(folder));
  return Follow(is_folder ? clean + "/" + name : clean);
}

Status TreeWriter::Copy(const SourceItem& item, const std::string& destination) {
  if (item.node.is_folder()) return CopyFolder(item, destination);
  SKIFF_ASSIGN(const Place place, PlaceOf(item.node.name, destination));
  // The source's own name may be a link, which has been followed.
  SKIFF_ASSIGN(const Fd real, OpenInRoot(source_, item.path, O_PATH));
  TreeNode node = item.node;
  const size_t slash = item.path.rfind('/');
  const std::string folder = slash == std::string::npos ? "/" : item.path.substr(0, slash);
  SKIFF_ASSIGN(const Fd from, OpenInRoot(source_, folder, O_RDONLY | O_DIRECTORY));
  struct stat named {};
  if (::fstatat(from.get(), node.name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISLNK(named.st_mode) && S_ISREG(node.info.st_mode)) {
    node.name = "/proc/self/fd/" + std::to_string(real.get());
  }
  return Child({from.get(), node, place.folder.get(), place.name, place.path, false});
}

// The contents of the folder. One that exists already keeps its metadata.
Status TreeWriter::CopyFolder(const SourceItem& item, const std::string& destination) {
  const std::string clean = CleanPath(destination);
  const auto existing = OpenInRoot(target_, clean, O_PATH);
  if (existing) {
    struct stat info {};
    if (::fstat(existing->get(), &info) != 0) return FailAt("cannot read", clean.substr(1));
    if (!S_ISDIR(info.st_mode)) {
      return Fail(Code::kInvalidArgument, "cannot copy to non-directory: " + clean);
    }
  }
  SKIFF_TRY(MakeFolders(clean));
  SKIFF_ASSIGN(Fd to, OpenInRoot(target_, clean, O_RDONLY | O_DIRECTORY));
  const std::string path = clean.substr(1);
  bool direct = false;
  if (!existing) {
    SKIFF_ASSIGN(to, Direct(std::move(to), path, &direct));
  }
  SKIFF_ASSIGN(const Fd from,
               OpenInRoot(source_, item.path.empty() ? "/" : item.path, O_RDONLY | O_DIRECTORY));
  const bool split = CountAtLeast(item.node, kWorthTwo) >= kWorthTwo && !HasLinks(item.node);
  SKIFF_TRY(Children({from.get(), item.node, to.get(), path, direct, split}));
  // Of the source's metadata it has only the time.
  const timespec times[] = {item.node.info.st_mtim, item.node.info.st_mtim};
  if (::futimens(to.get(), times) != 0) {
    return FailAt("cannot set the time of", clean.substr(1));
  }
  return {};
}

Status TreeWriter::WriteFile(const std::string& name, const std::string& content,
                             const std::string& destination) {
  SKIFF_ASSIGN(const Place place, PlaceOf(name, destination));
  TreeNode node;
  node.name = name;
  node.info.st_mode = S_IFREG | 0644;
  const Entry entry{-1, node, place.folder.get(), place.name, place.path, false};
  SKIFF_ASSIGN(const Fd file, NewFile(entry));
  SKIFF_TRY(WriteAll(file.get(), content, place.path));
  const Owner owner = options_.owner.value_or(Owner{});
  if (::fchown(file.get(), owner.uid, owner.gid) != 0) {
    return FailAt("cannot set the owner of", place.path);
  }
  const mode_t mode = options_.mode.empty() ? 0644 : ApplyMode(options_.mode, 0644, false);
  if (::fchmod(file.get(), mode) != 0) return FailAt("cannot set the mode of", place.path);
  return {};
}

// The same folder without overlayfs in between, when it is a new one.
Result<Fd> TreeWriter::Direct(Fd merged, const std::string& path, bool* direct) const {
  if (written_ < 0) return merged;
  auto own = OpenInRoot(written_, path, O_RDONLY | O_DIRECTORY);
  struct stat above {
  }, below{};
  // Through a link the path means something else there.
  if (!own || ::fstat(merged.get(), &above) != 0 || ::fstat(own->get(), &below) != 0 ||
      above.st_ino != below.st_ino) {
    return merged;
  }
  *direct = true;
  return own;
}

Status TreeWriter::OneChild(const Folders& folders, const TreeNode& child, bool split) {
  const std::string own = Below(folders.path, child.name);
  return Child({folders.from, child, folders.to, child.name, own, folders.direct}, split);
}

Status TreeWriter::Children(const Folders& folders) {
  const std::vector<TreeNode>& children = folders.node.children;
  if (folders.split && children.size() > 1) return ChildrenByTwo(folders);
  for (const TreeNode& child : children) SKIFF_TRY(OneChild(folders, child, folders.split));
  return {};
}

Status TreeWriter::ChildrenByTwo(const Folders& folders) {
  const std::vector<TreeNode>& children = folders.node.children;
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  const auto work = [&]() -> Status {
    for (size_t i = next++; i < children.size() && !failed; i = next++) {
      Status copied = OneChild(folders, children[i], false);
      if (copied) continue;
      failed = true;
      return copied;
    }
    return {};
  };
  Status beside;
  std::thread helper([&] { beside = work(); });
  const Status own = work();
  helper.join();
  SKIFF_TRY(own);
  return beside;
}

Status TreeWriter::Child(const Entry& entry, bool split) {
  SKIFF_TRY(Failpoint("build.copy_file"));
  if (entry.node.is_folder()) return Folder(entry, split);
  if (!S_ISREG(entry.node.info.st_mode) || entry.node.info.st_nlink > 1) {
    SKIFF_TRY(ClearPlace(entry));
  }
  SKIFF_ASSIGN(const bool linked, LinkAgain(entry));
  if (linked) return {};
  return S_ISREG(entry.node.info.st_mode) ? File(entry) : OtherFile(entry);
}

// The folder that is there already. `keeps`: its metadata.
Result<Fd> TreeWriter::MergeFolder(const Entry& entry, bool* keeps) {
  struct stat info {};
  if (::fstatat(entry.to, entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailAt("cannot read", entry.path);
  }
  const bool implied =
      options_.archive_since && Nanoseconds(entry.node.info.st_mtim) >= *options_.archive_since;
  *keeps = implied;
  if (S_ISDIR(info.st_mode)) return OpenFileAt(entry.to, entry.name, kFolderFlags);
  if (implied) return OpenInRoot(target_, entry.path, O_RDONLY | O_DIRECTORY);
  if (!options_.archive_since) {
    return Fail(Code::kInvalidArgument, "cannot copy to non-directory: /" + entry.path);
  }
  if (::unlinkat(entry.to, entry.name.c_str(), 0) != 0 ||
      ::mkdirat(entry.to, entry.name.c_str(), 0700) != 0) {
    return FailAt("cannot replace", entry.path);
  }
  return OpenFileAt(entry.to, entry.name, kFolderFlags);
}

Status TreeWriter::Folder(const Entry& entry, bool split) {
  bool keeps = false;
  bool direct = entry.direct;
  Result<Fd> to = Fd();
  if (::mkdirat(entry.to, entry.name.c_str(), 0700) == 0) {
    to = OpenFileAt(entry.to, entry.name, kFolderFlags);
    if (to && !direct) to = Direct(std::move(*to), entry.path, &direct);
  } else if (errno == EEXIST) {
    to = MergeFolder(entry, &keeps);
  } else {
    return FailAt("cannot make the folder", entry.path);
  }
  if (!to) return Fail(std::move(to.error()));
  SKIFF_ASSIGN(const Fd from, OpenFileAt(entry.from, entry.node.name, kFolderFlags));
  SKIFF_TRY(Children({from.get(), entry.node, to->get(), entry.path, direct, split}));
  if (keeps) return {};
  return Settle(entry, to->get(), from.get());
}

// Whatever is there gives way to a file, except a folder.
Status TreeWriter::ClearPlace(const Entry& entry) const {
  if (::unlinkat(entry.to, entry.name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno == EISDIR || errno == EPERM) {
    return Fail(Code::kInvalidArgument,
                "cannot replace to directory /" + entry.path + " with file");
  }
  return FailAt("cannot replace", entry.path);
}

// Files that were one in the source stay one.
Result<bool> TreeWriter::LinkAgain(const Entry& entry) {
  const struct stat& info = entry.node.info;
  if (info.st_nlink < 2 || !S_ISREG(info.st_mode)) return false;
  const auto first = linked_.find({info.st_dev, info.st_ino});
  if (first == linked_.end()) return false;
  SKIFF_ASSIGN(const Fd file,
               OpenInRoot(entry.direct ? written_ : target_, first->second, O_PATH | O_NOFOLLOW));
  const std::string name = "/proc/self/fd/" + std::to_string(file.get());
  if (::linkat(AT_FDCWD, name.c_str(), entry.to, entry.name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return FailAt("cannot link", entry.path);
  }
  return true;
}

// A new file; most often nothing has to give way to it.
Result<Fd> TreeWriter::NewFile(const Entry& entry) const {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  auto file = OpenFileAt(entry.to, entry.name, kFlags, 0600);
  if (file || file.error().code != Code::kAlreadyExists) return file;
  SKIFF_TRY(ClearPlace(entry));
  return OpenFileAt(entry.to, entry.name, kFlags, 0600);
}

Status TreeWriter::File(const Entry& entry) {
  const bool through_link = entry.node.name.starts_with('/');
  SKIFF_ASSIGN(const Fd from, OpenFileAt(entry.from, entry.node.name,
                                         O_RDONLY | O_NONBLOCK | (through_link ? 0 : O_NOFOLLOW)));
  struct stat info {};
  if (::fstat(from.get(), &info) != 0) return FailAt("cannot read", entry.path);
  if (!SameFile(info, entry.node.info)) source_changed_ = true;
  SKIFF_ASSIGN(const Fd to, NewFile(entry));
  SKIFF_TRY(CopyData(from.get(), to.get(), info.st_size, info.st_blocks, entry.path));
  SKIFF_TRY(Settle(entry, to.get(), from.get()));
  if (entry.node.info.st_nlink > 1) {
    linked_.emplace(std::pair(entry.node.info.st_dev, entry.node.info.st_ino), entry.path);
  }
  return {};
}

// A link, a device, a pipe; a socket becomes an empty file.
Status TreeWriter::OtherFile(const Entry& entry) {
  const struct stat& info = entry.node.info;
  if (S_ISLNK(info.st_mode)) {
    if (::symlinkat(entry.node.link.c_str(), entry.to, entry.name.c_str()) != 0) {
      return FailAt("cannot make the link", entry.path);
    }
    return Settle(entry, -1, -1);
  }
  const mode_t kind = S_ISSOCK(info.st_mode) ? S_IFREG : info.st_mode & S_IFMT;
  if (::mknodat(entry.to, entry.name.c_str(), kind | 0600, info.st_rdev) != 0) {
    return FailAt("cannot make", entry.path);
  }
  return Settle(entry, -1, -1);
}

// Owner, mode, attributes and time of last change, in the order in which none undoes another.
Status TreeWriter::Settle(const Entry& entry, int fd, int source_fd) {
  const struct stat& info = entry.node.info;
  Owner owner{info.st_uid, info.st_gid};
  if (options_.owned_by_root) owner = {};
  const bool implied = entry.node.is_folder() && options_.archive_since &&
                       Nanoseconds(info.st_mtim) >= *options_.archive_since;
  if (options_.owner && !implied) owner = *options_.owner;
  const char* name = entry.name.c_str();
  const int chowned = fd >= 0
                          ? ::fchown(fd, owner.uid, owner.gid)
                          : ::fchownat(entry.to, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW);
  if (chowned != 0) return FailAt("cannot set the owner of", entry.path);
  if (!S_ISLNK(info.st_mode)) {
    mode_t mode = info.st_mode & 07777;
    if (!options_.mode.empty()) mode = ApplyMode(options_.mode, mode, entry.node.is_folder());
    const int changed = fd >= 0 ? ::fchmod(fd, mode) : ::fchmodat(entry.to, name, mode, 0);
    if (changed != 0) return FailAt("cannot set the mode of", entry.path);
  }
  if (source_fd >= 0) {
    SKIFF_ASSIGN(const AttributeList attributes, ReadAttributes(source_fd, entry.path));
    for (const auto& [key, value] : attributes) {
      if (::fsetxattr(fd, key.c_str(), value.data(), value.size(), 0) != 0 && errno != ENOTSUP) {
        return FailAt(("cannot set the attribute " + key + " of").c_str(), entry.path);
      }
    }
  }
  const timespec times[] = {info.st_mtim, info.st_mtim};
  const int timed =
      fd >= 0 ? ::futimens(fd, times) : ::utimensat(entry.to, name, times, AT_SYMLINK_NOFOLLOW);
  if (timed != 0) return FailAt("cannot set the time of", entry.path);
  return {};
}

}  // namespace skiff::builder
