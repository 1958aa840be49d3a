#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "compose/observe.h"
#include "schema/project.h"

namespace skiff::compose {

// Services and what they depend on, from a file or, without one, from labels of what exists
// (compose.md 4.26).
class ServiceGraph {
 public:
  static ServiceGraph FromModel(const schema::Project& project);
  static ServiceGraph FromContainers(const std::vector<ObservedContainer>& containers);

  bool Contains(const std::string& service) const { return dependencies_.count(service) > 0; }
  std::vector<std::string> names() const;
  // Sorted by service; those the graph does not contain are left out.
  const std::vector<schema::Dependency>& DependenciesOf(const std::string& service) const;
  // Dependencies before dependents, else by name.
  std::vector<std::string> InOrder() const;
  std::set<std::string> WithDependencies(const std::vector<std::string>& services) const;
  std::set<std::string> WithDependents(const std::vector<std::string>& services) const;
  // Services whose `depends_on` of `service` says `restart: true`, sorted.
  std::vector<std::string> RestartedWith(const std::string& service) const;

 private:
  void Add(const std::string& service, std::vector<schema::Dependency> dependencies);
  void DropUnknown();
  std::map<std::string, std::vector<schema::Dependency>> dependencies_;
};

}  // namespace skiff::compose
