#pragma once

#include "engine-core/child/inside/plan.h"
#include "engine-core/child/inside/sys.h"

// The file systems of a container, in its own mount namespace. Each function ends the process when
// it fails. All work on descriptors; a path of the image is resolved once, in the root.
namespace skiff::engine::child::inside {

// -- primitives (new mount API) --
int OpenTree(int dir, const char* path, bool recursive);  // A detached copy; -errno.
Word MoveMount(int from, int to);                         // Onto the object `to` refers to.
Word SetMountAttributes(int mount, uint64_t set, uint64_t propagation, bool recursive);
// A new mount of `type`, detached; -errno. `failed` gets the option that was refused.
int NewMount(const char* type, const List<FsOption>& options, uint64_t attributes,
             const char** failed = nullptr);

// -- steps of init, in their order --
// Copies of all bind sources, made while they still have the host's propagation.
void CopyBindSources(InitPlan& plan);
// The layers as a root, attached on top of "/"; returns it (O_PATH).
int MountRoot(const InitPlan& plan);
// What later steps need to know about the mounts.
struct MountedRoot {
  int root = -1;
  int dev = -1;        // Root of our own tmpfs at /dev, or -1.
  int devpts = -1;     // Root of the container's devpts, or -1.
  int host_null = -1;  // /dev/null of the host, verified.
};
void MountAll(const InitPlan& plan, MountedRoot& mounted);
void MakeDevices(const InitPlan& plan, const MountedRoot& mounted);
void HidePaths(const InitPlan& plan, const MountedRoot& mounted);
// Makes the root the only file system of this process.
void EnterRoot(const InitPlan& plan, const MountedRoot& mounted);

// devices.cc: nodes and links of a fresh /dev.
void PopulateDev(const InitPlan& plan, int dev);
// Descriptor of the host's /dev/null, verified to be the null device, for reading and writing;
// -errno.
int OpenNull();

// A new terminal of the devpts whose ptmx is `ptmx`: sends the master to the parent, returns the
// other side. Never reached through a path that the image controls.
int OpenTerminal(int ptmx, const ProcessPlan& plan);

}  // namespace skiff::engine::child::inside
