#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace skiff::engine::image {

// A folder descriptor that shows the union of layers (`diffs`: top first, no folder twice:
// Layout::lower_folders), read-only. Several layers are an overlay mount that exists in no mount
// table of the host: it is made in a mount namespace of a thread that ends, and lives as long as
// the descriptor. `tmp`: a folder to use as mount point there.
Result<Fd> OpenMergedRoot(const std::vector<std::string>& diffs, const std::string& tmp);

struct WritableFolders {
  std::string upper;
  std::string work;  // Empty, of the same file system.
};
// The same to write to: what is written goes to `folders.upper`. At least one layer.
Result<Fd> OpenWritableRoot(const std::vector<std::string>& diffs, const WritableFolders& folders,
                            const std::string& tmp);

struct BoundPlace {
  std::string source;  // Absolute path of the host.
  std::string target;  // Absolute path in the root; made when it is missing.
  bool read_only = false;
  bool plain_source = false;  // A link on the way to the source is an error.
};
struct MountedRoot {
  Fd root;
  Fd mounts;  // The mount namespace that keeps what is bound in the root: hold it as long.
};
// A writable root as a container's own processes would see it, with what is bound into it. Nothing
// of that shows in a mount table of the host. `read_only`: of the root itself. Linux 5.12.
Result<MountedRoot> OpenMountedRoot(const std::vector<std::string>& diffs,
                                    const WritableFolders& folders,
                                    const std::vector<BoundPlace>& places, bool read_only,
                                    const std::string& tmp);

}  // namespace skiff::engine::image
