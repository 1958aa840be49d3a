#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace skiff::net {

struct PortReservationRequest {
  std::string host_ip;  // "": 0.0.0.0 and [::], the same port on both.
  uint16_t first = 0;   // 0: any free one.
  uint16_t last = 0;    // 0 or `first`: exactly that one; else any free one of the range.
  int protocol = 6;     // IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP
};

// A published port that is ours. It stays so as long as one of the sockets is open: they are passed
// to the container's monitor, which keeps them (and their copies across restarts) until it ends.
// Those of TCP and SCTP listen, so nobody shares them; TIME-WAIT of earlier connections to the port
// does not keep it. Where the kernel forwards the port, they receive nothing.
struct PortReservation {
  std::string host_ip;  // As asked for.
  uint16_t port = 0;
  int protocol = 6;
  Fd v4;  // Invalid: not of this family, or the host has no IPv6.
  Fd v6;  // IPV6_V6ONLY
};

// kAlreadyExists: "Bind for 0.0.0.0:80 failed: port is already allocated"; other failures keep the
// cause. A range or "any" tries the next port. Several requests are all or nothing.
Result<PortReservation> ReservePort(const PortReservationRequest& request);
Result<std::vector<PortReservation>> ReservePorts(std::span<const PortReservationRequest> requests);

// Which socket of a reservation the monitor's relay must serve, because the kernel cannot forward
// what arrives there; -1: none. [::] and ::1 need it when the container has no IPv6 address, and
// ::1 always; 127.0.0.0/8 when the kernel does not route it. A socket of [::] that the kernel
// forwards for other addresses still receives ::1, so it is served whenever it exists.
struct RelayNeed {
  bool v4 = false;
  bool v6 = false;
};
RelayNeed RelayNeedOf(const PortReservation& reservation, bool has_v4, bool has_v6,
                      bool route_loopback);

}  // namespace skiff::net
