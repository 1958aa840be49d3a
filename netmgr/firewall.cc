#include "netmgr/firewall.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/failpoint.h"
#include "base/trace.h"
#include "netmgr/firewall/foreign.h"
#include "netmgr/firewall/nftables.h"
#include "netmgr/firewall/rules.h"
#include "netmgr/netlink/netlink.h"

namespace skiff::net {
namespace {

// What the kernel has under our table's name.
enum class Standing { kMissing, kOtherLayout, kStands };

// True when the object exists. `attributes` fills in the request.
Result<bool> Exists(NetlinkSocket* socket, int message,
                    const std::vector<std::pair<uint16_t, std::string>>& attributes) {
  NetlinkBatch batch;
  batch.BeginQuiet(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message), 0);
  batch.Body(nfgenmsg{NFPROTO_INET, NFNETLINK_V0, 0});
  for (const auto& [type, text] : attributes) batch.Text(type, text);
  const Status asked =
      socket->Ask(std::move(batch), "read the firewall", [](const NetlinkMessage&) {});
  if (asked) return true;
  if (asked.error().sys_errno == ENOENT) return false;
  if (asked.error().sys_errno == EINVAL || asked.error().sys_errno == EOPNOTSUPP) {
    return Fail(Code::kUnsupported, "this kernel has no nf_tables");
  }
  return tl::unexpected(asked.error());
}

Result<Standing> StandingOf(const std::string& table) {
  SKIFF_ASSIGN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_NETFILTER));
  SKIFF_ASSIGN(const bool stands,
               Exists(&socket, NFT_MSG_GETCHAIN,
                      {{NFTA_CHAIN_TABLE, table}, {NFTA_CHAIN_NAME, kLayoutChain}}));
  if (stands) return Standing::kStands;
  SKIFF_ASSIGN(const bool table_stands,
               Exists(&socket, NFT_MSG_GETTABLE, {{NFTA_TABLE_NAME, table}}));
  return table_stands ? Standing::kOtherLayout : Standing::kMissing;
}

std::vector<std::string> BridgesOf(const std::vector<FirewallNetwork>& networks) {
  std::vector<std::string> bridges;
  for (const FirewallNetwork& network : networks) bridges.push_back(network.bridge);
  return bridges;
}

}  // namespace

struct Firewall::State {
  std::string root_hash;
  std::string table;
  FirewallOptions options;
  std::unique_ptr<Nftables> nftables;
  std::vector<FirewallNetwork> added_networks;
  std::vector<FirewallNetwork> removed_networks;
  std::vector<PublishSpec> added_ports;
  std::vector<PublishSpec> removed_ports;

  Status Load();
  void Clear();
  Result<std::vector<Element>> Elements(bool removed) const;
  Result<std::string> Changes() const;
  Result<std::string> ReconciledChanges();
  Result<std::string> ForeignChanges();
  Status Transact(Standing standing);
};

Status Firewall::State::Load() {
  if (nftables == nullptr) {
    const TraceSpan span("netmgr.load_nftables");
    SKIFF_ASSIGN(nftables, Nftables::Load());
  }
  return {};
}

void Firewall::State::Clear() {
  added_networks.clear();
  removed_networks.clear();
  added_ports.clear();
  removed_ports.clear();
}

Result<std::vector<Element>> Firewall::State::Elements(bool removed) const {
  std::vector<Element> all;
  for (const FirewallNetwork& network : removed ? removed_networks : added_networks) {
    SKIFF_ASSIGN(const std::vector<Element> elements, ElementsOf(network));
    all.insert(all.end(), elements.begin(), elements.end());
  }
  for (const PublishSpec& port : removed ? removed_ports : added_ports) {
    SKIFF_ASSIGN(const std::vector<Element> elements, ElementsOf(port, options));
    all.insert(all.end(), elements.begin(), elements.end());
  }
  return all;
}

Result<std::string> Firewall::State::Changes() const {
  SKIFF_ASSIGN(const std::vector<Element> removed, Elements(true));
  SKIFF_ASSIGN(const std::vector<Element> added, Elements(false));
  return DeleteCommands(table, removed) + AddCommands(table, added);
}

// The changes against what the table really holds: what is gone is not removed, and an element with
// other data (of somebody dead) makes way.
Result<std::string> Firewall::State::ReconciledChanges() {
  SKIFF_ASSIGN(const std::string json, nftables->List("list table inet " + table));
  SKIFF_ASSIGN(const FirewallState held, ParseTable(json));
  std::vector<Element> standing;
  for (const FirewallNetwork& network : held.networks) {
    SKIFF_ASSIGN(const std::vector<Element> elements, ElementsOf(network));
    standing.insert(standing.end(), elements.begin(), elements.end());
  }
  for (const PublishSpec& port : held.ports) {
    SKIFF_ASSIGN(const std::vector<Element> elements, ElementsOf(port, options));
    standing.insert(standing.end(), elements.begin(), elements.end());
  }
  const auto find = [&](const Element& wanted) {
    return std::find_if(standing.begin(), standing.end(), [&](const Element& element) {
      return element.set == wanted.set && element.key == wanted.key;
    });
  };
  std::vector<Element> to_delete;
  std::vector<Element> to_add;
  SKIFF_ASSIGN(const std::vector<Element> removed, Elements(true));
  for (const Element& element : removed) {
    const auto hit = find(element);
    // Another container's by now: not ours to remove.
    if (hit == standing.end() || hit->data != element.data) continue;
    to_delete.push_back(element);
    standing.erase(hit);
  }
  SKIFF_ASSIGN(const std::vector<Element> added, Elements(false));
  for (const Element& element : added) {
    if (const auto hit = find(element); hit != standing.end()) {
      if (hit->data == element.data) continue;
      to_delete.push_back(element);
      standing.erase(hit);
    }
    to_add.push_back(element);
    standing.push_back(element);
  }
  return DeleteCommands(table, to_delete) + AddCommands(table, to_add);
}

