#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "netmgr/firewall.h"
#include "netmgr/netlink/nf_batch.h"

// The table of a root: its sets and maps, its rules, and what goes into them. Pure: nothing of it
// speaks to the kernel.
namespace skiff::net {

// The chain whose presence says which layout the table has.
inline constexpr char kLayoutChain[] = "layout-2";

// One element of a set or map, in the kernel's form.
struct Element {
  std::string set;
  NfElement element;

  bool operator==(const Element&) const = default;
};

// The sets and maps of the table.
std::span<const NfSet> TableSets();

// kInvalidArgument: a name or an address that is none.
Result<std::vector<Element>> ElementsOf(const FirewallNetwork& network);
// None for what the relay serves.
Result<std::vector<Element>> ElementsOf(const PublishSpec& port, const FirewallOptions& options);
Result<std::vector<Element>> ElementsOf(const FirewallState& state, const FirewallOptions& options);
// Of addresses that connections have been tracked of; kInvalidArgument: one that is no address.
Result<std::vector<Element>> SeenElements(std::span<const std::string> addresses);
// When the table has it, some of this family may be missing from its set of those.
Element OverflowElement(bool v6);
// The other way round; what is no element of ours is left out.
FirewallState StateOf(std::span<const Element> elements);
// The addresses among the elements.
std::vector<std::string> SeenIn(std::span<const Element> elements);

// One message for all elements of a set.
void AddElements(NfBatch* batch, std::span<const Element> elements);
void RemoveElements(NfBatch* batch, std::span<const Element> elements);
// The empty table; fails when somebody was faster.
void AddLayout(NfBatch* batch, const FirewallOptions& options);

}  // namespace skiff::net
