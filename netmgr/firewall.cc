#include "netmgr/firewall.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/failpoint.h"
#include "base/trace.h"
#include "netmgr/firewall/foreign.h"
#include "netmgr/firewall/rules.h"
#include "netmgr/netlink/nf_batch.h"

namespace skiff::net {
namespace {

// What the kernel has under our table's name.
enum class Standing { kMissing, kOtherLayout, kStands };

// True when the object exists. `attributes` fills in the request.
Result<bool> Exists(NetlinkSocket* socket, int message,
                    const std::vector<std::pair<uint16_t, std::string>>& attributes) {
  NetlinkBatch batch;
  batch.BeginQuiet(NfMessage(message), 0);
  batch.Body(NfHeader(NFPROTO_INET));
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

Result<Standing> StandingOf(NetlinkSocket* socket, const std::string& table) {
  SKIFF_ASSIGN(const bool stands,
               Exists(socket, NFT_MSG_GETCHAIN,
                      {{NFTA_CHAIN_TABLE, table}, {NFTA_CHAIN_NAME, kLayoutChain}}));
  if (stands) return Standing::kStands;
  SKIFF_ASSIGN(const bool table_stands,
               Exists(socket, NFT_MSG_GETTABLE, {{NFTA_TABLE_NAME, table}}));
  return table_stands ? Standing::kOtherLayout : Standing::kMissing;
}

std::vector<std::string> BridgesOf(const std::vector<FirewallNetwork>& networks) {
  std::vector<std::string> bridges;
  for (const FirewallNetwork& network : networks) bridges.push_back(network.bridge);
  return bridges;
}

constexpr std::string_view kSeenSets[] = {"seen4", "seen6", "overflow"};

}  // namespace

struct Firewall::State {
  std::string root_hash;
  std::string table;
  FirewallOptions options;
  std::optional<NetlinkSocket> socket;
  bool removed = false;  // Something, by this socket.
  std::vector<FirewallNetwork> added_networks;
  std::vector<FirewallNetwork> removed_networks;
  std::vector<PublishSpec> added_ports;
  std::vector<PublishSpec> removed_ports;
  std::vector<std::string> forgotten;

