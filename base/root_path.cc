#include "base/root_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>

#include "base/text.h"

namespace skiff {
namespace {

std::atomic<bool> g_no_openat2 = false;

constexpr int kMaximumLinks = 40;     // As the kernel's own limit.
constexpr int kMaximumRetries = 128;  // openat2 answers EAGAIN while folders are renamed.

Error PathError(int error_number, std::string_view path) {
  return Error(CodeOfErrno(error_number), "cannot open '" + std::string(path) + "' inside the root",
               error_number);
}

int Openat2(int root_fd, const std::string& path, int flags, mode_t mode) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  // openat2 refuses a mode without O_CREAT.
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if (errno != EINTR && (errno != EAGAIN || attempt >= kMaximumRetries)) return -1;
  }
}

Result<std::string> ReadLink(int fd) {
  std::array<char, 4096> target;
  const ssize_t n = ::readlinkat(fd, "", target.data(), target.size());
  if (n < 0) return FailErrno("cannot read a link");
  if (static_cast<size_t>(n) == target.size()) return FailErrno(ENAMETOOLONG, "cannot read a link");
  return std::string(target.data(), static_cast<size_t>(n));
}

// Walks a path component by component with O_PATH | O_NOFOLLOW descriptors. The chain of open
// parents makes ".." exact: it is popped, never asked of the kernel, so that a folder that is moved
// out of the root meanwhile leads nowhere.
class Walker {
 public:
  explicit Walker(int root_fd) : root_fd_(root_fd) {}

  // What to do with a component that does not exist.
  enum class Missing { kFail, kMakeFolder };

  // Leaves `last` as the final name when the path ends in one that the caller opens itself, and
  // consumes everything before it.
  Status Walk(std::string_view path, Missing missing, mode_t mode, bool keep_last) {
    Push(path);
    while (!pending_.empty()) {
      const std::string name = std::move(pending_.front());
      pending_.pop_front();
      if (name.empty() || name == ".") continue;
      if (name == "..") {
        if (!chain_.empty()) chain_.pop_back();
        continue;
      }
      if (name.size() > 255) return tl::unexpected(PathError(ENAMETOOLONG, name));
      if (keep_last && IsLast()) {
        last_ = name;
        return {};
      }
      SKIFF_TRY(Enter(name, missing, mode));
    }
    return {};
  }

  int current() const { return chain_.empty() ? root_fd_ : chain_.back().get(); }
  const std::string& last() const { return last_; }
  // Follows the link `last` names: its target replaces it.
  Status FollowLast(int link_fd, Missing missing, mode_t mode) {
    SKIFF_ASSIGN(const std::string target, ReadLink(link_fd));
    SKIFF_TRY(CountLink());
    last_.clear();
    if (target.starts_with('/')) chain_.clear();
    return Walk(target, missing, mode, true);
  }

 private:
  void Push(std::string_view path) {
    std::deque<std::string> parts;
    for (const std::string_view part : Split(path, '/')) parts.emplace_back(part);
    pending_.insert(pending_.begin(), parts.begin(), parts.end());
  }

  bool IsLast() const {
    for (const std::string& rest : pending_) {
      if (!rest.empty() && rest != ".") return false;
    }
    return true;
  }

  Status CountLink() {
    if (++links_ > kMaximumLinks) return tl::unexpected(PathError(ELOOP, last_));
    return {};
  }

