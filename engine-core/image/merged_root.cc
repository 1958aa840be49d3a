#include "engine-core/image/merged_root.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <thread>

namespace skiff::engine::image {
namespace {

// Runs in a thread of its own: unshare() would otherwise take the command's other threads' working
// directory along.
Result<Fd> MountAndOpen(const std::vector<std::string>& diffs, const std::string& tmp) {
  if (::unshare(CLONE_NEWNS) != 0) return FailErrno("cannot make a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return FailErrno("cannot make mounts private");
  }
  // Opened in the new namespace: overlayfs takes no layer of a mount of another one.
  std::vector<Fd> layers;
  for (const std::string& diff : diffs) {
    SKIFF_ASSIGN(Fd layer, OpenFile(diff, O_RDONLY | O_DIRECTORY));
    layers.push_back(std::move(layer));
  }
  // Short names: the options of mount(2) must fit one page.
  std::string options = "lowerdir=";
  for (const Fd& layer : layers) {
    if (!options.ends_with('=')) options += ':';
    options += "/proc/self/fd/" + std::to_string(layer.get());
  }
  if (::mount("overlay", tmp.c_str(), "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID,
              options.c_str()) != 0) {
    return FailErrno("cannot join the layers of an image");
  }
  return OpenFile(tmp, O_RDONLY | O_DIRECTORY);
}

}  // namespace

Result<Fd> OpenMergedRoot(const std::vector<std::string>& diffs, const std::string& tmp) {
  if (diffs.empty()) return Fail(Code::kInvalidArgument, "the image has no layers");
  if (diffs.size() == 1) return OpenFile(diffs[0], O_RDONLY | O_DIRECTORY);
  Result<Fd> root = Fd();
  std::thread([&] { root = MountAndOpen(diffs, tmp); }).join();
  return root;
}

}  // namespace skiff::engine::image