Result<std::string> Firewall::State::ForeignChanges() {
  std::string commands;
  if (!removed_networks.empty()) {
    SKIFF_ASSIGN(commands, RemoveAcceptCommands(nftables.get(), BridgesOf(removed_networks)));
  }
  if (!added_networks.empty()) {
    SKIFF_ASSIGN(const std::string accepts,
                 AcceptCommands(nftables.get(), BridgesOf(added_networks)));
    commands += accepts;
  }
  return commands;
}

Status Firewall::State::Transact(Standing standing) {
  SKIFF_ASSIGN(const std::string foreign, ForeignChanges());
  if (standing == Standing::kStands) {
    SKIFF_ASSIGN(const std::string changes, Changes());
    const Status changed = nftables->Run(changes + foreign);
    if (changed) return {};
    SKIFF_ASSIGN(const std::string reconciled, ReconciledChanges());
    if (reconciled.empty() && foreign.empty()) return {};
    return nftables->Run(reconciled + foreign);
  }
  SKIFF_ASSIGN(std::string commands, TableCommands(table, {added_networks, added_ports}, options));
  if (standing == Standing::kOtherLayout) commands = "delete table inet " + table + "\n" + commands;
  return nftables->Run(commands + foreign);
}

Firewall::Firewall(std::unique_ptr<State> state) : state_(std::move(state)) {}
Firewall::~Firewall() = default;

Result<std::unique_ptr<Firewall>> Firewall::Open(std::string root_hash,
                                                 const FirewallOptions& options) {
  auto state = std::make_unique<State>();
  state->table = TableName(root_hash);
  state->root_hash = std::move(root_hash);
  state->options = options;
  return std::unique_ptr<Firewall>(new Firewall(std::move(state)));
}

Result<bool> Firewall::TableStands() const {
  SKIFF_ASSIGN(const Standing standing, StandingOf(state_->table));
  return standing == Standing::kStands;
}

void Firewall::AddNetwork(const FirewallNetwork& network) {
  state_->added_networks.push_back(network);
}

void Firewall::RemoveNetwork(const FirewallNetwork& network) {
  state_->removed_networks.push_back(network);
}

void Firewall::Publish(const PublishSpec& port) {
  state_->added_ports.push_back(port);
}

void Firewall::Unpublish(const PublishSpec& port) {
  state_->removed_ports.push_back(port);
}

bool Firewall::HasChanges() const {
  return !state_->added_networks.empty() || !state_->removed_networks.empty() ||
         !state_->added_ports.empty() || !state_->removed_ports.empty();
}

Result<FirewallReport> Firewall::Apply() {
  FirewallReport report;
  if (!HasChanges()) return report;
  const TraceSpan span("netmgr.firewall.apply");
  SKIFF_TRY(Failpoint("netmgr.firewall.apply"));
  SKIFF_TRY(state_->Load());
  SKIFF_ASSIGN(Standing standing, StandingOf(state_->table));
  Status done = state_->Transact(standing);
  if (!done && standing != Standing::kStands) {
    // Somebody else made the table at the same moment: then it stands now.
    SKIFF_ASSIGN(standing, StandingOf(state_->table));
    if (standing == Standing::kStands) done = state_->Transact(standing);
  }
  SKIFF_TRY(done);
  report.was_missing = standing != Standing::kStands;
  report.warnings = LegacyWarnings(BridgesOf(state_->added_networks));
  state_->Clear();
  return report;
}

Result<FirewallReport> Firewall::Rebuild(const FirewallState& rows) {
  const TraceSpan span("netmgr.firewall.rebuild");
  SKIFF_TRY(Failpoint("netmgr.firewall.rebuild"));
  SKIFF_TRY(state_->Load());
  SKIFF_ASSIGN(const std::string table, TableCommands(state_->table, rows, state_->options));
  SKIFF_ASSIGN(const std::string foreign,
               AcceptCommands(state_->nftables.get(), BridgesOf(rows.networks)));
  // Deleting what may be missing: "add" first, since this nftables has no "destroy".
  const std::string clean =
      "add table inet " + state_->table + "\ndelete table inet " + state_->table + "\n";
  SKIFF_TRY(state_->nftables->Run(clean + table + foreign));
  state_->Clear();
  FirewallReport report;
  report.warnings = LegacyWarnings(BridgesOf(rows.networks));
  return report;
}

Result<FirewallState> Firewall::Read() {
  SKIFF_ASSIGN(const Standing standing, StandingOf(state_->table));
  if (standing != Standing::kStands) return FirewallState{};
  SKIFF_TRY(state_->Load());
  SKIFF_ASSIGN(const std::string json, state_->nftables->List("list table inet " + state_->table));
  return ParseTable(json);
}

Status Firewall::RemoveTable() {
  SKIFF_TRY(Failpoint("netmgr.firewall.remove"));
  SKIFF_TRY(state_->Load());
  const std::string ours = BridgeName(state_->root_hash, "") + "*";
  SKIFF_ASSIGN(const std::string foreign,
               RemoveAcceptCommands(state_->nftables.get(), std::span(&ours, 1)));
  const std::string clean =
      "add table inet " + state_->table + "\ndelete table inet " + state_->table + "\n";
  SKIFF_TRY(state_->nftables->Run(clean + foreign));
  state_->Clear();
  return {};
}

Result<std::string> Firewall::PendingCommands() const {
  return state_->Changes();
}

}  // namespace skiff::net
