#pragma once

#include <nlohmann/json.hpp>

// How Go writes what a C++ value cannot tell apart.
namespace skiff::cli {

template <typename Map>
nlohmann::ordered_json JsonObject(const Map& map) {
  auto out = nlohmann::ordered_json::object();
  for (const auto& [key, value] : map) out[key] = value;
  return out;
}

// Go prints an empty slice that was never made as null.
template <typename Value>
nlohmann::ordered_json JsonOrNull(const Value& value) {
  return value.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(value);
}

}  // namespace skiff::cli
