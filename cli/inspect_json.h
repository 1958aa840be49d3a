#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine-core/types.h"

namespace skiff::cli {

// Docker's JSON of things, member for member in docker's order (Engine API 1.50).
nlohmann::ordered_json InspectContainer(const engine::Container& container);
nlohmann::ordered_json InspectImage(const engine::Image& image);
// `containers`: those with an endpoint in the network.
nlohmann::ordered_json InspectNetwork(const engine::Network& network,
                                      const std::vector<engine::Container>& containers);
nlohmann::ordered_json InspectVolume(const engine::Volume& volume);

}  // namespace skiff::cli
