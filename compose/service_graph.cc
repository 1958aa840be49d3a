#include "compose/service_graph.h"

#include <algorithm>
#include <functional>

#include "compose/labels.h"

namespace skiff::compose {

void ServiceGraph::Add(const std::string& service, std::vector<schema::Dependency> dependencies) {
  std::sort(dependencies.begin(), dependencies.end(),
            [](const schema::Dependency& a, const schema::Dependency& b) {
              return a.service < b.service;
            });
  dependencies_[service] = std::move(dependencies);
}

void ServiceGraph::DropUnknown() {
  for (auto& [service, dependencies] : dependencies_) {
    std::erase_if(dependencies, [&](const schema::Dependency& dependency) {
      return dependencies_.count(dependency.service) == 0;
    });
  }
}

ServiceGraph ServiceGraph::FromModel(const schema::Project& project) {
  ServiceGraph graph;
  for (const auto& [name, service] : project.services) graph.Add(name, service.depends_on);
  graph.DropUnknown();
  return graph;
}

ServiceGraph ServiceGraph::FromContainers(const std::vector<ObservedContainer>& containers) {
  ServiceGraph graph;
  for (const ObservedContainer& observed : containers) {
    if (observed.oneoff && graph.Contains(observed.service)) continue;
    graph.Add(observed.service,
              ParseDependsOn(LabelOf(observed.container.labels, kDependsOnLabel)));
  }
  graph.DropUnknown();
  return graph;
}

std::vector<std::string> ServiceGraph::names() const {
  std::vector<std::string> result;
  for (const auto& [name, dependencies] : dependencies_) result.push_back(name);
  return result;
}

const std::vector<schema::Dependency>& ServiceGraph::DependenciesOf(
    const std::string& service) const {
  static const std::vector<schema::Dependency> kNone;
  const auto found = dependencies_.find(service);
  return found == dependencies_.end() ? kNone : found->second;
}

std::vector<std::string> ServiceGraph::InOrder() const {
  std::vector<std::string> result;
  std::set<std::string> seen;
  // A cycle is an error of the loader; here it only must not loop.
  const std::function<void(const std::string&)> visit = [&](const std::string& service) {
    if (!seen.insert(service).second) return;
    for (const schema::Dependency& dependency : DependenciesOf(service)) visit(dependency.service);
    result.push_back(service);
  };
  for (const auto& [service, dependencies] : dependencies_) visit(service);
  return result;
}

std::set<std::string> ServiceGraph::WithDependencies(
    const std::vector<std::string>& services) const {
  std::set<std::string> result;
  std::vector<std::string> pending = services;
  while (!pending.empty()) {
    const std::string service = std::move(pending.back());
    pending.pop_back();
    if (!Contains(service) || !result.insert(service).second) continue;
    for (const schema::Dependency& dependency : DependenciesOf(service)) {
      pending.push_back(dependency.service);
    }
  }
  return result;
}

std::set<std::string> ServiceGraph::WithDependents(const std::vector<std::string>& services) const {
  std::set<std::string> result(services.begin(), services.end());
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& [service, dependencies] : dependencies_) {
      if (result.count(service)) continue;
      for (const schema::Dependency& dependency : dependencies) {
        if (result.count(dependency.service)) {
          grown = result.insert(service).second || grown;
          break;
        }
      }
    }
  }
  return result;
}

std::vector<std::string> ServiceGraph::RestartedWith(const std::string& service) const {
  std::vector<std::string> result;
  for (const auto& [name, dependencies] : dependencies_) {
    for (const schema::Dependency& dependency : dependencies) {
      if (dependency.service == service && dependency.restart) result.push_back(name);
    }
  }
  return result;
}

}  // namespace skiff::compose
