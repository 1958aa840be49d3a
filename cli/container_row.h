#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/listing.h"
#include "engine-core/engine.h"

namespace skiff::cli {

struct ContainerSizes {
  int64_t written = 0;  // Bytes it has written.
  int64_t whole = 0;    // With its image.
};
// Reads all that it has written. An image that is gone counts nothing.
Result<ContainerSizes> SizesOf(engine::Engine& engine, const engine::Container& container);

// A container as docker's formatters see it: one member per field of --format. Size is
// that of one that has written nothing.
nlohmann::ordered_json ContainerRow(const engine::Container& container, int64_t now, bool whole);
// "2B (virtual 4.2MB)"
std::string SizeText(const ContainerSizes& sizes);
// The columns of `docker ps`.
std::vector<Column> ContainerColumns(bool with_size = false);

}  // namespace skiff::cli
