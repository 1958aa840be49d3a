// StartContainer: the kernel's part, then a monitor that owns it.
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/trace.h"
#include "base/wire.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/embedded/etc_files.h"
#include "engine-core/embedded/spec.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine::embedded {
namespace {

constexpr time_t kLongestLaunch = 10;  // Seconds until a monitor says how its container fares.
constexpr const char* kHostResolv = "/etc/resolv.conf";
constexpr const char* kNameServer = "127.0.0.11";

int ProtocolNumber(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return IPPROTO_TCP;
    case Protocol::kUdp:
      return IPPROTO_UDP;
    case Protocol::kSctp:
      return IPPROTO_SCTP;
  }
  return IPPROTO_TCP;
}

// The first address of each family, in the order of the interfaces.
struct Addresses {
  std::string v4;
  std::string v6;
};
Addresses TargetsOf(const ContainerRecord& record) {
  Addresses found;
  const auto take = [&](bool default_route) {
    for (const store::EndpointRecord& endpoint : record.endpoints) {
      if (endpoint.default_route != default_route) continue;
      if (found.v4.empty()) found.v4 = endpoint.endpoint.ipv4_address;
      if (found.v6.empty()) found.v6 = endpoint.endpoint.ipv6_address;
    }
  };
  // The way out is the way in: an internal network is reached from nowhere else.
  take(true);
  take(false);
  return found;
}

std::vector<std::string> NamesOf(const ContainerRecord& record, const Endpoint& endpoint) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (!name.empty() && std::ranges::count(names, name) == 0) names.push_back(name);
  };
  add(record.name);
  for (const std::string& alias : endpoint.aliases) add(alias);
  add(ShortId(record.id));
  add(record.config.hostname);
  return names;
}

enum Tag : uint16_t {
  kTagPort = 1,
  kTagContainer,
  kTagHostIp,
  kTagHostPort,
  kTagInner,
  kTagProtocol,
  kTagV4,
  kTagV6
};

