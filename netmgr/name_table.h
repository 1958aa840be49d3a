#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

// The names of one network, in one file (README: format). Commands change it, each under a lock on
// "<path>.lock" and by replacing it; monitors read it.
namespace skiff::net {

struct NameEntry {
  std::string endpoint_id;
  std::string address_v4;  // Empty: none.
  std::string address_v6;
  // The first one is what a reverse lookup answers (the container's name); then service name,
  // aliases, short id, hostname. Many endpoints may share a name. Compared without case.
  std::vector<std::string> names;

  bool operator==(const NameEntry&) const = default;
};

// A network's name is the suffix under which its names are known too: "web.shop_default".
// An entry replaces the one with the same endpoint id. Names must be free of white space and at
// most 253 bytes long (kInvalidArgument).
Status AddEndpoints(const std::string& table_path, std::string_view network_name,
                    std::span<const NameEntry> entries);
Status RemoveEndpoints(const std::string& table_path, std::span<const std::string> endpoint_ids);
// The table with exactly these entries: repair.
Status WriteNameTable(const std::string& table_path, std::string_view network_name,
                      std::span<const NameEntry> entries);
// The table and its lock file.
Status RemoveNameTable(const std::string& table_path);
// kNotFound without a table; kCorrupted.
Result<std::vector<NameEntry>> ReadNameTable(const std::string& table_path);

}  // namespace skiff::net