  Status Enter(const std::string& name, Missing missing, mode_t mode) {
    Fd next(::openat(current(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next && errno == ENOENT && missing == Missing::kMakeFolder) {
      if (::mkdirat(current(), name.c_str(), mode) != 0 && errno != EEXIST) {
        return tl::unexpected(PathError(errno, name));
      }
      next = Fd(::openat(current(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    }
    if (!next) return tl::unexpected(PathError(errno, name));
    struct stat info = {};
    if (::fstat(next.get(), &info) != 0) return tl::unexpected(PathError(errno, name));
    if (S_ISLNK(info.st_mode)) {
      SKIFF_ASSIGN(const std::string target, ReadLink(next.get()));
      SKIFF_TRY(CountLink());
      if (target.starts_with('/')) chain_.clear();
      Push(target);
      return {};
    }
    if (!S_ISDIR(info.st_mode)) return tl::unexpected(PathError(ENOTDIR, name));
    chain_.push_back(std::move(next));
    return {};
  }

  int root_fd_;
  int links_ = 0;
  std::vector<Fd> chain_;
  std::deque<std::string> pending_;
  std::string last_;
};

Result<Fd> OpenByWalking(int root_fd, std::string_view path, int flags, mode_t mode) {
  Walker walker(root_fd);
  SKIFF_TRY(walker.Walk(path, Walker::Missing::kFail, 0, true));
  for (;;) {
    if (walker.last().empty()) {
      // The root, or a path that ends in "." or "..".
      Fd fd(::openat(walker.current(), ".", flags | O_CLOEXEC, mode));
      if (!fd) return tl::unexpected(PathError(errno, path));
      return fd;
    }
    Fd link(::openat(walker.current(), walker.last().c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info = {};
    const bool is_link = link && ::fstat(link.get(), &info) == 0 && S_ISLNK(info.st_mode);
    const bool open_link_itself = (flags & O_NOFOLLOW) != 0;
    if (!is_link || open_link_itself || (flags & O_EXCL) != 0) {
      Fd fd(
          ::openat(walker.current(), walker.last().c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
      if (!fd) return tl::unexpected(PathError(errno, path));
      const bool trailing_slash = path.ends_with('/');
      if (trailing_slash && (::fstat(fd.get(), &info) != 0 || !S_ISDIR(info.st_mode))) {
        return tl::unexpected(PathError(ENOTDIR, path));
      }
      return fd;
    }
    SKIFF_TRY(walker.FollowLast(link.get(), Walker::Missing::kFail, 0));
  }
}

}  // namespace

void DisableOpenat2ForTesting(bool disabled) {
  g_no_openat2 = disabled;
}

Result<Fd> OpenInRoot(int root_fd, std::string_view path, int flags, mode_t mode) {
  if (path.find('\0') != std::string_view::npos) return tl::unexpected(PathError(EINVAL, path));
  const std::string text = path.empty() ? "." : std::string(path);
  if (!g_no_openat2.load(std::memory_order_relaxed)) {
    const int fd = Openat2(root_fd, text, flags, mode);
    if (fd >= 0) return Fd(fd);
    // A sandbox around us may forbid the call instead of not knowing it.
    if (errno != ENOSYS && errno != EPERM) return tl::unexpected(PathError(errno, path));
  }
  return OpenByWalking(root_fd, text, flags, mode);
}

Result<Fd> MakeDirectoriesInRoot(int root_fd, std::string_view path, mode_t mode) {
  if (path.find('\0') != std::string_view::npos) return tl::unexpected(PathError(EINVAL, path));
  // The common case: it is there.
  if (auto existing = OpenInRoot(root_fd, path, O_PATH | O_DIRECTORY); existing) return existing;
  Walker walker(root_fd);
  SKIFF_TRY(walker.Walk(path, Walker::Missing::kMakeFolder, mode, false));
  Fd fd(::openat(walker.current(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return tl::unexpected(PathError(errno, path));
  return fd;
}

Result<Fd> MakeFileInRoot(int root_fd, std::string_view path, mode_t mode) {
  if (path.find('\0') != std::string_view::npos) return tl::unexpected(PathError(EINVAL, path));
  if (auto existing = OpenInRoot(root_fd, path, O_PATH); existing) return existing;
  Walker walker(root_fd);
  SKIFF_TRY(walker.Walk(path, Walker::Missing::kMakeFolder, 0755, true));
  for (;;) {
    if (walker.last().empty()) return tl::unexpected(PathError(EISDIR, path));
    const std::string name = walker.last();
    {
      const Fd made(::openat(walker.current(), name.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
      if (!made && errno != EEXIST) return tl::unexpected(PathError(errno, path));
    }
    Fd fd(::openat(walker.current(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return tl::unexpected(PathError(errno, path));
    struct stat info = {};
    if (::fstat(fd.get(), &info) != 0) return tl::unexpected(PathError(errno, path));
    if (!S_ISLNK(info.st_mode)) return fd;
    // A dangling link: make its target instead, inside the root.
    SKIFF_TRY(walker.FollowLast(fd.get(), Walker::Missing::kMakeFolder, 0755));
  }
}

}  // namespace skiff
