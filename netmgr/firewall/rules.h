#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "netmgr/firewall.h"

// The table as text in nft's language. Pure: every name and address is checked, so that nothing a
// user wrote can be read as a command.
namespace skiff::net {

// The chain whose presence says which layout the table has.
inline constexpr char kLayoutChain[] = "layout-1";

// One element of a set or map: "ports4" "tcp . 80" "172.18.0.2 . 80".
struct Element {
  std::string set;
  std::string key;
  std::string data;     // Empty: of a set.
  std::string comment;  // The short id of the owner.

  bool operator==(const Element&) const = default;
};

Result<std::vector<Element>> ElementsOf(const FirewallNetwork& network);
// None for what the relay serves.
Result<std::vector<Element>> ElementsOf(const PublishSpec& port, const FirewallOptions& options);

// One command for all elements of a set: fifty in one cost less than ten alone.
std::string AddCommands(const std::string& table, const std::vector<Element>& elements);
std::string DeleteCommands(const std::string& table, const std::vector<Element>& elements);
// The empty table, with "create": it fails when somebody was faster.
std::string LayoutCommands(const std::string& table, const FirewallOptions& options);

// "tcp"; kInvalidArgument.
Result<std::string> ProtocolText(int protocol);

}  // namespace skiff::net
