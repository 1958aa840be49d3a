#include "engine-core/image/pack_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/fd.h"
#include "base/root_path.h"

namespace skiff::engine::image {
namespace {

constexpr size_t kBuffer = 1 << 18;
constexpr int kMaximumDepth = 512;  // Each level holds a descriptor.
constexpr int64_t kSecond = 1'000'000'000;
constexpr std::string_view kOverlay = "trusted.overlay.";

int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * kSecond + time.tv_nsec;
}

struct Attributes {
  std::vector<std::pair<std::string, std::string>> kept;
  bool opaque = false;
};

Result<std::string> ReadAttribute(int fd, const std::string& name, const std::string& path) {
  std::string value(256, '\0');
  ssize_t size = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
  if (size < 0 && errno == ERANGE) {
    value.resize(65536);
    size = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
  }
  if (size < 0) return FailErrno("cannot read the attribute " + name + " of '" + path + "'");
  value.resize(static_cast<size_t>(size));
  return value;
}

// In a tree that somebody uses the name may be something else by now: a device must not even be
// opened, which has effects of its own.
Result<Fd> OpenRegular(int parent, const std::string& name, const std::string& path) {
  SKIFF_ASSIGN(const Fd place, OpenFileAt(parent, name, O_PATH | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(place.get(), &info) != 0) return FailErrno("cannot read '/" + path + "'");
  if (!S_ISREG(info.st_mode)) {
    return Fail(Code::kFailedPrecondition, "'/" + path + "' changed while it was read");
  }
  return OpenFile("/proc/self/fd/" + std::to_string(place.get()), O_RDONLY);
}

class Packer {
 public:
  Packer(const PackOptions& options, const ByteSink& sink, const FileSink& files = {})
      : options_(options), stream_(sink), files_(files), buffer_(files ? 0 : kBuffer, '\0') {}

  Status Folder(int fd, const std::string& prefix, int depth);
  Status Entry(int parent, const std::string& name, const std::string& path, int depth);
  Status Top(int folder, const std::string& name);
  // Folders are written without what is in them.
  void StayOutside() { enters_ = false; }
  Status Finish() { return stream_.Finish(); }
  const PackedTree& packed() const { return packed_; }

 private:
  Status FolderEntry(const Fd& folder, TarEntry entry, const std::string& path, int depth);
  Status File(int parent, const std::string& name, TarEntry entry, const struct stat& info);
  Status Content(const Fd& file, int64_t left, const std::string& path);
  Status Whiteout(const std::string& path);
  Result<bool> IsLeftOut(int parent, const std::string& name, const std::string& path,
                         const struct stat& info);
  Result<Attributes> ReadAttributes(int fd, const std::string& path);
  Result<std::vector<std::string>> Names(int fd, const std::string& prefix);
  Result<int64_t> SettleTime(int parent, const std::string& name, const struct stat& info);

  PackOptions options_;
  TarStream stream_;
  FileSink files_;
  std::string buffer_;
  bool enters_ = true;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // First name of files with several.
  PackedTree packed_;
};

Result<std::vector<std::string>> Packer::Names(int fd, const std::string& prefix) {
  SKIFF_ASSIGN(Fd again, OpenFileAt(fd, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(again.get()), ::closedir);
  if (!folder) return FailErrno("cannot read '/" + prefix + "'");
  again.Release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) return FailErrno("cannot read '/" + prefix + "'");
  std::ranges::sort(names);
  return names;
}

Result<Attributes> Packer::ReadAttributes(int fd, const std::string& path) {
  Attributes out;
  std::string names(4096, '\0');
  ssize_t size = ::flistxattr(fd, names.data(), names.size());
  if (size < 0 && errno == ERANGE) {
    names.resize(65536);
    size = ::flistxattr(fd, names.data(), names.size());
  }
  if (size < 0) {
    if (errno == ENOTSUP) return out;
    return FailErrno("cannot list the attributes of '/" + path + "'");
  }
  names.resize(static_cast<size_t>(size));
  for (size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    if (options_.layer && name.starts_with(kOverlay)) {
      const std::string_view mark = std::string_view(name).substr(kOverlay.size());
      if (mark == "opaque") {
        auto value = ReadAttribute(fd, name, path);
        if (!value) return Fail(std::move(value).error());
        out.opaque = *value == "y";
        if (out.opaque && options_.hides_nothing && options_.hides_nothing(path)) {
          if (::fremovexattr(fd, name.c_str()) != 0) {
            return FailErrno("cannot take the mark of overlayfs from '/" + path + "'");
          }
          out.opaque = false;
        }
      }
      if (mark == "redirect" || mark == "metacopy" || mark == "whiteout") {
        return Fail(Code::kUnsupported, "cannot make a layer: '/" + path +
                                            "' has overlayfs's attribute '" + std::string(mark) +
                                            "', which no archive can hold");
      }
      continue;
    }
    const bool kept = name == "security.capability" ||
                      (name.starts_with("user.") && !name.starts_with("user.overlay."));
    if (!kept) continue;
    SKIFF_ASSIGN(std::string value, ReadAttribute(fd, name, path));
    out.kept.emplace_back(name, std::move(value));
  }
  std::ranges::sort(out.kept);
  return out;
}

// The time to write, which is also set where it had to be changed.
Result<int64_t> Packer::SettleTime(int parent, const std::string& name, const struct stat& info) {
  const int64_t time = Nanoseconds(info.st_mtim);
  if (!options_.latest_time || time <= *options_.latest_time) return info.st_mtim.tv_sec;
  const timespec latest = {*options_.latest_time / kSecond, *options_.latest_time % kSecond};
  const timespec times[] = {latest, latest};
  if (::utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot set the time of '" + name + "'");
  }
  return latest.tv_sec;
}

// A folder whose every entry is left out is, too: they are given with those inside them.
Result<bool> Packer::IsLeftOut(int parent, const std::string& name, const std::string& path,
                               const struct stat& info) {
  if (std::ranges::count(options_.left_out, "/" + path) == 0) return false;
  if (S_ISREG(info.st_mode)) return info.st_size == 0;
  if (!S_ISDIR(info.st_mode)) return false;
  SKIFF_ASSIGN(const Fd folder, OpenFileAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  SKIFF_ASSIGN(const std::vector<std::string> names, Names(folder.get(), path));
  for (const std::string& inner : names) {
    struct stat below {};
    if (::fstatat(folder.get(), inner.c_str(), &below, AT_SYMLINK_NOFOLLOW) != 0) {
      return FailErrno("cannot read '/" + path + "/" + inner + "'");
    }
    SKIFF_ASSIGN(const bool out, IsLeftOut(folder.get(), inner, path + "/" + inner, below));
    if (!out) return false;
  }
  return true;
}

Status Packer::Whiteout(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  TarEntry entry;
  entry.path = path.substr(0, name) + ".wh." + path.substr(name);
  entry.mode = 0;
  entry.mtime = 0;
  SKIFF_TRY(stream_.Header(entry));
  return {};
}

Status Packer::Entry(int parent, const std::string& name, const std::string& path, int depth) {
  struct stat info {};
  if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot read '/" + path + "'");
  }
  if (S_ISSOCK(info.st_mode)) return {};  // No archive has them.
  SKIFF_ASSIGN(const bool left_out, IsLeftOut(parent, name, path, info));
  if (left_out) return {};
  ++packed_.entries;
  if (options_.layer && S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0)) {
    return Whiteout(path);
  }
  if (options_.layer && name.starts_with(".wh.")) {
    return Fail(Code::kUnsupported,
                "cannot make a layer: the name '/" + path + "' means a removal in an archive");
  }
  TarEntry entry;
  entry.path = path;
  entry.mode = info.st_mode & 07777;
  entry.uid = info.st_uid;
  entry.gid = info.st_gid;
  SKIFF_ASSIGN(entry.mtime, SettleTime(parent, name, info));
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
    const auto [first, is_new] = linked_.emplace(std::pair(info.st_dev, info.st_ino), path);
    if (!is_new) {
      entry.type = '1';
      entry.link = first->second;
      return stream_.Header(entry);
    }
  }
  switch (info.st_mode & S_IFMT) {
    case S_IFREG:
      return File(parent, name, std::move(entry), info);
    case S_IFDIR: {
      SKIFF_ASSIGN(const Fd folder, OpenFileAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      return FolderEntry(folder, std::move(entry), path, depth);
    }
    case S_IFLNK: {
      entry.type = '2';
      entry.mode = 0777;
      entry.link.resize(4096);
      const ssize_t length =
          ::readlinkat(parent, name.c_str(), entry.link.data(), entry.link.size());
      if (length < 0) return FailErrno("cannot read the link '/" + path + "'");
      entry.link.resize(static_cast<size_t>(length));
      return stream_.Header(entry);
    }
    case S_IFCHR:
    case S_IFBLK:
      entry.type = S_ISCHR(info.st_mode) ? '3' : '4';
      entry.major = major(info.st_rdev);
      entry.minor = minor(info.st_rdev);
      return stream_.Header(entry);
    default:
      entry.type = '6';
      return stream_.Header(entry);
  }
}

Status Packer::FolderEntry(const Fd& folder, TarEntry entry, const std::string& path, int depth) {
  SKIFF_ASSIGN(Attributes attributes, ReadAttributes(folder.get(), path));
  entry.type = '5';
  entry.path += '/';
  entry.attributes = std::move(attributes.kept);
  SKIFF_TRY(stream_.Header(entry));
  if (attributes.opaque) SKIFF_TRY(stream_.File(path + "/.wh..wh..opq", "", 0));
  if (!enters_) return {};
  return Folder(folder.get(), path + "/", depth + 1);
}

Status Packer::Top(int folder, const std::string& name) {
  SKIFF_ASSIGN(const Fd again, OpenFileAt(folder, ".", O_RDONLY | O_DIRECTORY));
  struct stat info {};
  if (::fstat(again.get(), &info) != 0) return FailErrno("cannot read '" + name + "'");
  TarEntry entry;
  entry.path = name;
  entry.mode = info.st_mode & 07777;
  entry.uid = info.st_uid;
  entry.gid = info.st_gid;
  entry.mtime = info.st_mtim.tv_sec;
  return FolderEntry(again, std::move(entry), name, 0);
}

Status Packer::File(int parent, const std::string& name, TarEntry entry, const struct stat& info) {
  SKIFF_ASSIGN(const Fd file,
               options_.in_use ? OpenRegular(parent, name, entry.path)
                               : OpenFileAt(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  SKIFF_ASSIGN(Attributes attributes, ReadAttributes(file.get(), entry.path));
  entry.attributes = std::move(attributes.kept);
  entry.size = info.st_size;
  SKIFF_TRY(stream_.Header(entry));
  SKIFF_TRY(files_ ? stream_.Content(files_, file.get(), entry.size)
                   : Content(file, entry.size, entry.path));
  packed_.content_size += entry.size;
  return stream_.EndContent();
}

Status Packer::Content(const Fd& file, int64_t left, const std::string& path) {
  while (left > 0) {
    const size_t wanted = std::min<size_t>(buffer_.size(), static_cast<size_t>(left));
    const ssize_t got = ::read(file.get(), buffer_.data(), wanted);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read '/" + path + "'");
    if (got == 0) {
      return Fail(Code::kFailedPrecondition, "'/" + path + "' became shorter while it was read");
    }
    SKIFF_TRY(stream_.Content({buffer_.data(), static_cast<size_t>(got)}));
    left -= got;
  }
  return {};
}

Status Packer::Folder(int fd, const std::string& prefix, int depth) {
  if (depth > kMaximumDepth) {
    return Fail(Code::kExhausted,
                "cannot read '/" + prefix.substr(0, 200) + "...': folders are nested too deeply");
  }
  SKIFF_ASSIGN(const std::vector<std::string> names, Names(fd, prefix));
  for (const std::string& name : names) SKIFF_TRY(Entry(fd, name, prefix + name, depth));
  return {};
}

// True when it was an empty file or folder, and has gone.
bool RemoveIfEmpty(int parent, const std::string& name) {
  struct stat info {};
  if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (S_ISDIR(info.st_mode)) return ::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0;
  return S_ISREG(info.st_mode) && info.st_size == 0 && ::unlinkat(parent, name.c_str(), 0) == 0;
}

}  // namespace

Result<PackedTree> PackTree(int folder_fd, const PackOptions& options, const ByteSink& sink,
                            const FileSink& files) {
  Packer packer(options, sink, files);
  SKIFF_TRY(packer.Folder(folder_fd, "", 0));
  SKIFF_TRY(packer.Finish());
  return packer.packed();
}

std::vector<std::string> MissingPlaces(int root_fd, const std::vector<std::string>& targets) {
  std::vector<std::string> missing;
  for (std::string path : targets) {
    // Up to the first folder that is there.
    while (path.size() > 1 && !OpenInRoot(root_fd, path, O_PATH)) {
      if (std::ranges::count(missing, path) == 0) missing.push_back(path);
      path = path.substr(0, path.rfind('/'));
    }
  }
  return missing;
}

Status RemoveMountPlaces(int folder_fd, const std::vector<std::string>& paths) {
  std::vector<std::string> deepest = paths;
  // What lies inside another one goes first.
  std::ranges::sort(deepest, std::ranges::greater());
  for (const std::string& path : deepest) {
    const size_t slash = path.rfind('/');
    const std::string name = path.substr(slash + 1);
    if (slash == std::string::npos || name.empty() || name == "..") continue;
    const std::string above = slash == 0 ? "." : path.substr(0, slash);
    const auto parent = OpenInRoot(folder_fd, above, O_RDONLY | O_DIRECTORY);
    if (!parent) continue;  // The layer has nothing there.
    struct stat info {};
    if (::fstat(parent->get(), &info) != 0) return FailErrno("cannot read '" + above + "'");
    if (!RemoveIfEmpty(parent->get(), name)) continue;
    const timespec times[] = {info.st_atim, info.st_mtim};
    if (::futimens(parent->get(), times) != 0) return FailErrno("cannot set a time");
  }
  return {};
}

}  // namespace skiff::engine::image

namespace skiff::engine {

bool NamesFolder(std::string_view path) {
  const std::string_view last = path.substr(path.rfind('/') + 1);
  return last.empty() || last == "." || last == "..";
}

Status PackFiles(const std::vector<PackedFile>& files,
                 const std::function<Status(std::string_view)>& sink) {
  image::PackOptions options;
  options.layer = false;
  options.in_use = true;
  image::Packer packer(options, sink);
  packer.StayOutside();
  for (const PackedFile& file : files) {
    const size_t base = file.source.rfind('/') + 1;
    const auto parent = OpenFile(file.source.substr(0, base), O_PATH | O_DIRECTORY);
    const Status packed = parent ? packer.Entry(parent->get(), file.source.substr(base), file.name, 0)
                                 : Status(Fail(parent.error()));
    if (!packed && packed.error().sys_errno != ENOENT) return packed;
  }
  return packer.Finish();
}

Result<PackedTree> PackPath(int root_fd, const std::string& path, const std::string& name,
                            const std::function<Status(std::string_view)>& sink) {
  image::PackOptions options;
  options.layer = false;
  options.in_use = true;
  image::Packer packer(options, sink);
  if (NamesFolder(path)) {
    SKIFF_ASSIGN(const Fd folder, OpenInRoot(root_fd, path.empty() ? "/" : path,
                                             O_RDONLY | O_DIRECTORY));
    SKIFF_TRY(packer.Top(folder.get(), name));
  } else {
    const size_t base = path.rfind('/') + 1;  // 0 without one.
    SKIFF_ASSIGN(const Fd parent,
                 OpenInRoot(root_fd, "/" + path.substr(0, base), O_PATH | O_DIRECTORY));
    SKIFF_TRY(packer.Entry(parent.get(), path.substr(base), name, 0));
  }
  SKIFF_TRY(packer.Finish());
  return packer.packed();
}

}  // namespace skiff::engine
