#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/fd.h"
#include "netmgr/firewall.h"
#include "netmgr/host_network.h"
#include "netmgr/network.h"

namespace skiff::net::testing {

constexpr char kRootHash[] = "7e57ab1e";
// The machine outside and this host on the link between them.
constexpr char kOutside[] = "192.0.2.1";
constexpr char kHost[] = "192.0.2.2";
// How long a test waits for what must not happen, and for what must.
constexpr auto kNever = std::chrono::milliseconds(250);
constexpr auto kSoon = std::chrono::milliseconds(3000);

struct Box {
  Fd ns;
  EndpointSpec endpoint;
};

// A host of its own: the test's thread lives in a fresh network namespace, with one more as the
// machine outside. Nothing touches the links or rules of the real one.
class PrivateHost : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Runs `work` in a namespace, on a thread of its own.
  static void In(const Fd& ns, const std::function<void()>& work);

  BridgeSpec Network(int number, bool v6 = false, bool internal = false);
  // A network with its bridge and its place in the firewall.
  BridgeSpec UseNetwork(int number, bool v6 = false, bool internal = false);
  // A namespace with eth0 at the address .<last> of the network.
  Box Start(const BridgeSpec& network, int last);
  void ApplyFirewall();
  void PublishTcp(const std::string& host_ip, uint16_t port, const Box& box);

  // Sockets made in a namespace; the fixture's own (the host's) without one.
  static Fd Listen(const Fd& ns, const std::string& address, uint16_t port, int type = SOCK_STREAM);
  static Fd Connect(const Fd& ns, const std::string& address, uint16_t port,
                    std::chrono::milliseconds patience);
  static Fd Datagrams(const Fd& ns);
  static void SendTo(const Fd& socket, const std::string& address, uint16_t port,
                     const std::string& data);
  static bool Readable(const Fd& socket, std::chrono::milliseconds patience);
  // Connects to a listening socket, sends a byte through; who the server saw, or nothing.
  static std::optional<std::string> Reaches(const Fd& client_ns, const std::string& address,
                                            uint16_t port, const Fd& server,
                                            std::chrono::milliseconds patience = kSoon);
  static size_t LinkCount();

  Fd home_;
  Fd host_ns_;
  Fd outside_;
  std::unique_ptr<HostNetwork> network_;
  std::unique_ptr<Firewall> firewall_;
};

}  // namespace skiff::net::testing
