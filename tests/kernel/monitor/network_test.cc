#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <vector>

#include "base/event_loop.h"
#include "netmgr/name_table.h"
#include "tests/kernel/monitor/monitor_fixture.h"

namespace skiff::engine {
namespace {

using std::chrono::seconds;

class NetworkTest : public MonitorTest {
 protected:
  // A socket on a free port of 127.0.0.1.
  static Fd Bound(int type, uint16_t* port) {
    Fd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(socket.get(), 16), 0);
    }
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    *port = ntohs(address.sin_port);
    return socket;
  }
  static Fd Connected(int type, uint16_t port) {
    Fd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      return Fd();
    return socket;
  }
  // The last four bytes of the answer to an A query for a one-label name: its address.
  static std::string Ask(uint16_t port, const std::string& name) {
    const Fd socket = Connected(SOCK_DGRAM, port);
    std::string query("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
    query += static_cast<char>(name.size());
    query += name;
    query += std::string("\x00\x00\x01\x00\x01", 5);
    EXPECT_EQ(::send(socket.get(), query.data(), query.size(), 0),
              static_cast<ssize_t>(query.size()));
    pollfd watched = {socket.get(), POLLIN, 0};
    if (::poll(&watched, 1, 10'000) != 1) return "no answer";
    char answer[512];
    const ssize_t n = ::recv(socket.get(), answer, sizeof answer, 0);
    if (n < 12 || answer[7] == 0) return "none";
    in_addr address = {};
    std::memcpy(&address, answer + n - 4, 4);
    return ::inet_ntoa(address);
  }
};

TEST_F(NetworkTest, NamesAreAnsweredAndLeaveWithTheContainer) {
  const std::string table = folder() + "/net.names";
  const std::vector<net::NameEntry> entries = {{"ep-self", "172.30.0.2", "", {"web", "alias"}},
                                               {"ep-other", "172.30.0.3", "", {"db"}}};
  ASSERT_TRUE(net::WriteNameTable(table, "shop_default", entries));
  RuntimeSpec spec = ShellSpec("exec sleep 1000");
  spec.dns.enabled = true;
  spec.dns.tables = {table};
  spec.dns.endpoints = {"ep-self"};
  spec.dns.forward = false;
  uint16_t udp_port = 0;
  uint16_t tcp_port = 0;
  const Fd udp = Bound(SOCK_DGRAM, &udp_port);
  const Fd tcp = Bound(SOCK_STREAM, &tcp_port);
  Launcher::Request request;
  request.dns_udp = udp.get();
  request.dns_tcp = tcp.get();
  LaunchedMonitor& monitor = Launch(spec, request);
  EXPECT_EQ(Ask(udp_port, "db"), "172.30.0.3");
  EXPECT_EQ(Ask(udp_port, "web"), "172.30.0.2");
  // In another network now.
  const std::string second = folder() + "/second.names";
  ASSERT_TRUE(net::WriteNameTable(
      second, "other", std::vector<net::NameEntry>{{"ep-2", "172.31.0.9", "", {"cache"}}}));
  DnsSpec dns = spec.dns;
  dns.tables = {table, second};
  dns.endpoints = {"ep-self", "ep-2"};
  ASSERT_TRUE(monitor.client().UpdateNames(dns));
  EXPECT_EQ(Ask(udp_port, "cache"), "172.31.0.9");
  ASSERT_TRUE(monitor.client().Stop(SIGKILL, seconds(0)));
  EXPECT_EQ(net::ReadNameTable(table).value(), std::vector<net::NameEntry>{entries[1]});
  EXPECT_TRUE(net::ReadNameTable(second)->empty());
}

TEST_F(NetworkTest, ARestartKeepsTheNames) {
  const std::string table = folder() + "/net.names";
  const std::vector<net::NameEntry> entries = {{"ep-self", "172.30.0.2", "", {"web"}}};
  ASSERT_TRUE(net::WriteNameTable(table, "shop_default", entries));
  RuntimeSpec spec = ShellSpec("exec sleep 1000");
  spec.dns.tables = {table};
  spec.dns.endpoints = {"ep-self"};
  LaunchedMonitor& monitor = Launch(spec);
  ASSERT_TRUE(monitor.client().Restart(SIGKILL, seconds(0)));
  EXPECT_EQ(net::ReadNameTable(table).value(), entries);
}

TEST_F(NetworkTest, PortsAreHeldAndRelayedUntilTheEnd) {
  uint16_t target_port = 0;
  const Fd target = Bound(SOCK_STREAM, &target_port);
  uint16_t relayed_port = 0;
  uint16_t held_port = 0;
  Fd relayed = Bound(SOCK_STREAM, &relayed_port);
  Fd held = Bound(SOCK_STREAM, &held_port);
  RuntimeSpec spec = ShellSpec("exec sleep 1000");
  spec.ports = {{true, "127.0.0.1", target_port, IPPROTO_TCP}, {false, "", 0, IPPROTO_TCP}};
  Launcher::Request request;
  request.ports = {relayed.get(), held.get()};
  LaunchedMonitor& monitor = Launch(spec, request);
  relayed.Reset();
  held.Reset();
  const Fd client = Connected(SOCK_STREAM, relayed_port);
  ASSERT_TRUE(client);
  const Fd server(::accept4(target.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(server);
  ASSERT_TRUE(WriteAll(client.get(), "ping", "client"));
  EXPECT_EQ(ReadUntil(server.get(), [](const std::string& text) { return text.size() >= 4; }),
            "ping");
  ASSERT_TRUE(WriteAll(server.get(), "pong", "server"));
  EXPECT_EQ(ReadUntil(client.get(), [](const std::string& text) { return text.size() >= 4; }),
            "pong");
  EXPECT_TRUE(Connected(SOCK_STREAM, held_port)) << "the monitor holds the port";
  ASSERT_TRUE(monitor.client().Stop(SIGKILL, seconds(0)));
  EXPECT_FALSE(Connected(SOCK_STREAM, relayed_port));
  EXPECT_FALSE(Connected(SOCK_STREAM, held_port));
}

TEST_F(NetworkTest, TheNetworkNamespaceIsHandedOut) {
  const Fd network(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  RuntimeSpec spec = ShellSpec("exec sleep 1000");
  spec.network.mode = NamespaceMode::kNew;
  Launcher::Request request;
  request.network_namespace = network.get();
  LaunchedMonitor& monitor = Launch(spec, request);
  ASSERT_EQ(monitor.report.error, "");
  const Result<Fd> handed = monitor.client().NetworkNamespace();
  ASSERT_TRUE(handed) << handed.error().Text();
  struct stat ours = {};
  struct stat theirs = {};
  ASSERT_EQ(::fstat(network.get(), &ours), 0);
  ASSERT_EQ(::fstat(handed->get(), &theirs), 0);
  EXPECT_EQ(ours.st_ino, theirs.st_ino);
}

}  // namespace
}  // namespace skiff::engine
