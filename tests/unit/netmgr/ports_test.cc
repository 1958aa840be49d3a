#include "netmgr/ports.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace skiff::net {
namespace {

constexpr char kAlone[] = "127.83.7.1";  // Nobody else's loopback address.

TEST(PortsTest, AReservedPortIsTaken) {
  const auto first = ReservePort({kAlone, 0, 0, IPPROTO_TCP});
  ASSERT_TRUE(first) << first.error().Text();
  EXPECT_NE(first->port, 0);
  EXPECT_TRUE(first->v4.valid());
  EXPECT_FALSE(first->v6.valid());
  const auto second = ReservePort({kAlone, first->port, 0, IPPROTO_TCP});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().Text(), std::string("Bind for ") + kAlone + ":" +
                                       std::to_string(first->port) +
                                       " failed: port is already allocated");
  EXPECT_EQ(second.error().code, Code::kAlreadyExists);
  EXPECT_TRUE(ReservePort({kAlone, first->port, 0, IPPROTO_UDP})) << "another protocol is free";
}

TEST(PortsTest, NobodyWithReuseaddrGetsIt) {
  const auto reserved = ReservePort({kAlone, 0, 0, IPPROTO_TCP}).value();
  const Fd other(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ASSERT_EQ(::setsockopt(other.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  sockaddr_in where = {};
  where.sin_family = AF_INET;
  where.sin_port = htons(reserved.port);
  EXPECT_NE(::bind(other.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
}

TEST(PortsTest, ConnectionsThatEndedDoNotKeepThePort) {
  auto reserved = ReservePort({kAlone, 0, 0, IPPROTO_TCP}).value();
  const uint16_t port = reserved.port;
  // Any free port was ours once; as in a restart, it is asked for by its number from now on.
  reserved = {};
  reserved = ReservePort({kAlone, port, 0, IPPROTO_TCP}).value();
  sockaddr_in where = {};
  socklen_t size = sizeof where;
  ASSERT_EQ(::getsockname(reserved.v4.get(), reinterpret_cast<sockaddr*>(&where), &size), 0);
  Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
  Fd served(::accept4(reserved.v4.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(served.valid());
  // The side that closes first has the port in TIME-WAIT.
  served.Reset();
  client.Reset();
  reserved = {};
  const auto again = ReservePort({kAlone, port, 0, IPPROTO_TCP});
  EXPECT_TRUE(again) << again.error().Text();
}

TEST(PortsTest, ARangeGivesTheNextFreePort) {
  auto first = ReservePort({kAlone, 0, 0, IPPROTO_TCP}).value();
  if (first.port == 65535) GTEST_SKIP() << "no port after the last one";
  const auto next =
      ReservePort({kAlone, first.port, static_cast<uint16_t>(first.port + 1), IPPROTO_TCP});
  ASSERT_TRUE(next) << next.error().Text();
  EXPECT_EQ(next->port, first.port + 1);
  const auto none =
      ReservePort({kAlone, first.port, static_cast<uint16_t>(first.port + 1), IPPROTO_TCP});
  EXPECT_EQ(none.error().code, Code::kAlreadyExists);
}

TEST(PortsTest, AllAddressesMeansBothFamiliesOnOnePort) {
  const auto reserved = ReservePort({"", 0, 0, IPPROTO_UDP});
  ASSERT_TRUE(reserved) << reserved.error().Text();
  EXPECT_TRUE(reserved->v4.valid());
  if (!reserved->v6.valid()) GTEST_SKIP() << "this host has no IPv6";
  sockaddr_in6 bound = {};
  socklen_t size = sizeof bound;
  ASSERT_EQ(::getsockname(reserved->v6.get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
  EXPECT_EQ(ntohs(bound.sin6_port), reserved->port);
}

TEST(PortsTest, SeveralAreAllOrNothing) {
  const uint16_t port = ReservePort({kAlone, 0, 0, IPPROTO_TCP})->port;
  const PortReservationRequest requests[] = {{kAlone, port, 0, IPPROTO_TCP},
                                             {kAlone, port, 0, IPPROTO_TCP}};
  EXPECT_FALSE(ReservePorts(requests));
  EXPECT_TRUE(ReservePort(requests[0])) << "free again";
}

TEST(PortsTest, OtherFailuresKeepTheirCause) {
  // An address that no host has (RFC 5737).
  const auto result = ReservePort({"203.0.113.77", 8080, 0, IPPROTO_TCP});
  EXPECT_EQ(result.error().Text(),
            "Bind for 203.0.113.77:8080 failed: Cannot assign requested address");
  EXPECT_EQ(ReservePort({"x", 80, 0, IPPROTO_TCP}).error().Text(), "invalid host IP 'x'");
}

TEST(PortsTest, WhatTheRelayServes) {
  const auto need = [](const char* host_ip, bool v4_socket, bool v6_socket, bool has_v6,
                       bool route_loopback) {
    PortReservation reservation;
    reservation.host_ip = host_ip;
    if (v4_socket) reservation.v4 = Fd(::dup(0));
    if (v6_socket) reservation.v6 = Fd(::dup(0));
    const RelayNeed result = RelayNeedOf(reservation, true, has_v6, route_loopback);
    return std::pair(result.v4, result.v6);
  };
  EXPECT_EQ(need("", true, true, false, true), std::pair(false, true));
  EXPECT_EQ(need("", true, true, true, true), std::pair(false, true)) << "::1";
  EXPECT_EQ(need("", true, true, true, false), std::pair(true, true)) << "127.0.0.1";
  EXPECT_EQ(need("127.0.0.1", true, false, false, true), std::pair(false, false));
  EXPECT_EQ(need("127.0.0.1", true, false, false, false), std::pair(true, false));
  EXPECT_EQ(need("192.0.2.2", true, false, false, false), std::pair(false, false));
  EXPECT_EQ(need("2001:db8::1", false, true, true, true), std::pair(false, false));
  EXPECT_EQ(need("2001:db8::1", false, true, false, true), std::pair(false, true));
}

}  // namespace
}  // namespace skiff::net
