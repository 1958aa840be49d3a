#pragma once

#include <map>
#include <string>
#include <string_view>

#include "schema/load.h"

namespace skiff::cli {

// How a Compose file uses one variable (`config --variables`).
struct VariableUse {
  bool required = false;  // ${V:?message}
  std::string fallback;   // ${V:-fallback}
  std::string alternate;  // ${V:+alternate}
};

// Of all texts of a model that was loaded without interpolation.
std::map<std::string, VariableUse> VariablesOf(const schema::Node& tree);

// Adds the variables in `text`, also those nested in defaults. `$$` is no variable.
void CollectVariables(std::string_view text, std::map<std::string, VariableUse>& variables);

}  // namespace skiff::cli
