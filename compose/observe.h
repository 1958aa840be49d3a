#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/engine.h"

namespace skiff::compose {

// One container of a project with what its labels say.
struct ObservedContainer {
  engine::Container container;
  std::string service;
  int number = 0;
  bool oneoff = false;
  std::string config_hash;
};

// What exists of one project, and the images and resources its model may refer to.
struct Observed {
  std::string project;
  // Of the project, sorted by service, then number, then creation time.
  std::vector<ObservedContainer> containers;
  // By name: those of the project, and all others (for external ones and for name clashes).
  std::map<std::string, engine::Network> networks;
  std::map<std::string, engine::Volume> volumes;
  std::vector<engine::Image> images;

  const engine::Image* FindImage(const std::string& reference) const;
  // The one for `platform` (empty: the one that the reference means) of those it stands for.
  const engine::Image* FindImageFor(const std::string& reference,
                                    const engine::Platform& platform) const;
};

ObservedContainer DescribeContainer(engine::Container container);
// Containers only, as in Observed.
Result<std::vector<ObservedContainer>> ObserveContainers(engine::Engine& engine,
                                                         const std::string& project);

// One listing each of containers, networks, volumes and images.
Result<Observed> Observe(engine::Engine& engine, const std::string& project);

}  // namespace skiff::compose