void AwaitProcess(const Fd& pidfd) {
  pollfd end = {pidfd.get(), POLLIN, 0};
  while (::poll(&end, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace

std::string LiveMarker(const Layout& layout, const std::string& id) {
  return layout.run_container(id) + "/live";
}

Status WriteLiveMarker(const Layout& layout, const std::string& id,
                       const std::vector<net::PublishSpec>& ports) {
  WireWriter out;
  for (const net::PublishSpec& port : ports) {
    WireWriter inner;
    inner.Bytes(kTagContainer, port.container_id);
    inner.Bytes(kTagHostIp, port.host_ip);
    inner.Int(kTagHostPort, port.host_port);
    inner.Int(kTagInner, port.container_port);
    inner.Int(kTagProtocol, port.protocol);
    inner.Bytes(kTagV4, port.target_v4);
    inner.Bytes(kTagV6, port.target_v6);
    out.Message(kTagPort, inner);
  }
  return WriteFileAtomically(LiveMarker(layout, id), out.data(), 0600, Durability::kVolatile);
}

Result<std::vector<net::PublishSpec>> ReadLiveMarker(const Layout& layout, const std::string& id) {
  SKIFF_ASSIGN(const std::string data, ReadFile(LiveMarker(layout, id)));
  std::vector<net::PublishSpec> ports;
  WireReader outer(data);
  while (outer.Next()) {
    if (outer.tag() != kTagPort) continue;
    net::PublishSpec& port = ports.emplace_back();
    WireReader in(outer.bytes());
    while (in.Next()) {
      switch (in.tag()) {
        case kTagContainer:
          port.container_id = in.text();
          break;
        case kTagHostIp:
          port.host_ip = in.text();
          break;
        case kTagHostPort:
          port.host_port = static_cast<uint16_t>(in.integer());
          break;
        case kTagInner:
          port.container_port = static_cast<uint16_t>(in.integer());
          break;
        case kTagProtocol:
          port.protocol = static_cast<int>(in.integer());
          break;
        case kTagV4:
          port.target_v4 = in.text();
          break;
        case kTagV6:
          port.target_v6 = in.text();
          break;
        default:
          break;
      }
    }
  }
  return ports;
}

Status EmbeddedEngine::StartContainer(std::string_view ref) {
  const TraceSpan span("engine.start");
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto found, store_.FindContainer(ref));
  const Busy busy(this, found->id);
  SKIFF_ASSIGN(const ContainerGuard guard, LockContainer(found->id));
  SKIFF_ASSIGN(const auto record, Again(found->id));
  const MonitorClient client(layout_.run_container(record->id));
  if (client.Alive()) {
    const ContainerState state = StateOf(*record);
    if (state.status == ContainerStatus::kPaused) {
      return Fail(Code::kFailedPrecondition,
                  "cannot start a paused container, try unpause instead");
    }
    if (state.running() || state.status == ContainerStatus::kRestarting) return {};
    SKIFF_ASSIGN(const bool runs, AwaitStartOrEnd(*record));
    if (runs) return {};
  }
  SKIFF_TRY(AnnouncePorts(*record));
  SKIFF_TRY(AfterEnd(*record));
  {
    const std::lock_guard lock(pending_mutex_);
    orphans_.erase(record->id);
  }
  return Start(*record);
}

// A monitor lives, but its state is not that of a run: it is just ending, or it was launched by a
// command that died before it could see it start. True once it runs.
Result<bool> EmbeddedEngine::AwaitStartOrEnd(const ContainerRecord& record) {
  const std::string run_dir = layout_.run_container(record.id);
  const Fd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!changes || ::inotify_add_watch(changes.get(), run_dir.c_str(), IN_MOVED_TO) < 0) {
    return FailErrno("cannot watch '" + run_dir + "'");
  }
  const Fd deadline(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  const Fd wake(::epoll_create1(EPOLL_CLOEXEC));
  const itimerspec limit = {{0, 0}, {kLongestLaunch, 0}};
  epoll_event event = {};
  event.events = EPOLLIN;
  if (!deadline || !wake || ::timerfd_settime(deadline.get(), 0, &limit, nullptr) != 0 ||
      ::epoll_ctl(wake.get(), EPOLL_CTL_ADD, deadline.get(), &event) != 0 ||
      ::epoll_ctl(wake.get(), EPOLL_CTL_ADD, changes.get(), &event) != 0) {
    return FailErrno("cannot wait for the start of a container");
  }
  for (;;) {
    const ContainerState state = StateOf(record);
    if (state.running() || state.status == ContainerStatus::kRestarting) break;
    const Status ended = AwaitMonitorExit(run_dir, wake.get());
    if (ended) return false;
    if (ended.error().code != Code::kCancelled) return Fail(ended.error());
    uint64_t expirations = 0;
    if (::read(deadline.get(), &expirations, sizeof expirations) > 0) {
      // One that cannot say how it fares, on a full disk: it makes way.
      SKIFF_TRY(EndNow(record));
      return false;
    }
    char events[4096];
    while (::read(changes.get(), events, sizeof events) > 0) {
    }
  }
  // What the one that launched it would have done next.
  SKIFF_TRY(AnnouncePorts(record));
  SKIFF_ASSIGN(const auto ports, ReadLiveMarker(layout_, record.id));
  SKIFF_TRY(network_.Publish(ports));
  SKIFF_TRY(SetStarted(record));
  return true;
}

Status EmbeddedEngine::SetStarted(const ContainerRecord& record) {
  if (record.desired == store::Desired::kRunning) return {};
  return store_
      .Update(record.id, [](ContainerRecord& row) { row.desired = store::Desired::kRunning; })
      .transform([](const ContainerRecord&) {});
}

Status EmbeddedEngine::Start(const ContainerRecord& from) {
  ContainerRecord record = from;
  std::shared_ptr<DeferredState> waiting;
  {
    const std::lock_guard lock(containers_mutex_);
    if (const auto it = waiting_.find(record.id); it != waiting_.end()) {
      waiting = it->second;
      waiting_.erase(it);
    }
  }
  const Status started = [&]() -> Status {
    SKIFF_ASSIGN(Preparation prepared, Prepare(record));
    for (const std::string& text : prepared.warnings) Notice(record.name + ": " + text);
    SKIFF_ASSIGN(Launcher * launcher, GetLauncher());
    Launcher::Request request;
    request.spec = EncodeRuntimeSpec(prepared.spec);
    request.network_namespace = prepared.network_namespace.get();
    request.dns_udp = prepared.prepared.names.udp.get();
    request.dns_tcp = prepared.prepared.names.tcp.get();
    request.ports = prepared.publication.descriptors;
    std::vector<std::string> guard_warnings;
    SKIFF_TRY(network_.Guard([this] { return WholeFirewall(); }, &guard_warnings));
    for (const std::string& text : guard_warnings) Notice(text);
    if (waiting) {
      const StandardStreams streams = waiting->launch_streams();
      request.attach_input = streams.input;
      request.attach_output = streams.output;
      request.attach_error = streams.error;
    }
    SKIFF_TRY(network_.Settle(record.endpoints));
    TraceSpan launch("engine.start.launch");
    SKIFF_TRY(Failpoint("engine.start.before_launch"));
    SKIFF_ASSIGN(Launcher::Launched launched, launcher->Launch(request));
    launch.Done();
    if (waiting) waiting->CloseLaunchSide();
    const TraceSpan await("engine.start.await");
    SKIFF_ASSIGN(const Launcher::StartReport report, Launcher::AwaitStart(launched));
    for (const std::string& text : report.warnings) Notice(record.name + ": " + text);
    if (!report.error.empty()) {
      // Its monitor has written the state with the exit code; the end of it frees the cgroup.
      AwaitProcess(launched.pidfd);
      return Fail(Code::kFailedPrecondition, report.error);
    }
    SKIFF_TRY(Failpoint("engine.start.after_launch"));
    SKIFF_TRY(network_.Publish(prepared.publication.specs));
    if (waiting) {
      waiting->Fulfil(SessionOfLaunch(std::move(launched.channel), waiting->client_streams(),
                                      waiting->TakeTerminal()));
    }
    return {};
  }();
  if (!started) {
    if (waiting) waiting->Fail(started.error());
    // The failure of the start is what matters; the marker tells the next command of the rest.
    [[maybe_unused]] const Status ended = EndNow(record);
    [[maybe_unused]] const Status cleaned = AfterEnd(record);
    [[maybe_unused]] const Status unnamed = RemoveNames(record);
    return started;
  }
  const bool changed = from.desired != store::Desired::kRunning ||
                       !std::ranges::equal(from.ports, record.ports, {}, &PublishedPort::host_port,
                                           &PublishedPort::host_port);
  if (!changed) return {};
  return store_
      .Update(record.id,
              [ports = record.ports](ContainerRecord& row) {
                row.desired = store::Desired::kRunning;
                row.ports = ports;
              })
      .transform([](const ContainerRecord&) {});
}

Result<EmbeddedEngine::Preparation> EmbeddedEngine::Prepare(ContainerRecord& record) {
  Preparation out;
  TraceSpan cgroup("engine.start.cgroup");
  HoldUnit();
  SKIFF_ASSIGN(CgroupManager * cgroups, Cgroups());
  SKIFF_TRY(MakeDirectories(layout_.run_container(record.id), 0700));
  SKIFF_TRY(WriteLiveMarker(layout_, record.id, {}));
  if (::unlink(layout_.container_state(record.id).c_str()) != 0 && errno != ENOENT) {
    return FailErrno("cannot remove '" + layout_.container_state(record.id) + "'");
  }
  SKIFF_TRY(Failpoint("engine.start.cgroup"));
  SpecInputs inputs;
  SKIFF_ASSIGN(const std::vector<DeviceRule> devices, DevicePolicy(record.config));
  SKIFF_ASSIGN(inputs.cgroups,
               cgroups->CreateContainer(record.id, record.config.resources, devices,
                                        record.config.privileged, record.config.cgroup_parent));
  out.warnings = inputs.cgroups.warnings;
  cgroup.Done();

  SKIFF_ASSIGN(inputs.namespaces, Namespaces(record, out));
  const TraceSpan network("engine.start.network");
  SKIFF_ASSIGN(out.publication, PreparePorts(record));
  record.ports = out.publication.ports;
  // Told before it is done, so that whoever cleans up knows of the ports.
  if (!out.publication.specs.empty()) {
    SKIFF_TRY(WriteLiveMarker(layout_, record.id, out.publication.specs));
  }
  bool name_service = false;
  inputs.dns = NameServiceOf(record, &name_service);
  SKIFF_TRY(PrepareNetwork(record, out));
  SKIFF_TRY(WriteEtcFiles(record, out));
  SKIFF_TRY(AddNames(record));

  inputs.record = &record;
  inputs.layout = &layout_;
  inputs.seccomp_cache = layout_.root() + "/seccomp";
  SKIFF_ASSIGN(out.spec, BuildRuntimeSpec(inputs, &out.warnings));
  out.spec.ports = out.publication.sockets;
  return out;
}

Result<SharedNamespaces> EmbeddedEngine::Namespaces(const ContainerRecord& record,
                                                    Preparation& out) {
  const ContainerConfig& config = record.config;
  SharedNamespaces spaces;
  const auto choose = [&](const std::string& mode, const char* name,
                          NamespaceSpec* spec) -> Status {
    if (mode == "host") spec->mode = NamespaceMode::kHost;
    if (!mode.starts_with(kContainerMode)) return {};
    SKIFF_ASSIGN(const auto other, store_.FindContainer(mode.substr(kContainerMode.size())));
    const ContainerState state = StateOf(*other);
    if (!state.running()) {
      return Fail(Code::kFailedPrecondition,
                  "cannot join the " + std::string(name) +
                      " namespace of a non running container: container " + other->id +
                      " is not running");
    }
    spec->mode = NamespaceMode::kJoin;
    spec->path = "/proc/" + std::to_string(state.pid) + "/ns/" + name;
    return {};
  };
  SKIFF_TRY(choose(config.pid_mode, "pid", &spaces.pid));
  SKIFF_TRY(choose(config.ipc_mode, "ipc", &spaces.ipc));
  SKIFF_TRY(choose(config.uts_mode, "uts", &spaces.uts));
  SKIFF_TRY(choose(config.network_mode, "net", &spaces.network));
  // docker: the host's on v1, an own one on v2.
  SKIFF_ASSIGN(const CgroupManager* cgroups, Cgroups());
  const bool own_by_default = cgroups->layout().mode == CgroupMode::kV2 && !config.privileged;
  const bool host =
      config.cgroupns_mode == "host" || (config.cgroupns_mode.empty() && !own_by_default);
  if (host) spaces.cgroup.mode = NamespaceMode::kHost;
  if (!record.network_container.empty()) {
    // The monitor's descriptor: it stays while that container restarts.
    const MonitorClient other(layout_.run_container(record.network_container));
    SKIFF_ASSIGN(out.network_namespace, other.NetworkNamespace());
  }
  return spaces;
}

Status EmbeddedEngine::PrepareNetwork(ContainerRecord& record, Preparation& out) {
  if (record.config.network_mode == "host" || !record.network_container.empty()) return {};
  std::vector<net::EndpointSpec> endpoints;
  for (const store::EndpointRecord& endpoint : record.endpoints) {
    SKIFF_ASSIGN(const auto network, FindNetwork(endpoint.endpoint.network_id));
    SKIFF_TRY(network_.EnsureBridge(*network));
    endpoints.push_back(NetworkSide::EndpointOf(endpoint, *network));
  }
  bool name_service = false;
  NameServiceOf(record, &name_service);
  SKIFF_TRY(Failpoint("engine.start.network"));
  SKIFF_ASSIGN(out.prepared, network_.Prepare(endpoints, name_service));
  SKIFF_ASSIGN(out.network_namespace, out.prepared.network_namespace.Duplicate());
  return {};
}

namespace {

// Told as the addresses it is bound to: all addresses are one of each family.
void AddPublished(const PortRequest& port, const net::PortReservation& reservation,
                  std::vector<PublishedPort>& out) {
  const auto add = [&](std::string host_ip) {
    out.push_back({std::move(host_ip), reservation.port, port.container_port, port.protocol});
  };
  if (!port.host_ip.empty()) return add(port.host_ip);
  if (reservation.v4.valid()) add("0.0.0.0");
  if (reservation.v6.valid()) add("::");
}

}  // namespace

Result<EmbeddedEngine::Publication> EmbeddedEngine::PreparePorts(const ContainerRecord& record) {
  Publication out;
  const Addresses target = TargetsOf(record);
  const bool has_network = !target.v4.empty() || !target.v6.empty();
  std::vector<net::PortReservationRequest> requests;
  std::vector<const PortRequest*> published;
  for (const PortRequest& port : record.config.ports) {
    // Without a network of its own there is nothing to publish (docker warns and goes on).
    if (!port.publish || !has_network) {
      out.ports.push_back({port.host_ip, 0, port.container_port, port.protocol});
      continue;
    }
    requests.push_back(
        {port.host_ip, port.host_port, port.host_port_last, ProtocolNumber(port.protocol)});
    published.push_back(&port);
  }
  if (requests.empty()) return out;
  SKIFF_TRY(Failpoint("engine.start.ports"));
  SKIFF_ASSIGN(out.reservations, net::ReservePorts(requests));
  SKIFF_ASSIGN(const bool route_loopback, network_.CanRouteLoopback());
  for (size_t i = 0; i < published.size(); ++i) {
    const PortRequest& port = *published[i];
    const net::PortReservation& reservation = out.reservations[i];
    AddPublished(port, reservation, out.ports);
    out.specs.push_back({record.id, port.host_ip, reservation.port, port.container_port,
                         ProtocolNumber(port.protocol), target.v4, target.v6});
    const net::RelayNeed need =
        net::RelayNeedOf(reservation, !target.v4.empty(), !target.v6.empty(), route_loopback);
    const auto add = [&](const Fd& socket, bool relay) {
      if (!socket.valid()) return;
      const std::string& address = target.v4.empty() ? target.v6 : target.v4;
      out.sockets.push_back({relay, address, port.container_port, ProtocolNumber(port.protocol)});
      out.descriptors.push_back(socket.get());
    };
    add(reservation.v4, need.v4);
    add(reservation.v6, need.v6);
  }
  constexpr size_t kMaximumSockets = 240;  // What one launch message can carry.
  if (out.descriptors.size() > kMaximumSockets) {
    return Fail(Code::kExhausted, "a container can publish at most " +
                                      std::to_string(kMaximumSockets / 2) + " ports");
  }
  return out;
}

DnsSpec EmbeddedEngine::NameServiceOf(const ContainerRecord& record, bool* wanted) {
  DnsSpec dns;
  dns.forward = false;
  for (const store::EndpointRecord& endpoint : record.endpoints) {
    const auto network = FindNetwork(endpoint.endpoint.network_id);
    if (!network) continue;
    if (!(*network)->network.config.internal) dns.forward = true;
    if ((*network)->network.predefined) continue;
    dns.enabled = true;
    dns.tables.push_back(layout_.names_table(endpoint.endpoint.network_id));
    dns.endpoints.push_back(endpoint.endpoint.endpoint_id);
  }
  *wanted = dns.enabled;
  if (!dns.enabled) return dns;
  dns.upstreams = record.config.dns;
  if (dns.upstreams.empty()) {
    const auto host = ReadFile(kHostResolv, 1 << 16);
    if (host) dns.upstreams = ParseResolvConf(*host).name_servers;
  }
  return dns;
}

Status EmbeddedEngine::WriteEtcFiles(const ContainerRecord& record, const Preparation& out) {
  const auto write = [](const std::string& path, const std::string& text) {
    return WriteFileAtomically(path, text, 0644, Durability::kVolatile);
  };
  if (!record.network_container.empty()) {
    // docker: the files of the container whose network it is.
    const std::string& other = record.network_container;
    const std::pair<std::string, std::string> files[] = {
        {layout_.container_hosts(other), layout_.container_hosts(record.id)},
        {layout_.container_hostname(other), layout_.container_hostname(record.id)},
        {layout_.container_resolv(other), layout_.container_resolv(record.id)}};
    for (const auto& [from, to] : files) {
      SKIFF_ASSIGN(const std::string text, ReadFile(from, 1 << 20));
      SKIFF_TRY(write(to, text));
    }
    return {};
  }
  const ContainerConfig& config = record.config;
  const bool host_network = config.network_mode == "host";
  const std::string host_resolv = ReadFile(kHostResolv, 1 << 16).value_or("");
  HostsInputs hosts;
  hosts.hostname = config.hostname.empty() ? ShortId(record.id) : config.hostname;
  hosts.domainname = config.domainname;
  std::string gateway;
  for (const store::EndpointRecord& endpoint : record.endpoints) {
    for (const std::string& address :
         {endpoint.endpoint.ipv4_address, endpoint.endpoint.ipv6_address}) {
      if (!address.empty()) hosts.addresses.push_back(address);
    }
    hosts.ipv6 = hosts.ipv6 || !endpoint.endpoint.ipv6_address.empty();
    if (gateway.empty() || endpoint.default_route) gateway = endpoint.endpoint.ipv4_gateway;
  }
  if (gateway.empty()) gateway = "127.0.0.1";
  for (const std::string& text : config.extra_hosts) {
    SKIFF_ASSIGN(auto extra, ParseExtraHost(text, gateway));
    hosts.extra.push_back(std::move(extra));
  }
  if (host_network && config.extra_hosts.empty()) {
    SKIFF_TRY(
        write(layout_.container_hosts(record.id), ReadFile("/etc/hosts", 1 << 20).value_or("")));
  } else {
    SKIFF_TRY(write(layout_.container_hosts(record.id), HostsFile(hosts)));
  }
  SKIFF_TRY(write(layout_.container_hostname(record.id), hosts.hostname + "\n"));

  ResolverSettings settings = ParseResolvConf(host_resolv);
  if (out.spec.dns.enabled || out.prepared.names.udp.valid()) {
    settings.name_servers = {kNameServer};
    settings.options.insert(settings.options.begin(), "ndots:0");
  } else if (!config.dns.empty()) {
    settings.name_servers = config.dns;
  } else if (!host_network) {
    settings.name_servers = WithoutLoopback(settings.name_servers);
    if (settings.name_servers.empty()) settings.name_servers = {"8.8.8.8", "8.8.4.4"};
  }
  if (!config.dns_search.empty()) settings.search = config.dns_search;
  if (settings.search == std::vector<std::string>{"."}) settings.search.clear();
  if (!config.dns_options.empty()) settings.options = config.dns_options;
  return write(layout_.container_resolv(record.id), ResolvConfFile(settings));
}

Status EmbeddedEngine::AddNames(const ContainerRecord& record) {
  for (const store::EndpointRecord& endpoint : record.endpoints) {
    SKIFF_ASSIGN(const auto network, FindNetwork(endpoint.endpoint.network_id));
    if (network->network.predefined) continue;
    const std::vector<std::string> names = NamesOf(record, endpoint.endpoint);
    const net::NameEntry entry = {endpoint.endpoint.endpoint_id, endpoint.endpoint.ipv4_address,
                                  endpoint.endpoint.ipv6_address, names};
    SKIFF_TRY(Failpoint("engine.start.names"));
    SKIFF_TRY(net::AddEndpoints(layout_.names_table(network->network.id),
                                network->network.config.name, {&entry, 1}));
  }
  return {};
}

Status EmbeddedEngine::RemoveNames(const ContainerRecord& record) {
  for (const store::EndpointRecord& endpoint : record.endpoints) {
    const std::string table = layout_.names_table(endpoint.endpoint.network_id);
    if (::access(table.c_str(), F_OK) != 0) continue;
    SKIFF_TRY(net::RemoveEndpoints(table, {&endpoint.endpoint.endpoint_id, 1}));
  }
  return {};
}

}  // namespace skiff::engine::embedded
