#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compose/labels.h"
#include "compose/plan.h"
#include "compose/planner/hooks.h"
#include "compose/planner/plan_builder.h"
#include "compose/service_graph.h"

namespace skiff::compose {
namespace {

// Makes the plan of `down`. Used once.
class DownPlanner {
 public:
  DownPlanner(const std::string& name, const schema::Project* project, const Observed& observed,
              const DownPlanOptions& options)
      : project_(project),
        observed_(observed),
        options_(options),
        graph_(project ? ServiceGraph::FromModel(*project)
                       : ServiceGraph::FromContainers(observed.containers)),
        builder_(plan_) {
    plan_.project = name;
  }

  Result<Plan> Make() {
    for (const std::string& service : options_.services) {
      if (!Known(service)) return Fail(NoSuchService(service, graph_.names()));
    }
    SelectContainers();
    EmitContainers();
    if (options_.services.empty()) {
      EmitNetworks();
      if (options_.volumes) EmitVolumes();
    }
    if (!options_.rmi.empty()) EmitImages();
    return std::move(plan_);
  }

 private:
  bool Known(const std::string& service) const {
    return graph_.Contains(service) || (project_ && project_->disabled_services.count(service) > 0);
  }

  void SelectContainers() {
    const std::set<std::string> named = graph_.WithDependents(options_.services);
    for (const ObservedContainer& observed : observed_.containers) {
      if (!options_.services.empty()) {
        if (named.count(observed.service) && !observed.oneoff) chosen_.push_back(&observed);
        continue;
      }
      // One-off containers and those of services whose profile is off belong to the project, too.
      if (Known(observed.service) || options_.remove_orphans) chosen_.push_back(&observed);
    }
  }

  // Dependents first; replicas of one service at once (compose.md 4.21).
  void EmitContainers() {
    std::vector<std::string> order = graph_.InOrder();
    std::reverse(order.begin(), order.end());
    std::set<std::string> done(order.begin(), order.end());
    for (const ObservedContainer* observed : chosen_) {
      if (done.insert(observed->service).second) order.push_back(observed->service);
    }
    std::map<std::string, std::vector<int>> stops;
    for (const std::string& service : order) {
      std::vector<int> after;
      for (const std::string& dependent : DependentsOf(service)) {
        after.insert(after.end(), stops[dependent].begin(), stops[dependent].end());
      }
      bool any = false;
      for (const ObservedContainer* observed : chosen_) {
        if (observed->service != service || !IsActive(observed->container.state)) continue;
        const int stop = builder_.AddStop(*observed, "down", after, options_.timeout);
        stops[service].push_back(stop);
        stop_of_[observed->container.id] = stop;
        any = true;
      }
      // Nothing of it runs: what depends on its dependencies still has to be down before them.
      if (!any) stops[service] = after;
    }
    for (const ObservedContainer* observed : chosen_) {
      const auto stop = stop_of_.find(observed->container.id);
      removals_.push_back(builder_.AddRemove(
          *observed, "down", {stop == stop_of_.end() ? -1 : stop->second}, options_.volumes));
    }
  }

  std::vector<std::string> DependentsOf(const std::string& service) const {
    std::vector<std::string> result;
    for (const std::string& name : graph_.names()) {
      for (const schema::Dependency& dependency : graph_.DependenciesOf(name)) {
        if (dependency.service == service) result.push_back(name);
      }
    }
    return result;
  }

  bool OwnedByProject(const engine::Labels& labels) const {
    return LabelOf(labels, kProjectLabel) == plan_.project;
  }

  void EmitNetworks() {
    for (const auto& [name, network] : observed_.networks) {
      if (network.predefined || !OwnedByProject(network.config.labels)) continue;
      Operation remove;
      remove.kind = OperationKind::kRemoveNetwork;
      remove.name = name;
      remove.cause = "down";
      remove.dependencies = removals_;
      remove.ignore_failure = true;
      builder_.Add(std::move(remove));
    }
  }

  void EmitVolumes() {
    for (const auto& [name, volume] : observed_.volumes) {
      // Anonymous ones go with their containers.
      if (volume.anonymous || !OwnedByProject(volume.config.labels)) continue;
      const std::string& key = LabelOf(volume.config.labels, kVolumeLabel);
      if (project_ != nullptr) {
        const auto declared = project_->volumes.find(key);
        if (declared != project_->volumes.end() && declared->second.external) continue;
      }
      Operation remove;
      remove.kind = OperationKind::kRemoveVolume;
      remove.name = name;
      remove.cause = "down --volumes";
      remove.dependencies = removals_;
      remove.ignore_failure = true;
      builder_.Add(std::move(remove));
    }
  }

  // "local": those without a name of their own in the file.
  void EmitImages() {
    std::set<std::string> images;
    if (project_ != nullptr) {
      for (const auto& [name, service] : project_->services) {
        if (!options_.services.empty() &&
            !std::count(options_.services.begin(), options_.services.end(), name)) {
          continue;
        }
        if (options_.rmi == "all" || service.image.empty()) {
          images.insert(ImageOf(plan_.project, service));
        }
      }
    } else {
      for (const ObservedContainer* observed : chosen_) {
        const bool local = observed->container.image == plan_.project + "-" + observed->service;
        if (options_.rmi == "all" || local) images.insert(observed->container.image);
      }
    }
    for (const std::string& image : images) {
      if (observed_.FindImage(image) == nullptr) continue;
      Operation remove;
      remove.kind = OperationKind::kRemoveImage;
      remove.name = image;
      remove.cause = "down --rmi " + options_.rmi;
      remove.dependencies = removals_;
      remove.ignore_failure = true;
      builder_.Add(std::move(remove));
    }
  }

  const schema::Project* project_;
  const Observed& observed_;
  const DownPlanOptions& options_;
  ServiceGraph graph_;
  Plan plan_;
  PlanBuilder builder_;
  std::vector<const ObservedContainer*> chosen_;
  std::map<std::string, int> stop_of_;
  std::vector<int> removals_;
};

}  // namespace

Result<Plan> MakeDownPlan(const std::string& name, const schema::Project* project,
                          const Observed& observed, const DownPlanOptions& options) {
  SKIFF_ASSIGN(Plan plan, DownPlanner(name, project, observed, options).Make());
  return WithHooks(std::move(plan), project);
}

}  // namespace skiff::compose
