#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/cgroup.h"
#include "engine-core/layout.h"
#include "engine-core/runtime_spec.h"
#include "engine-core/store/records.h"

namespace skiff::engine::embedded {

// A namespace of another container, or of the host, that the container shares.
struct SharedNamespaces {
  NamespaceSpec pid, ipc, uts, cgroup, network;
};

// What is decided elsewhere and goes into the specification as it is.
struct SpecInputs {
  const store::ContainerRecord* record = nullptr;
  const Layout* layout = nullptr;
  SharedNamespaces namespaces;
  DnsSpec dns;
  ContainerCgroups cgroups;
  std::string seccomp_cache;  // Folder of compiled policies.
};

// The runtime specification of a container that is about to start: docker's defaults (engine.md
// 3, 7) with what its configuration says. Reads the host's devices and stats bind sources, changes
// nothing. `warnings` gets what this machine cannot honour, naming the field.
Result<RuntimeSpec> BuildRuntimeSpec(const SpecInputs& inputs, std::vector<std::string>* warnings);

// The device policy of a container: docker's default rules, then those of its configuration.
Result<std::vector<DeviceRule>> DevicePolicy(const ContainerConfig& config);

// "SIGTERM", "term", "15" -> 15; kInvalidArgument otherwise.
Result<int> ParseSignal(std::string_view text);
// RLIMIT_* of "nofile"; -1 when unknown.
int UlimitResource(std::string_view name);

}  // namespace skiff::engine::embedded
