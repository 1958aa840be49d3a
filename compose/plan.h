#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/diagnostic.h"
#include "base/error.h"
#include "compose/observe.h"
#include "engine-core/engine.h"
#include "schema/project.h"

namespace skiff::compose {

// What has to be true before the plan goes on.
enum class WaitCondition {
  kHealthy,                // Every container of the set is healthy.
  kCompletedSuccessfully,  // Every one has exited with 0.
  kRunningOrHealthy,       // --wait: healthy, or running when it has no healthcheck.
};

enum class OperationKind {
  kCreateNetwork,
  kRemoveNetwork,
  kDisconnectNetwork,
  kConnectNetwork,
  kCreateVolume,
  kRemoveVolume,
  kCreateContainer,
  kStartContainer,
  kStopContainer,
  kKillContainer,
  kRestartContainer,
  kPauseContainer,
  kUnpauseContainer,
  kRemoveContainer,
  kRemoveImage,
  kRunHook,
  kWait,
};

// A container an operation is about: one that exists (its id), or one that an earlier operation of
// the plan creates.
struct ContainerTarget {
  std::string id;       // "" when created by `created_by`.
  int created_by = -1;  // Index of a kCreateContainer operation.
  std::string name;     // For people.
};

// Something in a container's configuration that names another container, whose id may not be known
// before the plan runs.
struct ContainerReference {
  enum class Field { kNetwork, kPid, kIpc, kVolumesFrom };
  Field field = Field::kNetwork;
  ContainerTarget target;
  std::string suffix;  // ":ro" of volumes_from.
};

// A file made from `content:` or `environment:` of a config or secret. Its name contains the digest
// of everything in it, so one that exists is right.
struct WrittenFile {
  std::string path;
  std::string content;
  uint32_t mode = 0444;
  uint32_t uid = 0, gid = 0;
};

// One node of a plan: exactly one engine call, or one wait for events. Which members have a meaning
// follows from `kind`.
struct Operation {
  OperationKind kind = OperationKind::kCreateContainer;
  // Indices of operations that must have succeeded before; always smaller than its own.
  std::vector<int> dependencies;
  std::string name;     // Of the resource: "p-web-1", "p_default".
  std::string service;  // "" for networks, volumes and images.
  std::string cause;    // Why: "new service", "environment.DEBUG: '0' -> '1'".
  SourceSpan span;      // Of the part of the file it is for.

  // Operations of a later stage start when all of earlier stages are done: everything is declared
  // before anything running is touched, so a plan that cannot be carried out changes little.
  enum class Stage { kDeclare, kRun };
  Stage stage = Stage::kRun;

  ContainerTarget container;              // Start ... Remove, (dis)connect.
  std::vector<ContainerTarget> wait_for;  // kWait: the replicas of a service.
  WaitCondition condition = WaitCondition::kHealthy;
  bool required = true;  // kWait: a failure is only a warning when false.
  std::optional<engine::Nanoseconds> wait_timeout;
  // kWait for --wait: services that may end with 0.
  bool exit_zero_is_success = false;

  engine::ContainerConfig container_config;    // kCreateContainer
  std::vector<ContainerReference> references;  // kCreateContainer
  // One of the steps that replace a container by another of the same name.
  bool recreate = false;
  engine::NetworkConfig network_config;
  engine::VolumeConfig volume_config;
  engine::EndpointRequest endpoint;  // kConnectNetwork
  engine::StopOptions stop;
  engine::RemoveOptions remove;
  int signal = 0;               // kKillContainer
  engine::ExecConfig hook;      // kRunHook
  bool ended_is_success = false;  // kRunHook: of a container that runs no more.
  bool ignore_failure = false;  // A resource that is in use or gone: a warning, not an error.
};

struct Plan {
  std::string project;
  std::vector<Operation>
      operations;                  // Topologically sorted, in an order that is a function of input.
  Diagnostics warnings;            // Orphans, keys not honoured, ...
  std::vector<WrittenFile> files;  // To be there before containers start.
  std::vector<std::string> unchanged;  // Containers that run and stay as they are.

  bool empty() const { return operations.empty(); }
};

struct PlanOptions {
  std::vector<std::string> services;  // Selected; empty: all.
  std::map<std::string, int> scale;
  bool no_deps = false;
  bool force_recreate = false;
  bool no_recreate = false;
  bool always_recreate_deps = false;
  bool renew_anon_volumes = false;
  bool remove_orphans = false;
  bool ignore_orphans = false;
  bool start = true;  // False: the create phase only.
  bool wait = false;  // --wait
  std::optional<engine::Nanoseconds> wait_timeout;
  std::optional<engine::Nanoseconds> stop_timeout;
  // Of these only networks, volumes and dependencies are prepared: `run` makes the container.
  std::vector<std::string> prepare_only;
  std::string file_dir;  // Folder of written configs and secrets (compose/translate.h).
};

// Compares the model with what exists. Pure: no engine, no clock, no environment. Every mistake
// that can be seen beforehand (missing external resources and images, host ports taken twice by the
// model, replicas that need the same port or name) is an error here, before anything changes.
Result<Plan> MakePlan(const schema::Project& project, const Observed& observed,
                      const PlanOptions& options);

struct DownPlanOptions {
  std::vector<std::string> services;
  bool volumes = false;
  bool remove_orphans = false;
  std::optional<engine::Nanoseconds> timeout;
  std::string rmi;
};
// `project` may be null: everything is taken from labels.
Result<Plan> MakeDownPlan(const std::string& name, const schema::Project* project,
                          const Observed& observed, const DownPlanOptions& options);

// For people, one line per operation with its cause:
//   create container p-web-1        new service
std::string PlanToText(const Plan& plan);
// {"project":..,"operations":[{"op":..,"name":..,"after":[..],"cause":..}]}
std::string PlanToJson(const Plan& plan);

std::string_view OperationName(OperationKind kind);  // "create container"

}  // namespace skiff::compose
