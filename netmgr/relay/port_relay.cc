#include "netmgr/port_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <unordered_map>

#include "base/failpoint.h"
#include "netmgr/relay/tcp_flow.h"

namespace skiff::net {
namespace {

using std::chrono::seconds;

constexpr BootTime kDatagramFlowLife = seconds(90);
// Above these the oldest datagram flow goes, and a new connection is refused.
constexpr size_t kMaximumDatagramFlows = 1024;
constexpr size_t kMaximumConnections = 4096;
constexpr int kBatch = 64;  // Accepts and datagrams in one event, so that nobody starves others.

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

Result<SocketAddress> AddressOf(const RelayTarget& target) {
  SocketAddress address;
  if (auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
      ::inet_pton(AF_INET, target.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(target.port);
    address.size = sizeof *v4;
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET6, target.address.c_str(), &v6->sin6_addr) != 1) {
    return Fail(Code::kInvalidArgument, "cannot relay to '" + target.address + "'");
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(target.port);
  address.size = sizeof *v6;
  return address;
}

// The host's own address a datagram arrived at: the answer has to come from there.
struct LocalAddress {
  bool v6 = false;
  in_pktinfo info4 = {};
  in6_pktinfo info6 = {};
};

// Who sent a datagram: his address and port, and ours.
std::string FlowKey(int socket, const SocketAddress& peer, const LocalAddress& local) {
  std::string key(reinterpret_cast<const char*>(&socket), sizeof socket);
  key.append(reinterpret_cast<const char*>(&peer.storage), peer.size);
  if (local.v6) {
    key.append(reinterpret_cast<const char*>(&local.info6.ipi6_addr), sizeof(in6_addr));
  } else {
    key.append(reinterpret_cast<const char*>(&local.info4.ipi_addr), sizeof(in_addr));
  }
  return key;
}

void AskForLocalAddress(int socket, bool v6) {
  const int on = 1;
  // Without it answers come from the address the route prefers: worse, but no reason to refuse.
  if (v6) {
    ::setsockopt(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  } else {
    ::setsockopt(socket, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  }
}

LocalAddress LocalOf(msghdr& message) {
  LocalAddress local;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      std::memcpy(&local.info4, CMSG_DATA(part), sizeof local.info4);
    } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      local.v6 = true;
      std::memcpy(&local.info6, CMSG_DATA(part), sizeof local.info6);
    }
  }
  return local;
}

void SendFrom(int socket, const LocalAddress& local, const SocketAddress& peer, const char* data,
              size_t size) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control = {};
  iovec part = {const_cast<char*>(data), size};
  msghdr message = {};
  message.msg_name = const_cast<sockaddr*>(peer.get());
  message.msg_namelen = peer.size;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  cmsghdr* header = reinterpret_cast<cmsghdr*>(control.data());
  if (local.v6) {
    in6_pktinfo info = local.info6;
    info.ipi6_ifindex = 0;
    header->cmsg_level = IPPROTO_IPV6;
    header->cmsg_type = IPV6_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  } else {
    in_pktinfo info = {};
    info.ipi_spec_dst = local.info4.ipi_addr;
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  }
  // A datagram that cannot be sent now is lost, as datagrams may be.
  static_cast<void>(::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

}  // namespace

struct PortRelay::State {
  struct Server {
    Fd socket;
    RelayTarget target;
    SocketAddress address;
    bool paused = false;  // Out of descriptors: resumed when a flow ends.
  };
  struct DatagramFlow {
    std::string key;
    int server = -1;
    SocketAddress peer;
    LocalAddress local;
    Fd socket;  // Connected to the container.
    BootTime last_used{};
  };

  FdWatcher* watcher = nullptr;
  std::map<int, Server> servers;                            // By listening socket.
  std::unordered_map<int, std::shared_ptr<TcpFlow>> flows;  // By either of its sockets.
  std::list<DatagramFlow> datagrams;                        // Least recently used first.
  std::unordered_map<std::string, std::list<DatagramFlow>::iterator> by_peer;
  std::unordered_map<int, std::list<DatagramFlow>::iterator> by_socket;

