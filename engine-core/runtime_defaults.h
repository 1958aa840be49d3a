#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine-core/runtime_spec.h"

// Docker's default security profile as values of a RuntimeSpec (engine.md 7.2-7.4).
namespace skiff::engine {

struct DefaultMountOptions {
  int64_t shm_size = 0;     // 0: 64 MiB; negative: no /dev/shm (ipc: none).
  bool privileged = false;  // /sys and the cgroups writable.
  bool host_cgroup_namespace = false;
  bool writable_cgroups = false;
};
// /proc /dev /dev/pts /sys /sys/fs/cgroup /dev/mqueue /dev/shm, in this order. They come before
// the container's own mounts; one whose target the user mounts is to be left out by the caller.
std::vector<RuntimeMount> DefaultMounts(const DefaultMountOptions& options);

const std::vector<std::string>& DefaultMaskedPaths();
const std::vector<std::string>& DefaultReadOnlyPaths();

// Every device node of the host, for privileged containers.
std::vector<DeviceNode> HostDevices();
// A node of the host as it shall appear at `container_path`; kInvalidArgument when it is no device.
Result<DeviceNode> DescribeDevice(const std::string& host_path, const std::string& container_path);

}  // namespace skiff::engine
