#include "compose/planner/hooks.h"

#include <fmt/format.h>

#include "compose/hook_process.h"

namespace skiff::compose {
namespace {

class HookInserter {
 public:
  HookInserter(Plan plan, const schema::Project& project)
      : plan_(std::move(plan)), project_(project) {}

  Plan Insert() {
    std::vector<Operation> operations = std::exchange(plan_.operations, {});
    for (Operation& operation : operations) Add(std::move(operation));
    return std::move(plan_);
  }

 private:
  const schema::Service* ServiceOf(const Operation& operation) const {
    for (const auto* services : {&project_.services, &project_.disabled_services}) {
      const auto found = services->find(operation.service);
      if (found != services->end()) return &found->second;
    }
    return nullptr;
  }

  void Add(Operation operation) {
    for (int& dependency : operation.dependencies) dependency = done_[At(dependency)];
    Moved(operation.container);
    for (ContainerTarget& target : operation.wait_for) Moved(target);
    for (ContainerReference& reference : operation.references) Moved(reference.target);
    const schema::Service* service = ServiceOf(operation);
    const bool restarts = operation.kind == OperationKind::kRestartContainer;
    const bool stops = restarts || operation.kind == OperationKind::kStopContainer;
    const bool starts = restarts || operation.kind == OperationKind::kStartContainer;
    if (service != nullptr && stops) {
      for (size_t i = 0; i < service->pre_stop.size(); ++i) {
        const int hook = Hook(operation, service->pre_stop[i], "pre_stop", i, operation.dependencies);
        operation.dependencies = {hook};
      }
    }
    self_.push_back(Push(operation));
    int last = self_.back();
    if (service != nullptr && starts) {
      for (size_t i = 0; i < service->post_start.size(); ++i) {
        last = Hook(operation, service->post_start[i], "post_start", i, {last});
      }
    }
    done_.push_back(last);
  }

  int Hook(const Operation& of, const schema::LifecycleHook& hook, std::string_view key, size_t number,
           std::vector<int> dependencies) {
    Operation operation;
    operation.kind = OperationKind::kRunHook;
    operation.name = of.name;
    operation.service = of.service;
    operation.container = of.container;
    operation.cause = fmt::format("{}[{}]", key, number);
    operation.span = of.span;
    operation.dependencies = std::move(dependencies);
    operation.hook = HookConfig(hook);
    // Something that has ended by itself has nothing to do before it is stopped.
    operation.ended_is_success = key == "pre_stop";
    return Push(std::move(operation));
  }

  void Moved(ContainerTarget& target) const {
    if (target.created_by >= 0) target.created_by = self_[At(target.created_by)];
  }
  static size_t At(int index) { return static_cast<size_t>(index); }
  int Push(Operation operation) {
    plan_.operations.push_back(std::move(operation));
    return static_cast<int>(plan_.operations.size()) - 1;
  }

  Plan plan_;
  const schema::Project& project_;
  // By index in the plan without hooks: the operation, and what has to be done to be behind it.
  std::vector<int> self_, done_;
};

}  // namespace

Plan WithHooks(Plan plan, const schema::Project* project) {
  return project == nullptr ? plan : HookInserter(std::move(plan), *project).Insert();
}

}  // namespace skiff::compose
