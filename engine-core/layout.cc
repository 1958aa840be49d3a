#include "engine-core/layout.h"

#include <sys/stat.h>

#include <set>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"

namespace skiff::engine {
namespace {

Status DiscardVolatile(const Layout& layout) {
  // The stamp goes last: a command killed half-way leaves it old, and the next one starts again.
  for (const std::string& path : {layout.run_containers(), layout.run_rows(), layout.run_networks(),
                                  layout.intents(), layout.events()}) {
    SKIFF_TRY(Failpoint("layout.discard"));
    SKIFF_TRY(RemoveTree(path));
  }
  return {};
}

bool IsFolder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

std::vector<std::string> Layout::lower_folders(const std::vector<std::string>& ids) const {
  std::vector<std::string> folders;
  std::set<std::string_view> seen;
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
    if (seen.insert(*id).second) folders.push_back(layer_diff(*id));
  }
  return folders;
}

bool Layout::Prepared() const {
  const auto boot = BootId();
  if (!boot) return false;
  const auto stamp = ReadFile(boot_id(), 256);
  return stamp && *stamp == *boot && IsFolder(containers()) && IsFolder(trash());
}

Status Layout::Prepare() const {
  for (const std::string& path :
       {root_, blobs(), layers(), containers(), volumes(), tmp(), trash(), run_, locks()}) {
    SKIFF_TRY(MakeDirectories(path, 0700));
  }
  SKIFF_ASSIGN(const FileLock guard, FileLock::Acquire(lock("boot"), FileLock::Mode::kExclusive));
  SKIFF_ASSIGN(const std::string boot, BootId());
  const auto stamp = ReadFile(boot_id(), 256);
  const bool current = stamp && *stamp == boot;
  if (!current) SKIFF_TRY(DiscardVolatile(*this));
  for (const std::string& path : {run_containers(), run_rows(), run_networks(), intents()}) {
    SKIFF_TRY(MakeDirectories(path, 0700));
  }
  if (current) return {};
  SKIFF_TRY(WriteFileAtomically(fresh_boot(), boot, 0600, Durability::kVolatile));
  SKIFF_TRY(Failpoint("layout.stamp"));
  return WriteFileAtomically(boot_id(), boot, 0600, Durability::kVolatile);
}

std::string RootHash(std::string_view root) {
  return Sha256Hex(root).substr(0, 8);
}

}  // namespace skiff::engine
