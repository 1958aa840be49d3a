#include "engine-core/child/inside/path.h"

#include <linux/magic.h>

#include "engine-core/child/inside/report.h"
#include "engine-core/child/inside/stat.h"

namespace skiff::engine::child::inside {
namespace {

constexpr int kRaceRetries = 1024;
constexpr int kMaximumLinks = 40;

// Walks `path` one name after the other, each time resolving the whole prefix in the root.
class Maker {
 public:
  Maker(int root, Missing missing, bool plain)
      : root_(root), missing_(missing), extra_(plain ? kResolveNoSymlinks : 0) {}

  int Make(const char* path) {
    rest_.Add(path);
    for (;;) {
      const int result = Step();
      if (result != kAgain) return result;
      if (rest_.truncated || done_.truncated) return -ENAMETOOLONG;
    }
  }

 private:
  static constexpr int kAgain = -100000;

  // Takes the next name off rest_. Returns kAgain, the final descriptor or an error.
  int Step() {
    size_t start = position_;
    while (rest_.data[start] == '/') ++start;
    size_t end = start;
    while (rest_.data[end] != 0 && rest_.data[end] != '/') ++end;
    if (start == end)
      return OpenInRoot(root_, done_.size == 0 ? "/" : done_.data, kOpenPath, extra_);
    size_t after = end;
    while (rest_.data[after] == '/') ++after;
    const bool last = rest_.data[after] == 0;

    const size_t parent_size = done_.size;
    done_.AddByte('/');
    done_.AddBytes(rest_.data + start, end - start);
    if (done_.truncated) return -ENAMETOOLONG;
    const int fd = OpenInRoot(root_, done_.data, kOpenPath, extra_);
    if (fd >= 0) {
      if (last) return fd;
      Close(fd);
      position_ = end;
      return kAgain;
    }
    if (fd != -ENOENT) return fd;
    return Create(parent_size, start, end, last);
  }

  int Create(size_t parent_size, size_t start, size_t end, bool last) {
    PathText name;
    name.AddBytes(rest_.data + start, end - start);
    done_.size = parent_size;
    done_.data[parent_size] = 0;
    const int parent =
        OpenInRoot(root_, parent_size == 0 ? "/" : done_.data, kOpenPath | kOpenDirectory, extra_);
    if (parent < 0) return parent;
    // Nothing is made in procfs, whose names come and go: the number of a descriptor of this very
    // process would seem to be a link to follow.
    if (FileSystemMagic(parent) == PROC_SUPER_MAGIC) {
      Close(parent);
      return -ENOENT;
    }
    Word made;
    if (last && missing_ == Missing::kMakeFile) {
      made = OpenAt(parent, name.data, kOpenWrite | kOpenCreate | kOpenExclusive | kOpenNofollow,
                    0644);
      if (made >= 0) Close(static_cast<int>(made));
    } else {
      made = Syscall(__NR_mkdirat, parent, W(name.data), 0755);
    }
    if (made == -EEXIST) {
      const int followed = FollowDangling(parent, name.data, end);
      Close(parent);
      return followed;
    }
    Close(parent);
    if (made < 0) return static_cast<int>(made);
    return ++tries_ > kRaceRetries ? -EAGAIN : kAgain;  // Resolve it anew: it exists now.
  }

  // The name is there but does not resolve: a link to nothing. Goes on at what it points to.
  int FollowDangling(int parent, const char* name, size_t end) {
    if (extra_ != 0) return -ELOOP;
    if (++tries_ > kMaximumLinks) return -ELOOP;
    PathText next;
    const Word size = Syscall(__NR_readlinkat, parent, W(name), W(next.data), sizeof next.data - 1);
    if (size == -EINVAL) return kAgain;  // Somebody made it meanwhile.
    if (size < 0) return static_cast<int>(size);
    next.size = static_cast<size_t>(size);
    next.data[next.size] = 0;
    const bool absolute = next.data[0] == '/';
    next.Add(rest_.data + end);
    if (next.truncated) return -ENAMETOOLONG;
    if (absolute) {
      done_.size = 0;
      done_.data[0] = 0;
    }
    rest_.size = 0;
    rest_.data[0] = 0;
    rest_.AddBytes(next.data, next.size);
    position_ = 0;
    return kAgain;
  }

  int root_;
  Missing missing_;
  uint64_t extra_;
  int tries_ = 0;
  size_t position_ = 0;
  PathText done_;
  PathText rest_;
};

}  // namespace

int OpenInRoot(int root, const char* path, int flags, uint64_t extra_resolve) {
  OpenHow how = {static_cast<uint64_t>(flags | kOpenCloexec), 0,
                 kResolveInRoot | kResolveNoMagiclinks | extra_resolve};
  Word fd = -EAGAIN;
  // EAGAIN: something was renamed meanwhile and the kernel could not tell whether ".." escaped.
  for (int tries = 0; tries < kRaceRetries && (fd == -EAGAIN || fd == -EINTR); ++tries)
    fd = Syscall(__NR_openat2, root, W(path), W(&how), sizeof how);
  return static_cast<int>(fd);
}

int ResolveInRoot(int root, const char* path, Missing missing, bool plain) {
  const int fd = OpenInRoot(root, path, kOpenPath, plain ? kResolveNoSymlinks : 0);
  if (fd != -ENOENT || missing == Missing::kFail) return fd;
  Maker maker(root, missing, plain);
  return maker.Make(path);
}

}  // namespace skiff::engine::child::inside
