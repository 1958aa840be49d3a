#pragma once

#include <string>
#include <vector>

#include "engine-core/types.h"

namespace skiff::engine {

// True when each of `wanted` ("key" or "key=value") is in `labels`.
inline bool LabelsMatch(const Labels& labels, const std::vector<std::string>& wanted) {
  for (const std::string& item : wanted) {
    const size_t equals = item.find('=');
    const auto found = labels.find(item.substr(0, equals));
    if (found == labels.end()) return false;
    if (equals != std::string::npos && found->second != item.substr(equals + 1)) return false;
  }
  return true;
}

}  // namespace skiff::engine
