#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "netmgr/address.h"
#include "netmgr/name_table.h"

// The text of a name table (README: format) and the questions a resolver asks of it. A monitor
// reads the file anew for each query: a table of hundreds of names is scanned in microseconds, and
// a copy kept in each monitor would cost more memory than everything else it has.
namespace skiff::net::dns {

// Bytes; a table that is longer is not read.
inline constexpr size_t kMaximumNameTable = 16u << 20;

struct Table {
  std::string network_name;
  std::vector<NameEntry> entries;
};
std::string FormatTable(const Table& table);
// kCorrupted; `path` is for the message.
Result<Table> ParseTable(std::string_view text, std::string_view path);

struct Found {
  bool known = false;  // Some endpoint has the name, maybe without an address of that family.
  std::vector<IpAddress> addresses;
};
// `name` in lower case, with or without ".NETWORK".
Found FindAddresses(std::string_view table_text, std::string_view name, bool v6);
// "web-1.shop_default"; "" when nobody has the address.
std::string FindName(std::string_view table_text, const IpAddress& address);

}  // namespace skiff::net::dns
