#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "compose/plan.h"
#include "compose/planner/plan_builder.h"
#include "compose/service_graph.h"
#include "compose/translate.h"

namespace skiff::compose {

// Makes the plan of `up`: decides per service, then emits operations in the order networks and
// volumes, containers created, containers stopped and removed, containers started. Used once.
class UpPlanner {
 public:
  UpPlanner(const schema::Project& project, const Observed& observed, const PlanOptions& options)
      : project_(project),
        observed_(observed),
        options_(options),
        graph_(ServiceGraph::FromModel(project)),
        builder_(plan_) {}

  Result<Plan> Make();

 private:
  // One replica that shall exist afterwards.
  struct Replica {
    int number = 0;
    std::string name;
    const ObservedContainer* existing = nullptr;
    bool recreate = false;
    std::string cause;        // Of its creation or recreation.
    std::string start_cause;  // Not empty: it has to be started.
    int create_op = -1;
    int stop_op = -1;
    int remove_op = -1;
    int start_op = -1;
    std::vector<int> start_after;
  };
  struct Removal {
    const ObservedContainer* existing = nullptr;
    std::string cause;
    int remove_op = -1;
  };
  struct ServicePlan {
    const schema::Service* service = nullptr;
    const engine::Image* image = nullptr;
    int scale = 1;
    bool prepare_only = false;
    bool recreated = false;
    std::vector<Replica> replicas;
    std::vector<Removal> removals;
    bool creates() const;
  };

  // up_checks.cc: what can be seen to be wrong beforehand.
  Status SelectServices();
  void CheckReplicas(const ServicePlan& service, std::vector<Error>& errors) const;
  void CheckHostPorts(std::vector<Error>& errors) const;
  void CheckExternals(std::vector<Error>& errors) const;
  void CheckImages(std::vector<Error>& errors) const;
  void CheckHealthchecks(std::vector<Error>& errors) const;
  void WarnAboutOrphans();
  void WarnAboutKeys();
  bool HasHealthcheck(const ServicePlan& service) const;

  // up_decide.cc: per service, which replicas stay, go, come, change.
  Status DecideServices();
  Status DecideService(ServicePlan& service);
  Result<std::string> RecreateCause(const ServicePlan& service,
                                    const ObservedContainer& existing) const;
  std::string SharedParentCause(const ServicePlan& service) const;
  std::string MountCause(const ServicePlan& service, const ObservedContainer& existing) const;
  void DecideStart(ServicePlan& service, Replica& replica) const;
  bool IsCompletedJob(const ServicePlan& service, const ObservedContainer& existing) const;
  bool IsWaitedForCompletion(const std::string& service) const;
  void DecideDependents();

  // up_resources.cc: networks and volumes.
  void EmitNetworks();
  void EmitVolumes();
  void EmitNetworkReplacement(const schema::Network& network, const engine::Network& existing,
                              const std::string& cause);
  std::set<std::string> UsedNetworks() const;
  std::set<std::string> UsedVolumes() const;
  void WarnUnmanaged(const std::string& message, SourceSpan span);

  // up_planner.cc: containers.
  Status EmitCreates();
  Status EmitCreate(ServicePlan& service, Replica& replica);
  void InheritAnonymousVolumes(const ServicePlan& service, const Replica& replica,
                               engine::ContainerConfig& config) const;
  Status ResolveReferences(const ServicePlan& service, const TranslatedService& translated,
                           Operation& operation) const;
  void EmitStopsAndRemovals();
  void EmitOrphanRemovals();
  Status EmitStarts();
  int EmitStart(ServicePlan& service, Replica& replica);
  std::vector<int> DependencyOperations(const ServicePlan& service);
  int WaitFor(const ServicePlan& dependent, const schema::Dependency& dependency);
  void EmitFinalWaits();
  Operation WaitOperation(const ServicePlan& service, WaitCondition condition) const;
  bool AlreadyTrue(const ServicePlan& service, WaitCondition condition) const;
  Status AddFiles(const ServicePlan& service);

  const schema::Project& project_;
  const Observed& observed_;
  const PlanOptions& options_;
  ServiceGraph graph_;
  Plan plan_;
  PlanBuilder builder_;

  std::set<std::string> selected_;
  std::vector<std::string> order_;  // Services of the plan, dependencies first.
  std::map<std::string, ServicePlan> services_;
  std::map<std::string, int> network_ops_;  // By key: the last operation that makes it.
  std::map<std::string, int> volume_ops_;
  std::map<std::tuple<std::string, WaitCondition, bool>, int> wait_ops_;
  // Host ports that become free, and the operation that frees them.
  std::map<std::pair<engine::Protocol, uint16_t>, std::vector<int>> freed_ports_;
  std::vector<std::string> written_paths_;
};

}  // namespace skiff::compose
