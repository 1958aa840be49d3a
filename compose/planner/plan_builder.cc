#include "compose/planner/plan_builder.h"

#include <fmt/format.h>

#include <algorithm>

namespace skiff::compose {

int PlanBuilder::Add(Operation operation) {
  std::vector<int>& dependencies = operation.dependencies;
  std::erase(dependencies, -1);
  std::sort(dependencies.begin(), dependencies.end());
  dependencies.erase(std::unique(dependencies.begin(), dependencies.end()), dependencies.end());
  plan_.operations.push_back(std::move(operation));
  return static_cast<int>(plan_.operations.size()) - 1;
}

Operation PlanBuilder::About(OperationKind kind, const ObservedContainer& observed,
                             std::string cause) {
  Operation operation;
  operation.kind = kind;
  operation.name = DisplayName(observed.container);
  operation.service = observed.service;
  operation.cause = std::move(cause);
  operation.container = TargetOf(observed);
  return operation;
}

int PlanBuilder::AddStop(const ObservedContainer& observed, std::string cause,
                         std::vector<int> dependencies,
                         std::optional<engine::Nanoseconds> timeout) {
  Operation operation = About(OperationKind::kStopContainer, observed, std::move(cause));
  operation.dependencies = std::move(dependencies);
  operation.stop.timeout = timeout;
  return Add(std::move(operation));
}

int PlanBuilder::AddRemove(const ObservedContainer& observed, std::string cause,
                           std::vector<int> dependencies, bool anonymous_volumes) {
  Operation operation = About(OperationKind::kRemoveContainer, observed, std::move(cause));
  operation.dependencies = std::move(dependencies);
  operation.remove.force = true;
  operation.remove.anonymous_volumes = anonymous_volumes;
  return Add(std::move(operation));
}

Error CombineErrors(std::vector<Error> errors) {
  Error first = std::move(errors.front());
  for (size_t i = 1; i < errors.size(); ++i) {
    first.notes.push_back({errors[i].Text(), errors[i].span});
    for (Note& note : errors[i].notes) first.notes.push_back(std::move(note));
  }
  return first;
}

Error NoSuchService(const std::string& name, const std::vector<std::string>& known) {
  Error error(Code::kNotFound, fmt::format("no such service: {}", name));
  const std::vector<std::string_view> candidates(known.begin(), known.end());
  const std::string nearest = DidYouMean(name, candidates);
  if (!nearest.empty()) return std::move(error).With(fmt::format("did you mean '{}'?", nearest));
  return error;
}

bool IsActive(const engine::ContainerState& state) {
  return state.running() || state.status == engine::ContainerStatus::kRestarting;
}

ContainerTarget TargetOf(const ObservedContainer& observed) {
  return {observed.container.id, -1, DisplayName(observed.container)};
}

std::string DisplayName(const engine::Container& container) {
  return container.name.empty() ? container.id.substr(0, 12) : container.name;
}

}  // namespace skiff::compose
