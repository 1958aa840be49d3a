#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::cli {

struct Column {
  std::string_view field;   // "Names"
  std::string_view header;  // "NAMES"
  bool shown = true;        // In the default table; others are for --format only.
};

// What --format asks for: "" or "table", "table TEMPLATE", "json", "TEMPLATE".
struct ListingStyle {
  std::string format;
  size_t minimum_width = 10;
  bool json_array = false;  // One array instead of one object a line.
};

// Renders rows (objects with a member per column) the way docker's formatters do. Members named
// "Label" are only for templates: {{.Label "key"}}.
Result<std::string> RenderListing(std::span<const Column> columns,
                                  const std::vector<nlohmann::ordered_json>& rows,
                                  const ListingStyle& style);

// `docker inspect`: an array with an indentation of four spaces, or the template for each value.
Result<std::string> RenderInspect(const std::vector<nlohmann::ordered_json>& values,
                                  std::string_view format);

}  // namespace skiff::cli
