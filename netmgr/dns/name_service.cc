#include "netmgr/name_service.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <unordered_map>

#include "base/text.h"
#include "netmgr/dns/message.h"
#include "netmgr/dns/table_text.h"

namespace skiff::net {
namespace {

using std::chrono::seconds;

// Docker answers 600 s; replicas come and go faster than that, and asking again costs nothing.
constexpr uint32_t kTtl = 5;
constexpr size_t kMaximumUpstreams = 3;
constexpr size_t kMaximumForwards = 1024;
constexpr size_t kMaximumConnections = 64;
constexpr size_t kMaximumMessage = 65535;
constexpr int kBatch = 64;
constexpr BootTime kUpstreamPatience = seconds(4);
constexpr BootTime kConnectionIdle = seconds(30);

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// "10.0.0.2", "1.1.1.1:5353", "fd00::1", "[fd00::1]:53"; nothing when it is no address.
std::optional<SocketAddress> ParseUpstream(std::string_view text) {
  uint16_t port = 53;
  std::string_view host = text;
  const size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  const bool v4_with_port = !bracketed && std::count(text.begin(), text.end(), ':') == 1;
  if (v4_with_port || (bracketed && colon != std::string_view::npos && text[colon - 1] == ']')) {
    const auto number = ParseNumber<uint16_t>(text.substr(colon + 1));
    if (!number) return std::nullopt;
    port = *number;
    host = text.substr(0, colon);
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const auto address = IpAddress::Parse(host);
  if (!address) return std::nullopt;
  SocketAddress result;
  if (address->v6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::memcpy(&v6->sin6_addr, address->bytes.data(), 16);
    result.size = sizeof *v6;
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, address->bytes.data(), 4);
    result.size = sizeof *v4;
  }
  return result;
}

uint16_t RandomId() {
  uint16_t id = 0;
  // An id that can be guessed lets a neighbour forge an answer; without entropy nothing is sent.
  while (::getrandom(&id, sizeof id, 0) != sizeof id) {
  }
  return id;
}

// A TCP message: two bytes of length, then the message.
std::string Framed(std::string_view message) {
  std::string out;
  out += static_cast<char>(message.size() >> 8);
  out += static_cast<char>(message.size() & 255);
  out += message;
  return out;
}

// Takes one whole framed message off `buffer`.
std::optional<std::string> TakeFrame(std::string& buffer) {
  if (buffer.size() < 2) return std::nullopt;
  const size_t length = static_cast<size_t>(static_cast<unsigned char>(buffer[0])) << 8 |
                        static_cast<unsigned char>(buffer[1]);
  if (buffer.size() - 2 < length) return std::nullopt;
  std::string message = buffer.substr(2, length);
  buffer.erase(0, 2 + length);
  return message;
}

enum class Io { kAgain, kEnd };

// Appends what can be read now, at most `limit` bytes in all.
Io ReadSome(int fd, std::string& buffer, size_t limit) {
  std::array<char, 4096> part;
  while (buffer.size() < limit) {
    const ssize_t n = ::recv(fd, part.data(), part.size(), MSG_DONTWAIT);
    if (n > 0) {
      buffer.append(part.data(), static_cast<size_t>(n));
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? Io::kAgain : Io::kEnd;
    }
  }
  return Io::kAgain;
}

Io WriteSome(int fd, std::string& buffer) {
  while (!buffer.empty()) {
    const ssize_t n = ::send(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      buffer.erase(0, static_cast<size_t>(n));
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      return errno == EAGAIN || errno == EWOULDBLOCK ? Io::kAgain : Io::kEnd;
    }
  }
  return Io::kAgain;
}

}  // namespace

struct NameService::State {
  // Where an answer goes: a datagram's sender, or a TCP connection that may have ended meanwhile.
  struct Client {
    bool tcp = false;
    SocketAddress address;
    uint64_t connection = 0;
  };
  struct Connection {
    Fd socket;
    uint64_t id = 0;
    std::string in, out;
    bool ended = false;  // The client sends nothing more.
    int unanswered = 0;
    BootTime last_used{};
  };
  struct Forward {
    Fd socket;
    Client client;
    std::string query;  // As the client sent it.
    dns::Query parsed;
    uint16_t sent_id = 0;
    size_t upstream = 0;
    std::vector<SocketAddress> upstreams;
    std::string in, out;
    BootTime deadline{};
  };

