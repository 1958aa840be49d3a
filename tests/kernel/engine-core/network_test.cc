#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "base/atomic_file.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "tests/kernel/engine-core/engine_fixture.h"

namespace skiff::engine {
namespace {

// A plain TCP question from the host.
std::string AskOnce(const std::string& address, uint16_t port) {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  timeval limit{5, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
    return "no connection";
  return ReadAll(socket.get(), 1 << 16, "answer").value_or("no answer");
}

// A program that has been executed does not listen yet: a refusal is asked again for a while.
std::string Ask(const std::string& address, uint16_t port) {
  const BootTime deadline = Now() + std::chrono::seconds(5);
  std::string answer;
  do {
    answer = AskOnce(address, port);
    if (!answer.empty() && answer != "no connection") break;
    ::poll(nullptr, 0, 10);
  } while (Now() < deadline);
  return answer;
}

class EngineNetworkTest : public EngineTest {
 protected:
  std::string MakeNetwork(const std::string& name) {
    NetworkConfig config;
    config.name = name;
    const auto network = engine_->CreateNetwork(config);
    EXPECT_TRUE(network) << network.error().Text();
    return network ? network->id : "";
  }
  ContainerConfig InNetwork(ContainerConfig config, const std::string& network,
                            std::vector<std::string> aliases = {}) {
    config.network_mode.clear();
    EndpointRequest endpoint;
    endpoint.network = network;
    endpoint.aliases = std::move(aliases);
    config.endpoints = {endpoint};
    return config;
  }
};

// True when the kernel tracks a connection that speaks of `address`.
bool IsTracked(const std::string& address) {
  const std::string table = ReadFile("/proc/net/nf_conntrack", 1 << 24).value_or("");
  return table.find("=" + address + " ") != std::string::npos;
}

TEST_F(EngineNetworkTest, NothingIsTrackedOfTheLastOwnerOfAnAddress) {
  MakeNetwork("net");
  const auto start = [&](const std::string& name) {
    Run(InNetwork(Sleeper(name), "net"));
    const auto container = engine_->InspectContainer(name);
    EXPECT_TRUE(container);
    return container ? container->endpoints[0].ipv4_address : "";
  };
  const std::string address = start("first");
  // Its module comes with the first network.
  if (::access("/proc/net/nf_conntrack", R_OK) != 0) {
    GTEST_SKIP() << "the kernel does not show what it tracks";
  }
  EXPECT_FALSE(IsTracked(address));
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  ASSERT_EQ(::sendto(socket.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 1);
  ASSERT_TRUE(IsTracked(address));
  ASSERT_TRUE(engine_->RemoveContainer("first", {true, false}));
  EXPECT_TRUE(IsTracked(address));
  EXPECT_EQ(start("second"), address);
  EXPECT_FALSE(IsTracked(address));
}

TEST_F(EngineNetworkTest, ContainersFindEachOtherByNameAndAlias) {
  const auto before = KernelObjects(Options().root);
  MakeNetwork("net");
  Run(InNetwork(Shell("server", "while true; do echo from-$(hostname) | nc -l -p 7000; done"),
                "net", {"service"}));
  Run(InNetwork(Sleeper("client"), "net"));
  const auto by_name = ExecShell("client", "nc -w 3 server 7000 < /dev/null");
  EXPECT_EQ(by_name.second.substr(0, 5), "from-") << by_name.second;
  const auto by_alias = ExecShell("client", "nslookup service 2>&1");
  const auto server = engine_->InspectContainer("server");
  ASSERT_TRUE(server);
  EXPECT_NE(by_alias.second.find(server->endpoints[0].ipv4_address), std::string::npos)
      << by_alias.second;
  for (const char* name : {"server", "client"}) {
    const auto removed = engine_->RemoveContainer(name, {true, false});
    ASSERT_TRUE(removed) << removed.error().Text();
  }
  const auto removed = engine_->RemoveNetwork("net");
  ASSERT_TRUE(removed) << removed.error().Text();
  const auto committed = engine_->Commit();
  ASSERT_TRUE(committed) << committed.error().Text();
  ExpectNothingLeft(before, Options().root);
}

TEST_F(EngineNetworkTest, PublishedPortAnswersAndIsFreeAfterwards) {
  MakeNetwork("net");
  ContainerConfig config =
      InNetwork(Shell("web", "while true; do echo hello | nc -l -p 80; done"), "net");
  PortRequest port;
  port.container_port = 80;
  port.host_ip = "127.0.0.1";
  config.ports = {port};
  Run(config);
  const auto container = engine_->InspectContainer("web");
  ASSERT_TRUE(container);
  ASSERT_EQ(container->ports.size(), 1u);
  const uint16_t host_port = container->ports[0].host_port;
  ASSERT_NE(host_port, 0);
  EXPECT_EQ(Ask("127.0.0.1", host_port), "hello\n");

  ContainerConfig second = InNetwork(Sleeper("late"), "net");
  port.host_port = host_port;
  second.ports = {port};
  ASSERT_TRUE(engine_->CreateContainer(second));
  const auto refused = engine_->StartContainer("late");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "Bind for 127.0.0.1:" + std::to_string(host_port) +
                                         " failed: port is already allocated");
  EXPECT_EQ(engine_->InspectContainer("late")->state.status, ContainerStatus::kCreated);
  ASSERT_TRUE(engine_->StopContainer("web", {"KILL", std::nullopt}));
  const auto started = engine_->StartContainer("late");
  EXPECT_TRUE(started) << started.error().Text();
}

TEST_F(EngineNetworkTest, PortsLeadToTheNetworkThatHasAWayOut) {
  NetworkConfig inner;
  inner.name = "inner";
  inner.internal = true;
  ASSERT_TRUE(engine_->CreateNetwork(inner));
  MakeNetwork("outer");
  ContainerConfig config =
      InNetwork(Shell("web", "while true; do echo hello | nc -l -p 80; done"), "inner");
  EndpointRequest outer;
  outer.network = "outer";
  config.endpoints.push_back(outer);
  PortRequest port;
  port.container_port = 80;
  config.ports = {port};
  Run(config);
  const auto container = engine_->InspectContainer("web");
  ASSERT_TRUE(container);
  // All addresses are told as one of each family that the host has.
  ASSERT_FALSE(container->ports.empty());
  EXPECT_EQ(container->ports[0].host_ip, "0.0.0.0");
  if (container->ports.size() > 1) {
    EXPECT_EQ(container->ports[1].host_ip, "::");
    EXPECT_EQ(container->ports[1].host_port, container->ports[0].host_port);
  }
  EXPECT_EQ(Ask("127.0.0.1", container->ports[0].host_port), "hello\n");
}

TEST_F(EngineNetworkTest, DefaultBridgeReachesTheHost) {
  ContainerConfig config = Sleeper("plain");
  config.network_mode = "bridge";
  Run(config);
  const auto container = engine_->InspectContainer("plain");
  ASSERT_TRUE(container);
  ASSERT_EQ(container->endpoints.size(), 1u);
  EXPECT_EQ(ExecShell("plain", "ping -c 1 -W 2 " + container->endpoints[0].ipv4_gateway +
                                   " > /dev/null && echo reached")
                .second,
            "reached\n");
}

TEST_F(EngineNetworkTest, SharedNetworkOfAContainer) {
  MakeNetwork("net");
  const std::string id = Run(InNetwork(Sleeper("owner"), "net"));
  ContainerConfig guest = Sleeper("guest");
  guest.network_mode = "container:" + id;
  Run(guest);
  EXPECT_EQ(ExecShell("guest", "ip -4 addr show eth0 | grep inet").second,
            ExecShell("owner", "ip -4 addr show eth0 | grep inet").second);
}

TEST_F(EngineNetworkTest, NetworkInUseIsNotRemovedAndLiveConnectWorks) {
  MakeNetwork("first");
  MakeNetwork("second");
  Run(InNetwork(Sleeper("both"), "first"));
  const auto refused = engine_->RemoveNetwork("first");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("has active endpoints"), std::string::npos);
  EndpointRequest request;
  request.network = "second";
  const auto connected = engine_->ConnectNetwork("both", request);
  ASSERT_TRUE(connected) << connected.error().Text();
  EXPECT_EQ(ExecShell("both", "ip -4 addr show eth1 > /dev/null && echo there").second, "there\n");
  const auto disconnected = engine_->DisconnectNetwork("both", "second");
  ASSERT_TRUE(disconnected) << disconnected.error().Text();
  EXPECT_EQ(ExecShell("both", "ip -4 addr show eth1 2> /dev/null || echo gone").second, "gone\n");
  EXPECT_TRUE(engine_->RemoveNetwork("second"));
}

TEST_F(EngineNetworkTest, ParallelStartsGetDifferentAddresses) {
  MakeNetwork("net");
  std::vector<std::string> ids(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < ids.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto created =
          engine_->CreateContainer(InNetwork(Sleeper("p-" + std::to_string(i)), "net", {"p"}));
      ASSERT_TRUE(created) << created.error().Text();
      ids[i] = created->id;
      const auto started = engine_->StartContainer(created->id);
      ASSERT_TRUE(started) << started.error().Text();
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(engine_->Commit());
  std::set<std::string> addresses;
  for (const std::string& id : ids) {
    addresses.insert(engine_->InspectContainer(id)->endpoints[0].ipv4_address);
  }
  EXPECT_EQ(addresses.size(), ids.size());
}

}  // namespace
}  // namespace skiff::engine
