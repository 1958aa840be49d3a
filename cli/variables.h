#pragma once

#include <map>
#include <string>
#include <string_view>

namespace skiff::cli {

// How a Compose file uses one variable (`config --variables`).
struct VariableUse {
  bool required = false;  // ${V:?message}
  std::string fallback;   // ${V:-fallback}
  std::string alternate;  // ${V:+alternate}
};

// Adds the variables in `text`, also those nested in defaults. `$$` is no variable.
void CollectVariables(std::string_view text, std::map<std::string, VariableUse>& variables);

}  // namespace skiff::cli