  Fd udp, tcp;
  NameServiceConfig config;
  std::vector<SocketAddress> upstreams;
  FdWatcher* watcher = nullptr;
  unsigned rotation = 0;
  uint64_t next_connection = 1;
  std::unordered_map<int, Connection> connections;
  std::unordered_map<int, Forward> forwards;
  std::set<std::pair<BootTime, int>> deadlines;  // Of forwards and of idle connections.

  void SetConfig(NameServiceConfig wanted);
  void ReceiveDatagrams(BootTime now);
  void Accept(BootTime now);
  void OnConnection(Connection& connection, uint32_t events, BootTime now);
  void CloseConnection(int fd);
  void Touch(Connection& connection, BootTime now);
  void Handle(std::string_view message, const Client& client, BootTime now);
  std::optional<std::string> Local(std::string_view message, const dns::Query& query, size_t limit);
  void Answer(const Client& client, std::string_view message);
  void StartForward(Forward forward, BootTime now);
  bool Send(Forward& forward, BootTime now);
  void OnForward(int fd, BootTime now);
  void Retry(int fd, BootTime now);
  Forward Take(int fd);
};

NameService::NameService(Fd udp, Fd tcp, NameServiceConfig config, FdWatcher* watcher)
    : state_(std::make_unique<State>()) {
  state_->udp = std::move(udp);
  state_->tcp = std::move(tcp);
  state_->watcher = watcher;
  state_->SetConfig(std::move(config));
  if (state_->udp) watcher->Watch(state_->udp.get(), EPOLLIN);
  if (state_->tcp) watcher->Watch(state_->tcp.get(), EPOLLIN);
}

NameService::~NameService() {
  if (state_->udp) state_->watcher->Unwatch(state_->udp.get());
  if (state_->tcp) state_->watcher->Unwatch(state_->tcp.get());
  for (const auto& [fd, connection] : state_->connections) state_->watcher->Unwatch(fd);
  for (const auto& [fd, forward] : state_->forwards) state_->watcher->Unwatch(fd);
}

void NameService::Configure(NameServiceConfig config) {
  state_->SetConfig(std::move(config));
}

void NameService::OnEvent(int fd, uint32_t epoll_events, BootTime now) {
  State& state = *state_;
  if (fd == state.udp.get()) {
    state.ReceiveDatagrams(now);
  } else if (fd == state.tcp.get()) {
    state.Accept(now);
  } else if (const auto found = state.connections.find(fd); found != state.connections.end()) {
    state.OnConnection(found->second, epoll_events, now);
  } else if (state.forwards.contains(fd)) {
    state.OnForward(fd, now);
  }
}

std::optional<BootTime> NameService::NextDeadline() const {
  if (state_->deadlines.empty()) return std::nullopt;
  return state_->deadlines.begin()->first;
}

void NameService::OnTimer(BootTime now) {
  State& state = *state_;
  while (!state.deadlines.empty() && state.deadlines.begin()->first <= now) {
    const int fd = state.deadlines.begin()->second;
    if (state.forwards.contains(fd)) {
      state.Retry(fd, now);
    } else {
      state.CloseConnection(fd);
    }
  }
}

void NameService::State::SetConfig(NameServiceConfig wanted) {
  config = std::move(wanted);
  upstreams.clear();
  for (const std::string& text : config.upstreams) {
    const auto address = ParseUpstream(text);
    if (address && upstreams.size() < kMaximumUpstreams) upstreams.push_back(*address);
  }
}

void NameService::State::ReceiveDatagrams(BootTime now) {
  std::array<char, 4096> data;
  for (int i = 0; i < kBatch; ++i) {
    Client client;
    client.address.size = sizeof client.address.storage;
    const ssize_t n = ::recvfrom(udp.get(), data.data(), data.size(), MSG_DONTWAIT,
                                 client.address.get(), &client.address.size);
    if (n < 0) return;
    Handle(std::string_view(data.data(), static_cast<size_t>(n)), client, now);
  }
}

void NameService::State::Accept(BootTime now) {
  for (int i = 0; i < kBatch; ++i) {
    Fd socket(::accept4(tcp.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    // The oldest idle one makes room: nobody can keep others out by holding connections open.
    if (connections.size() >= kMaximumConnections) {
      const auto oldest = std::min_element(
          connections.begin(), connections.end(),
          [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; });
      CloseConnection(oldest->first);
    }
    const int fd = socket.get();
    Connection connection;
    connection.socket = std::move(socket);
    connection.id = next_connection++;
    connection.last_used = now;
    deadlines.emplace(now + kConnectionIdle, fd);
    connections.emplace(fd, std::move(connection));
    watcher->Watch(fd, EPOLLIN);
  }
}

void NameService::State::Touch(Connection& connection, BootTime now) {
  const int fd = connection.socket.get();
  deadlines.erase({connection.last_used + kConnectionIdle, fd});
  connection.last_used = now;
  deadlines.emplace(now + kConnectionIdle, fd);
}

void NameService::State::OnConnection(Connection& connection, uint32_t events, BootTime now) {
  const int fd = connection.socket.get();
  // Gone in both directions: nobody is left to answer.
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return CloseConnection(fd);
  Touch(connection, now);
  if (ReadSome(fd, connection.in, kMaximumMessage + 2) == Io::kEnd) connection.ended = true;
  Client client;
  client.tcp = true;
  client.connection = connection.id;
  while (auto message = TakeFrame(connection.in)) {
    ++connection.unanswered;
    Handle(*message, client, now);
    if (!connections.contains(fd)) return;
  }
  const bool failed = WriteSome(fd, connection.out) == Io::kEnd;
  if (failed || (connection.ended && connection.out.empty() && connection.unanswered <= 0)) {
    CloseConnection(fd);
    return;
  }
  watcher->Watch(fd, (connection.ended ? 0u : EPOLLIN) | (connection.out.empty() ? 0u : EPOLLOUT));
}

void NameService::State::CloseConnection(int fd) {
  const auto found = connections.find(fd);
  if (found == connections.end()) return;
  deadlines.erase({found->second.last_used + kConnectionIdle, fd});
  watcher->Unwatch(fd);
  connections.erase(found);
}

void NameService::State::Answer(const Client& client, std::string_view message) {
  if (!client.tcp) {
    // A datagram that cannot be sent now is lost; the client asks again.
    static_cast<void>(::sendto(udp.get(), message.data(), message.size(),
                               MSG_DONTWAIT | MSG_NOSIGNAL, client.address.get(),
                               client.address.size));
    return;
  }
  for (auto& [fd, connection] : connections) {
    if (connection.id != client.connection) continue;
    --connection.unanswered;
    connection.out += Framed(message);
    watcher->Watch(fd, (connection.ended ? 0u : EPOLLIN) | EPOLLOUT);
    return;
  }
}

void NameService::State::Handle(std::string_view message, const Client& client, BootTime now) {
  const auto parsed = dns::ParseQuery(message);
  if (!parsed) return;
  const dns::Query& query = parsed->query;
  if (parsed->malformed) {
    return Answer(client, dns::EmptyAnswer(message, query, dns::Rcode::kFormatError));
  }
  if (query.opcode != 0) {
    return Answer(client, dns::EmptyAnswer(message, query, dns::Rcode::kNotImplemented));
  }
  const size_t limit = client.tcp ? kMaximumMessage : query.udp_size;
  if (const auto local = Local(message, query, limit)) return Answer(client, *local);
  if (!config.forward || upstreams.empty() || forwards.size() >= kMaximumForwards) {
    return Answer(client, dns::EmptyAnswer(message, query, dns::Rcode::kServerFailure));
  }
  Forward forward;
  forward.client = client;
  forward.query = message;
  forward.parsed = query;
  forward.upstreams = upstreams;
  StartForward(std::move(forward), now);
}

// The answer when the question is about this host's containers. A name that is known is never asked
// of anybody else, whatever the type.
std::optional<std::string> NameService::State::Local(std::string_view message,
                                                     const dns::Query& query, size_t limit) {
  if (query.query_class != dns::kClassIn) return std::nullopt;
  const auto reverse =
      query.type == dns::kTypePtr ? dns::AddressOfPointerName(query.name) : std::nullopt;
  for (const std::string& path : config.tables) {
    // A table that is missing names nobody: its network may be going away.
    const Result<std::string> text = ReadFile(path, dns::kMaximumNameTable);
    if (!text) continue;
    if (reverse) {
      const std::string name = dns::FindName(*text, *reverse);
      if (!name.empty()) return dns::PointerAnswer(message, query, name, kTtl);
      continue;
    }
    const bool v6 = query.type == dns::kTypeAaaa;
    dns::Found found = dns::FindAddresses(*text, query.name, v6);
    if (!found.known) continue;
    if (query.type != dns::kTypeA && !v6) found.addresses.clear();
    if (found.addresses.size() > 1) {
      // Round robin: each answer begins with the next one.
      const size_t first = rotation++ % found.addresses.size();
      std::rotate(found.addresses.begin(),
                  found.addresses.begin() + static_cast<std::ptrdiff_t>(first),
                  found.addresses.end());
    }
    return dns::AddressAnswer(message, query, found.addresses, kTtl, limit);
  }
  return std::nullopt;
}

void NameService::State::StartForward(Forward forward, BootTime now) {
  while (forward.upstream < forward.upstreams.size()) {
    if (Send(forward, now)) {
      const int fd = forward.socket.get();
      deadlines.emplace(forward.deadline, fd);
      watcher->Watch(fd, forward.client.tcp ? EPOLLIN | EPOLLOUT : EPOLLIN);
      forwards.emplace(fd, std::move(forward));
      return;
    }
    ++forward.upstream;
  }
  Answer(forward.client,
         dns::EmptyAnswer(forward.query, forward.parsed, dns::Rcode::kServerFailure));
}

// Asks the upstream whose turn it is, from a new socket (a random port) with a random id.
bool NameService::State::Send(Forward& forward, BootTime now) {
  const SocketAddress& upstream = forward.upstreams[forward.upstream];
  const int type = forward.client.tcp ? SOCK_STREAM : SOCK_DGRAM;
  forward.socket = Fd(::socket(upstream.storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!forward.socket) return false;
  if (::connect(forward.socket.get(), upstream.get(), upstream.size) != 0 && errno != EINPROGRESS) {
    return false;
  }
  std::string message = forward.query;
  forward.sent_id = RandomId();
  dns::SetId(message, forward.sent_id);
  forward.in.clear();
  forward.out.clear();
  forward.deadline = now + kUpstreamPatience;
  if (forward.client.tcp) {
    forward.out = Framed(message);
    return true;
  }
  return ::send(forward.socket.get(), message.data(), message.size(), MSG_NOSIGNAL) >= 0;
}

NameService::State::Forward NameService::State::Take(int fd) {
  const auto found = forwards.find(fd);
  Forward forward = std::move(found->second);
  forwards.erase(found);
  deadlines.erase({forward.deadline, fd});
  watcher->Unwatch(fd);
  return forward;
}

void NameService::State::Retry(int fd, BootTime now) {
  Forward forward = Take(fd);
  forward.socket.Reset();
  ++forward.upstream;
  StartForward(std::move(forward), now);
}

void NameService::State::OnForward(int fd, BootTime now) {
  Forward& forward = forwards.at(fd);
  std::string answer;
  if (forward.client.tcp) {
    if (WriteSome(fd, forward.out) == Io::kEnd) return Retry(fd, now);
    if (forward.out.empty()) watcher->Watch(fd, EPOLLIN);
    const Io read = ReadSome(fd, forward.in, kMaximumMessage + 2);
    auto frame = TakeFrame(forward.in);
    if (!frame && read == Io::kEnd) return Retry(fd, now);
    if (!frame) return;
    answer = std::move(*frame);
  } else {
    std::array<char, 65536> data;
    const ssize_t n = ::recv(fd, data.data(), data.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) return Retry(fd, now);  // Nobody listens there.
    answer.assign(data.data(), static_cast<size_t>(n));
  }
  // Not an answer to what was asked: forged or late. The right one may still come.
  if (answer.size() < 12 || dns::IdOf(answer) != forward.sent_id ||
      !dns::AnswersQuestion(answer, forward.query, forward.parsed.question_end)) {
    return;
  }
  const dns::Rcode code = dns::RcodeOf(answer);
  const bool last = forward.upstream + 1 >= forward.upstreams.size();
  if (!last && (code == dns::Rcode::kServerFailure || code == dns::Rcode::kRefused)) {
    return Retry(fd, now);
  }
  const Forward done = Take(fd);
  dns::SetId(answer, done.parsed.id);
  Answer(done.client, answer);
}

}  // namespace skiff::net
