#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compose/observe.h"
#include "compose/plan.h"

namespace skiff::compose {

// Appends operations with what all of one kind have in common.
class PlanBuilder {
 public:
  explicit PlanBuilder(Plan& plan) : plan_(plan) {}

  // Dependencies of -1 (no such operation) are dropped, the rest sorted and made unique.
  int Add(Operation operation);
  Operation& at(int index) { return plan_.operations[static_cast<size_t>(index)]; }

  // About a container that exists.
  static Operation About(OperationKind kind, const ObservedContainer& observed, std::string cause);
  int AddStop(const ObservedContainer& observed, std::string cause, std::vector<int> dependencies,
              std::optional<engine::Nanoseconds> timeout);
  int AddRemove(const ObservedContainer& observed, std::string cause, std::vector<int> dependencies,
                bool anonymous_volumes);

 private:
  Plan& plan_;
};

// Several errors as one: the first, with the others as notes.
Error CombineErrors(std::vector<Error> errors);
// "no such service: x", with the nearest of `known`.
Error NoSuchService(const std::string& name, const std::vector<std::string>& known);
// Whether it has processes that a stop would end.
bool IsActive(const engine::ContainerState& state);
ContainerTarget TargetOf(const ObservedContainer& observed);
// "p-web-1", or the short id of a container that waits for its name.
std::string DisplayName(const engine::Container& container);

}  // namespace skiff::compose