  void Accept(Server& server);
  bool Connect(Server& server, Fd client);
  void EndFlow(const std::shared_ptr<TcpFlow>& flow);
  void Resume();
  void ReceiveFromClients(Server& server, BootTime now);
  DatagramFlow* FlowFor(Server& server, const SocketAddress& peer, const LocalAddress& local);
  void ReceiveFromContainer(std::list<DatagramFlow>::iterator flow, BootTime now);
  void EndDatagramFlow(std::list<DatagramFlow>::iterator flow);
  void Touch(std::list<DatagramFlow>::iterator flow, BootTime now) {
    flow->last_used = now;
    datagrams.splice(datagrams.end(), datagrams, flow);
  }
};

PortRelay::PortRelay(FdWatcher* watcher) : state_(std::make_unique<State>()) {
  state_->watcher = watcher;
}

PortRelay::~PortRelay() {
  Stop();
}

Status PortRelay::Serve(Fd socket, const RelayTarget& target) {
  State::Server server;
  server.target = target;
  SKIFF_ASSIGN(server.address, AddressOf(target));
  SKIFF_TRY(SetNonBlocking(socket.get(), true));
  if (target.protocol == IPPROTO_UDP) {
    SocketAddress own;
    own.size = sizeof own.storage;
    if (::getsockname(socket.get(), own.get(), &own.size) != 0) {
      return FailErrno("cannot read the address of a published port");
    }
    AskForLocalAddress(socket.get(), own.family() == AF_INET6);
  } else if (target.protocol != IPPROTO_TCP) {
    return Fail(Code::kUnsupported, "cannot relay protocols other than tcp and udp");
  }
  SKIFF_TRY(Failpoint("net.relay.serve"));
  const int fd = socket.get();
  server.socket = std::move(socket);
  state_->servers.insert_or_assign(fd, std::move(server));
  state_->watcher->Watch(fd, EPOLLIN);
  return {};
}

void PortRelay::Stop() {
  for (auto& [fd, server] : state_->servers) state_->watcher->Unwatch(fd);
  state_->servers.clear();
  while (!state_->flows.empty()) {
    const std::shared_ptr<TcpFlow> flow = state_->flows.begin()->second;
    state_->EndFlow(flow);
  }
  while (!state_->datagrams.empty()) state_->EndDatagramFlow(state_->datagrams.begin());
}

void PortRelay::OnEvent(int fd, uint32_t /*epoll_events*/, BootTime now) {
  State& state = *state_;
  if (const auto server = state.servers.find(fd); server != state.servers.end()) {
    if (server->second.target.protocol == IPPROTO_TCP) {
      state.Accept(server->second);
    } else {
      state.ReceiveFromClients(server->second, now);
    }
    return;
  }
  if (const auto found = state.flows.find(fd); found != state.flows.end()) {
    const std::shared_ptr<TcpFlow> flow = found->second;
    if (!flow->OnEvent()) state.EndFlow(flow);
    return;
  }
  if (const auto found = state.by_socket.find(fd); found != state.by_socket.end()) {
    state.ReceiveFromContainer(found->second, now);
  }
}

std::optional<BootTime> PortRelay::NextDeadline() const {
  if (state_->datagrams.empty()) return std::nullopt;
  return state_->datagrams.front().last_used + kDatagramFlowLife;
}

void PortRelay::OnTimer(BootTime now) {
  while (!state_->datagrams.empty() &&
         state_->datagrams.front().last_used + kDatagramFlowLife <= now) {
    state_->EndDatagramFlow(state_->datagrams.begin());
  }
}

size_t PortRelay::flows() const {
  return state_->flows.size() / 2 + state_->datagrams.size();
}

void PortRelay::State::Accept(Server& server) {
  for (int i = 0; i < kBatch; ++i) {
    Fd client(::accept4(server.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) {
      // Out of descriptors or memory the connection waits in the queue and the event would come
      // again at once: wait until a flow has ended instead.
      if ((errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) &&
          !flows.empty()) {
        server.paused = true;
        watcher->Watch(server.socket.get(), 0);
      }
      return;
    }
    if (flows.size() / 2 >= kMaximumConnections) continue;  // Closed: refused.
    if (!Connect(server, std::move(client))) continue;
  }
}

bool PortRelay::State::Connect(Server& server, Fd client) {
  Fd target(::socket(server.address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!target) return false;
  if (::connect(target.get(), server.address.get(), server.address.size) != 0 &&
      errno != EINPROGRESS) {
    return false;
  }
  Result<TcpFlow> flow = TcpFlow::Create(std::move(client), std::move(target), watcher);
  if (!flow) return false;
  auto shared = std::make_shared<TcpFlow>(std::move(*flow));
  flows[shared->client()] = shared;
  flows[shared->target()] = shared;
  return true;
}

void PortRelay::State::EndFlow(const std::shared_ptr<TcpFlow>& flow) {
  flows.erase(flow->client());
  flows.erase(flow->target());
  flow->Close(watcher);
  Resume();
}

void PortRelay::State::Resume() {
  for (auto& [fd, server] : servers) {
    if (!server.paused) continue;
    server.paused = false;
    watcher->Watch(fd, EPOLLIN);
  }
}

void PortRelay::State::ReceiveFromClients(Server& server, BootTime now) {
  std::array<char, 65536> data;
  for (int i = 0; i < kBatch; ++i) {
    SocketAddress peer;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo)) * 2> control;
    iovec part = {data.data(), data.size()};
    msghdr message = {};
    message.msg_name = peer.get();
    message.msg_namelen = sizeof peer.storage;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(server.socket.get(), &message, MSG_DONTWAIT);
    if (n < 0) return;
    peer.size = message.msg_namelen;
    DatagramFlow* flow = FlowFor(server, peer, LocalOf(message));
    if (flow == nullptr) continue;
    Touch(by_socket.at(flow->socket.get()), now);
    // ECONNREFUSED of an earlier datagram is reported here once: then this one is sent again.
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (::send(flow->socket.get(), data.data(), static_cast<size_t>(n),
                 MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
          errno != ECONNREFUSED) {
        break;
      }
    }
  }
}

PortRelay::State::DatagramFlow* PortRelay::State::FlowFor(Server& server, const SocketAddress& peer,
                                                          const LocalAddress& local) {
  std::string key = FlowKey(server.socket.get(), peer, local);
  if (const auto found = by_peer.find(key); found != by_peer.end()) return &*found->second;
  if (datagrams.size() >= kMaximumDatagramFlows) EndDatagramFlow(datagrams.begin());
  Fd socket(::socket(server.address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), server.address.get(), server.address.size) != 0) {
    return nullptr;
  }
  DatagramFlow flow;
  flow.key = std::move(key);
  flow.server = server.socket.get();
  flow.peer = peer;
  flow.local = local;
  flow.socket = std::move(socket);
  const int fd = flow.socket.get();
  datagrams.push_back(std::move(flow));
  const auto place = std::prev(datagrams.end());
  by_peer[place->key] = place;
  by_socket[fd] = place;
  watcher->Watch(fd, EPOLLIN);
  return &*place;
}

void PortRelay::State::ReceiveFromContainer(std::list<DatagramFlow>::iterator flow, BootTime now) {
  std::array<char, 65536> data;
  for (int i = 0; i < kBatch; ++i) {
    const ssize_t n = ::recv(flow->socket.get(), data.data(), data.size(), MSG_DONTWAIT);
    // An error (nobody listens there) was taken from the socket by this call; the flow stays.
    if (n < 0) return;
    SendFrom(flow->server, flow->local, flow->peer, data.data(), static_cast<size_t>(n));
    Touch(flow, now);
  }
}

void PortRelay::State::EndDatagramFlow(std::list<DatagramFlow>::iterator flow) {
  watcher->Unwatch(flow->socket.get());
  by_socket.erase(flow->socket.get());
  by_peer.erase(flow->key);
  datagrams.erase(flow);
  Resume();
}

}  // namespace skiff::net
