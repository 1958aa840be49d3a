#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "compose/plan.h"
#include "engine-core/types.h"
#include "schema/project.h"

namespace skiff::compose {

struct TranslateOptions {
  int number = 1;
  bool oneoff = false;
  std::string slug;      // Of a one-off container.
  std::string image_id;  // "" when not known.
  // Written configs and secrets go to this folder; not created here.
  std::string file_dir;
};

// References to other containers of the project are by service; the planner finds the container.
struct ServiceReference {
  ContainerReference::Field field = ContainerReference::Field::kNetwork;
  std::string service;
  std::string suffix;
};

struct TranslatedService {
  engine::ContainerConfig config;
  std::vector<ServiceReference> references;
  std::vector<WrittenFile> files;
};

// The engine's configuration of one replica (compose.md 1.2, 4.23-25). Pure. Fails with the place
// of what the engine cannot express.
Result<TranslatedService> TranslateService(const schema::Project& project,
                                           const schema::Service& service,
                                           const TranslateOptions& options);
engine::NetworkConfig TranslateNetwork(const schema::Project& project,
                                       const schema::Network& network);
engine::VolumeConfig TranslateVolume(const schema::Project& project, const schema::Volume& volume);

// One `ports:` entry.
Result<engine::PortRequest> TranslatePort(const schema::Port& port);
// First and last host port of "", "8080" or "8080-8090"; {0, 0} for "".
Result<std::pair<uint16_t, uint16_t>> HostPortRange(const schema::Port& port);

}  // namespace skiff::compose
