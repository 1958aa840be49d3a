#include "netmgr/ports.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/failpoint.h"
#include "netmgr/address.h"

namespace skiff::net {
namespace {

// Tries for a port that is free in both families when the kernel picks it in the first one.
constexpr int kAnyPortAttempts = 64;

int SocketType(int protocol) {
  if (protocol == IPPROTO_UDP) return SOCK_DGRAM;
  return SOCK_STREAM;
}

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t length = 0;
};

SocketAddress MakeSocketAddress(const IpAddress& address, uint16_t port) {
  SocketAddress result;
  if (address.v6) {
    sockaddr_in6 in6 = {};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    std::memcpy(&in6.sin6_addr, address.bytes.data(), 16);
    std::memcpy(&result.storage, &in6, sizeof in6);
    result.length = sizeof in6;
  } else {
    sockaddr_in in4 = {};
    in4.sin_family = AF_INET;
    in4.sin_port = htons(port);
    std::memcpy(&in4.sin_addr, address.bytes.data(), 4);
    std::memcpy(&result.storage, &in4, sizeof in4);
    result.length = sizeof in4;
  }
  return result;
}

std::string BindMessage(const IpAddress& address, uint16_t port) {
  return address.v6 ? fmt::format("Bind for [{}]:{} failed", address.Text(), port)
                    : fmt::format("Bind for {}:{} failed", address.Text(), port);
}

tl::unexpected<Error> BindFailure(const IpAddress& address, uint16_t port, int error_number) {
  if (error_number == EADDRINUSE) {
    return Fail(Code::kAlreadyExists, BindMessage(address, port) + ": port is already allocated");
  }
  return FailErrno(error_number, BindMessage(address, port));
}

Result<Fd> BindSocket(const IpAddress& address, uint16_t port, int protocol) {
  const int family = address.v6 ? AF_INET6 : AF_INET;
  Fd socket(::socket(family, SocketType(protocol) | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!socket) return BindFailure(address, port, errno);
  const int on = 1;
  if (address.v6 && ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) {
    return BindFailure(address, port, errno);
  }
  // Connections that the relay ended stay in TIME-WAIT for a minute: a restart takes the port
  // anyway. Nobody else can, since a socket that listens is not shared.
  if (protocol == IPPROTO_TCP && port != 0 &&
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
    return BindFailure(address, port, errno);
  }
  const SocketAddress where = MakeSocketAddress(address, port);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.length) != 0) {
    return BindFailure(address, port, errno);
  }
  if (protocol != IPPROTO_UDP && ::listen(socket.get(), SOMAXCONN) != 0) {
    return BindFailure(address, port, errno);
  }
  return socket;
}

Result<uint16_t> PortOf(int socket) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof storage;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
    return FailErrno("cannot read the port of a socket");
  }
  // sin_port and sin6_port lie at the same place.
  sockaddr_in in4;
  std::memcpy(&in4, &storage, sizeof in4);
  return ntohs(in4.sin_port);
}

// A host booted with ipv6.disable=1 has no such sockets: publishing on all addresses is then IPv4.
bool LacksFamily(const Error& error) {
  return error.sys_errno == EAFNOSUPPORT || error.sys_errno == EADDRNOTAVAIL;
}

// Reserves exactly `port`, or one that the kernel picks (0), on the addresses of the request.
Result<PortReservation> ReserveExactly(const PortReservationRequest& request,
                                       const std::optional<IpAddress>& address, uint16_t port) {
  PortReservation reservation;
  reservation.host_ip = request.host_ip;
  reservation.protocol = request.protocol;
  const IpAddress first = address.value_or(IpAddress{});
  SKIFF_ASSIGN(Fd bound, BindSocket(first, port, request.protocol));
  SKIFF_ASSIGN(reservation.port, PortOf(bound.get()));
  (first.v6 ? reservation.v6 : reservation.v4) = std::move(bound);
  if (address) return reservation;
  IpAddress any_v6;
  any_v6.v6 = true;
  auto second = BindSocket(any_v6, reservation.port, request.protocol);
  if (second) {
    reservation.v6 = std::move(*second);
  } else if (!LacksFamily(second.error())) {
    return tl::unexpected(second.error());
  }
  return reservation;
}

bool WorthAnotherPort(const Error& error) {
  return error.code == Code::kAlreadyExists;
}

}  // namespace

Result<PortReservation> ReservePort(const PortReservationRequest& request) {
  SKIFF_TRY(Failpoint("netmgr.reserve_port"));
  std::optional<IpAddress> address;
  if (!request.host_ip.empty()) {
    address = IpAddress::Parse(request.host_ip);
    if (!address) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid host IP '{}'", request.host_ip));
    }
  }
  if (request.first == 0) {
    Result<PortReservation> result = ReserveExactly(request, address, 0);
    for (int i = 1; i < kAnyPortAttempts && !result && WorthAnotherPort(result.error()); ++i) {
      result = ReserveExactly(request, address, 0);
    }
    return result;
  }
  const int last = std::max(request.first, request.last);
  for (int port = request.first; port < last; ++port) {
    Result<PortReservation> result = ReserveExactly(request, address, static_cast<uint16_t>(port));
    if (result || !WorthAnotherPort(result.error())) return result;
  }
  return ReserveExactly(request, address, static_cast<uint16_t>(last));
}

Result<std::vector<PortReservation>> ReservePorts(
    std::span<const PortReservationRequest> requests) {
  std::vector<PortReservation> reservations;
  reservations.reserve(requests.size());
  for (const PortReservationRequest& request : requests) {
    SKIFF_ASSIGN(PortReservation reservation, ReservePort(request));
    reservations.push_back(std::move(reservation));
  }
  return reservations;
}

RelayNeed RelayNeedOf(const PortReservation& reservation, bool has_v4, bool has_v6,
                      bool route_loopback) {
  RelayNeed need;
  // The relay carries no SCTP.
  if (reservation.protocol == IPPROTO_SCTP) return need;
  const auto address = IpAddress::Parse(reservation.host_ip);
  const bool takes_loopback = !address || address->IsUnspecified() || address->IsLoopback();
  need.v4 = reservation.v4.valid() && (!has_v4 || (takes_loopback && !route_loopback));
  need.v6 = reservation.v6.valid() && (!has_v6 || takes_loopback);
  return need;
}

}  // namespace skiff::net
