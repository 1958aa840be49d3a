#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "cli/listing.h"
#include "engine-core/types.h"

namespace skiff::cli {

// A container as docker's formatters see it: one member per field of --format.
nlohmann::ordered_json ContainerRow(const engine::Container& container, int64_t now, bool whole);
// The columns of `docker ps`.
std::span<const Column> ContainerColumns();

}  // namespace skiff::cli