  Result<NetlinkSocket*> Socket();
  void Clear();
  Result<Standing> StandingNow();
  Result<std::vector<Element>> Elements(bool removed) const;
  Result<std::vector<Element>> Held(std::span<const std::string_view> sets);
  Result<std::vector<Element>> Held();
  Status AddReconciled(NfBatch* batch);
  Status AddForeign(NfBatch* batch);
  Status Transact(Standing standing);
  Status Send(NfBatch&& batch);
  void ClearTable(NfBatch* batch) const;
};

Result<NetlinkSocket*> Firewall::State::Socket() {
  if (!socket) {
    SKIFF_ASSIGN(NetlinkSocket opened, NetlinkSocket::Open(NETLINK_NETFILTER));
    socket.emplace(std::move(opened));
  }
  return &*socket;
}

void Firewall::State::Clear() {
  added_networks.clear();
  removed_networks.clear();
  added_ports.clear();
  removed_ports.clear();
  forgotten.clear();
}

Result<Standing> Firewall::State::StandingNow() {
  SKIFF_ASSIGN(NetlinkSocket* const kernel, Socket());
  return StandingOf(kernel, table);
}

Result<std::vector<Element>> Firewall::State::Elements(bool of_removed) const {
  SKIFF_ASSIGN(std::vector<Element> elements,
               ElementsOf(FirewallState{of_removed ? removed_networks : added_networks,
                                        of_removed ? removed_ports : added_ports, false},
                          options));
  if (of_removed) {
    SKIFF_ASSIGN(const std::vector<Element> seen, SeenElements(forgotten));
    elements.insert(elements.end(), seen.begin(), seen.end());
  }
  return elements;
}

// What these sets of the table have, which stands.
Result<std::vector<Element>> Firewall::State::Held(std::span<const std::string_view> sets) {
  SKIFF_ASSIGN(NetlinkSocket* const kernel, Socket());
  std::vector<Element> held;
  for (const std::string_view set : sets) {
    SKIFF_ASSIGN(std::vector<NfElement> elements, ReadElements(kernel, NFPROTO_INET, table, set));
    for (NfElement& element : elements) held.push_back({std::string(set), std::move(element)});
  }
  return held;
}

Result<std::vector<Element>> Firewall::State::Held() {
  std::vector<std::string_view> sets;
  for (const NfSet& set : TableSets()) sets.push_back(set.name);
  return Held(sets);
}

// The changes against what the table really holds: what is gone is not removed, and an element with
// other data (of somebody dead) makes way.
Status Firewall::State::AddReconciled(NfBatch* batch) {
  SKIFF_ASSIGN(std::vector<Element> standing, Held());
  const auto find = [&](const Element& wanted) {
    return std::ranges::find_if(standing, [&](const Element& one) {
      return one.set == wanted.set && one.element.key == wanted.element.key;
    });
  };
  std::vector<Element> to_remove;
  std::vector<Element> to_add;
  SKIFF_ASSIGN(const std::vector<Element> unwanted, Elements(true));
  for (const Element& one : unwanted) {
    const auto hit = find(one);
    // Another container's by now: not ours to remove.
    if (hit == standing.end() || hit->element.data != one.element.data) continue;
    to_remove.push_back(one);
    standing.erase(hit);
  }
  SKIFF_ASSIGN(const std::vector<Element> added, Elements(false));
  for (const Element& one : added) {
    if (const auto hit = find(one); hit != standing.end()) {
      if (hit->element.data == one.element.data) continue;
      to_remove.push_back(one);
      standing.erase(hit);
    }
    to_add.push_back(one);
    standing.push_back(one);
  }
  RemoveElements(batch, to_remove);
  AddElements(batch, to_add);
  return {};
}

Status Firewall::State::AddForeign(NfBatch* batch) {
  SKIFF_ASSIGN(NetlinkSocket* const kernel, Socket());
  SKIFF_TRY(RemoveAccepts(kernel, BridgesOf(removed_networks), batch));
  return AddAccepts(kernel, BridgesOf(added_networks), batch);
}

// Removing what may be missing: it is added first, since older kernels have no "destroy".
void Firewall::State::ClearTable(NfBatch* batch) const {
  batch->AddTable(false);
  batch->RemoveTable();
}

Status Firewall::State::Send(NfBatch&& batch) {
  SKIFF_ASSIGN(NetlinkSocket* const kernel, Socket());
  return std::move(batch).Send(kernel, "change the firewall");
}

Status Firewall::State::Transact(Standing standing) {
  SKIFF_ASSIGN(const std::vector<Element> unwanted, Elements(true));
  SKIFF_ASSIGN(const std::vector<Element> added, Elements(false));
  NfBatch batch(NFPROTO_INET, table);
  if (standing == Standing::kStands) {
    RemoveElements(&batch, unwanted);
    removed = removed || !unwanted.empty();
  } else {
    if (standing == Standing::kOtherLayout) batch.RemoveTable();
    AddLayout(&batch, options);
  }
  AddElements(&batch, added);
  SKIFF_TRY(AddForeign(&batch));
  const Status changed = Send(std::move(batch));
  if (changed || standing != Standing::kStands) return changed;
  NfBatch reconciled(NFPROTO_INET, table);
  SKIFF_TRY(AddReconciled(&reconciled));
  SKIFF_TRY(AddForeign(&reconciled));
  return Send(std::move(reconciled));
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
  SKIFF_ASSIGN(const Standing standing, state_->StandingNow());
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

void Firewall::ForgetSeen(std::span<const std::string> addresses) {
  state_->forgotten.insert(state_->forgotten.end(), addresses.begin(), addresses.end());
}

bool Firewall::HasChanges() const {
  return !state_->forgotten.empty() || !state_->added_networks.empty() ||
         !state_->removed_networks.empty() || !state_->added_ports.empty() ||
         !state_->removed_ports.empty();
}

Result<FirewallReport> Firewall::Apply() {
  FirewallReport report;
  if (!HasChanges()) return report;
  const TraceSpan span("netmgr.firewall.apply");
  SKIFF_TRY(Failpoint("netmgr.firewall.apply"));
  SKIFF_ASSIGN(Standing standing, state_->StandingNow());
  Status done = state_->Transact(standing);
  if (!done && standing != Standing::kStands) {
    // Somebody else made the table at the same moment: then it stands now.
    SKIFF_ASSIGN(standing, state_->StandingNow());
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
  SKIFF_ASSIGN(NetlinkSocket* const kernel, state_->Socket());
  SKIFF_ASSIGN(const std::vector<Element> elements, ElementsOf(rows, state_->options));
  NfBatch batch(NFPROTO_INET, state_->table);
  state_->ClearTable(&batch);
  AddLayout(&batch, state_->options);
  AddElements(&batch, elements);
  SKIFF_TRY(AddAccepts(kernel, BridgesOf(rows.networks), &batch));
  state_->removed = true;
  SKIFF_TRY(state_->Send(std::move(batch)));
  state_->Clear();
  FirewallReport report;
  report.warnings = LegacyWarnings(BridgesOf(rows.networks));
  return report;
}

Result<FirewallState> Firewall::Read() {
  SKIFF_ASSIGN(const Standing standing, state_->StandingNow());
  if (standing != Standing::kStands) return FirewallState{};
  SKIFF_ASSIGN(const std::vector<Element> elements, state_->Held());
  return StateOf(elements);
}

Result<SeenAddresses> Firewall::Seen() {
  SeenAddresses seen;
  SKIFF_ASSIGN(const Standing standing, state_->StandingNow());
  if (standing != Standing::kStands) return seen;
  SKIFF_ASSIGN(const std::vector<Element> elements, state_->Held(kSeenSets));
  seen.addresses = SeenIn(elements);
  seen.unsure = StateOf(elements).unsure;
  return seen;
}

Result<std::vector<std::string>> Firewall::SeenOf(std::span<const std::string> addresses) {
  SKIFF_ASSIGN(NetlinkSocket* const kernel, state_->Socket());
  const auto has = [&](const Element& element) {
    return HasElement(kernel, NFPROTO_INET, state_->table, element.set, element.element.key);
  };
  SKIFF_ASSIGN(const std::vector<Element> elements, SeenElements(addresses));
  std::vector<std::string> seen;
  for (size_t i = 0; i < elements.size(); ++i) {
    SKIFF_ASSIGN(bool hit, has(elements[i]));
    if (!hit) {
      SKIFF_ASSIGN(hit, has(OverflowElement(elements[i].set == "seen6")));
    }
    if (hit) seen.push_back(addresses[i]);
  }
  return seen;
}

Status Firewall::RemoveTable() {
  SKIFF_TRY(Failpoint("netmgr.firewall.remove"));
  SKIFF_ASSIGN(NetlinkSocket* const kernel, state_->Socket());
  const std::string ours = BridgeName(state_->root_hash, "") + "*";
  NfBatch batch(NFPROTO_INET, state_->table);
  state_->ClearTable(&batch);
  SKIFF_TRY(RemoveAccepts(kernel, std::span(&ours, 1), &batch));
  state_->removed = true;
  SKIFF_TRY(state_->Send(std::move(batch)));
  state_->Clear();
  return {};
}

Fd Firewall::TakeSlowSocket() {
  if (!state_->removed) return Fd();
  state_->removed = false;
  Fd socket = std::move(*state_->socket).Release();
  state_->socket.reset();
  return socket;
}

}  // namespace skiff::net
