// Names, aliases, published ports, the way out, and the networks that are none.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/identity.h"
#include "tests/e2e/support/kernel_snapshot.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;

class NetworksTest : public SkiffTest {
 protected:
  // Addresses that a name has inside a service.
  std::multiset<std::string> Lookup(const std::string& service, const std::string& name) {
    const Outcome outcome = Skiff(
        {"exec", "-T", service, "sh", "-c",
         "nslookup " + name + " | awk '/^Name:/ {inside = 1} inside && /^Address: / {print $2}'"});
    return LineSet(outcome.out);
  }
  std::string Address(const std::string& container) {
    return Inspect(container, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
  }
};

TEST_F(NetworksTest, NamesAliasesAndReplicas) {
  WriteProject(R"(name: net
services:
  client: {image: "busybox:latest", command: sleep 1000, init: true}
  server:
    image: busybox:latest
    command: sleep 1000
    init: true
    scale: 2
    networks:
      default:
        aliases: [other]
)");
  Succeed({"up", "-d"});
  const std::string one = Address("net-server-1"), two = Address("net-server-2");
  EXPECT_EQ(Lookup("client", "server"), (std::multiset<std::string>{one, two}));
  EXPECT_EQ(Lookup("client", "other"), (std::multiset<std::string>{one, two}));
  EXPECT_EQ(Lookup("client", "net-server-2"), (std::multiset<std::string>{two}));
  EXPECT_EQ(Lookup("client", Inspect("net-server-1", "{{.Config.Hostname}}")),
            (std::multiset<std::string>{one}));
  EXPECT_EQ(Lookup("client", "nonesuch"), (std::multiset<std::string>{}));

  // Those that come later are known at once, those that went are not.
  Succeed({"scale", "server=3"});
  EXPECT_EQ(Lookup("client", "server").size(), 3U);
  Succeed({"scale", "server=1"});
  EXPECT_EQ(Lookup("client", "server"), (std::multiset<std::string>{one}));
}

TEST_F(NetworksTest, SeparateNetworksAreIsolated) {
  WriteProject(R"(name: net
services:
  a: {image: "busybox:latest", command: sleep 1000, init: true, networks: [one]}
  b: {image: "busybox:latest", command: "nc -ll -p 9000 -e echo b", networks: [two], init: true}
  both: {image: "busybox:latest", command: sleep 1000, init: true, networks: [one, two]}
networks: {one: {}, two: {}}
)");
  Succeed({"up", "-d"});
  EXPECT_EQ(Lookup("a", "b"), (std::multiset<std::string>{}));
  EXPECT_EQ(Lookup("both", "a").size(), 1U);
  EXPECT_EQ(Lookup("both", "b").size(), 1U);
  const std::string b = Address("net-b-1");
  EXPECT_EQ(Succeed({"exec", "-T", "both", "nc", "-w", "2", b, "9000"}), "b\n");
  EXPECT_NE(Skiff({"exec", "-T", "a", "timeout", "1", "nc", "-w", "1", b, "9000"}).exit_code, 0);
}

TEST_F(NetworksTest, PublishedPortsAnswerWhereTheyShould) {
  WriteProject(R"(name: net
services:
  web:
    image: busybox:latest
    command: sh -c 'mkdir -p /www && echo page > /www/index.html && exec httpd -f -h /www -p 80'
    init: true
    ports: ["127.0.0.1:18093:80", "18094:80", "80"]
)");
  Succeed({"up", "-d"});
  ASSERT_TRUE(Eventually([&] { return HttpGet(Address("net-web-1"), 80) == "page\n"; }));
  EXPECT_EQ(HttpGet("127.0.0.1", 18093), "page\n");
  EXPECT_EQ(HttpGet("127.0.0.1", 18094), "page\n");
  EXPECT_EQ(Succeed({"port", "web", "80", "--index", "1"}).empty(), false);
  const std::string free = Inspect(
      "net-web-1", "{{range (index .NetworkSettings.Ports \"80/tcp\")}}{{.HostPort}} {{end}}");
  EXPECT_THAT(free, HasSubstr("18093"));
  EXPECT_THAT(free, HasSubstr("18094"));
  EXPECT_THAT(Succeed({"ps"}), HasSubstr("127.0.0.1:18093->80/tcp"));
  Succeed({"down"});
  EXPECT_EQ(HttpGet("127.0.0.1", 18093), "");
}

TEST_F(NetworksTest, PublishedUdpPortAnswers) {
  // busybox has no server for datagrams: the program comes from outside.
  WriteProject(
      "name: net\nservices:\n  echo:\n    image: busybox:latest\n    command: /udp_echo 9001\n"
      "    init: true\n    ports: [\"127.0.0.1:18095:9001/udp\"]\n"
      "    volumes: [\"" SKIFF_TEST_UDP_ECHO ":/udp_echo:ro\"]\n");
  Succeed({"up", "-d"});
  EXPECT_EQ(Succeed({"port", "--protocol", "udp", "echo", "9001"}), "127.0.0.1:18095\n");
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct timeval limit = {0, 200'000};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(18095);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  ASSERT_EQ(connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  char answer[16] = {};
  EXPECT_TRUE(Eventually([&] {
    return send(socket.get(), "ping", 4, 0) == 4 && recv(socket.get(), answer, 16, 0) == 4;
  }));
  EXPECT_STREQ(answer, "ping");
}

TEST_F(NetworksTest, NoneAndHost) {
  WriteProject(R"(name: net
services:
  none: {image: "busybox:latest", command: sleep 1000, init: true, network_mode: none}
  host: {image: "busybox:latest", command: sleep 1000, init: true, network_mode: host}
)");
  Succeed({"up", "-d"});
  EXPECT_EQ(Succeed({"exec", "-T", "none", "sh", "-c", "ip -o link | wc -l"}), "1\n");
  EXPECT_EQ(Succeed({"exec", "-T", "host", "readlink", "/proc/self/ns/net"}),
            RunCommand({"readlink", "/proc/self/ns/net"}).out);
}

TEST_F(NetworksTest, HostnameHostsAndExtraHosts) {
  WriteProject(R"(name: net
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    hostname: boat
    extra_hosts: ["island=10.1.2.3"]
)");
  Succeed({"up", "-d"});
  EXPECT_EQ(Succeed({"exec", "-T", "web", "hostname"}), "boat\n");
  const std::string hosts = Succeed({"exec", "-T", "web", "cat", "/etc/hosts"});
  EXPECT_THAT(hosts, HasSubstr("10.1.2.3\tisland"));
  EXPECT_THAT(hosts, HasSubstr(Address("net-web-1") + "\tboat"));
}

// A machine beyond this one: a namespace behind a link, without a route back to any container.
class OutsideTest : public NetworksTest {
 protected:
  void SetUp() override {
    if (UsesHostNetwork()) GTEST_SKIP() << "would change the machine's own links";
    NetworksTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    name_ = "skiff-outside-" + RandomHex(3);
    for (const Words& words : std::vector<Words>{
             {"ip", "netns", "add", name_},
             {"ip", "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns",
              name_},
             {"ip", "address", "add", "192.0.2.1/24", "dev", "outside"},
             {"ip", "link", "set", "outside", "up"},
             {"ip", "netns", "exec", name_, "ip", "address", "add", "192.0.2.2/24", "dev", "eth0"},
             {"ip", "netns", "exec", name_, "ip", "link", "set", "eth0", "up"}}) {
      ASSERT_THAT(RunCommand(words), Succeeds());
    }
  }
  void TearDown() override {
    if (!name_.empty()) {
      RunCommand({"ip", "link", "delete", "outside"});
      RunCommand({"ip", "netns", "delete", name_});
    }
    NetworksTest::TearDown();
  }
  std::string name_;
};

TEST_F(OutsideTest, ContainersReachTheOutsideBehindTheMachinesAddress) {
  WriteProject(
      "name: net\nservices:\n  web: {image: \"busybox:latest\", command: sleep 1000,"
      " init: true}\n");
  Succeed({"up", "-d"});
  ProcessOptions options;
  options.environment = CleanEnvironment();
  Process listener = Process::Start(
      {"ip", "netns", "exec", name_, "busybox", "nc", "-ll", "-p", "9100", "-e", "echo", "outside"},
      options);
  EXPECT_TRUE(Eventually(
      [&] {
        return Skiff({"exec", "-T", "web", "nc", "-w", "1", "192.0.2.2", "9100"}).out ==
               "outside\n";
      },
      5s));
  listener.Signal(9);
  listener.Finish();
}

TEST_F(OutsideTest, PortsPublishedOnLoopbackAreUnreachableFromOutside) {
  WriteProject(R"(name: net
services:
  web:
    image: busybox:latest
    command: nc -ll -p 80 -e echo page
    init: true
    ports: ["127.0.0.1:18096:80", "192.0.2.1:18097:80"]
)");
  Succeed({"up", "-d"});
  const auto ask = [&](const std::string& port) {
    return RunCommand({"ip", "netns", "exec", name_, "busybox", "timeout", "2", "busybox", "nc",
                       "-w", "1", "192.0.2.1", port})
        .out;
  };
  EXPECT_TRUE(Eventually([&] { return ask("18097") == "page\n"; }, 5s));
  EXPECT_EQ(ask("18096"), "");
}

// First packet: a connection made by the first instruction of a container succeeds at once.
TEST_F(NetworksTest, FirstConnectRightAfterStart) {
  WriteProject(R"(name: net
services:
  server: {image: "busybox:latest", command: nc -ll -p 9000 -e echo served, init: true}
)");
  Succeed({"up", "-d"});
  const std::string server = Address("net-server-1");
  ASSERT_TRUE(Eventually([&] {
    return Skiff({"exec", "-T", "server", "nc", "-w", "1", "127.0.0.1", "9000"}).out == "served\n";
  }));
  for (int i = 0; i < 20; ++i) {
    const Outcome outcome = Skiff({"docker", "run", "--rm", "--network", "net_default",
                                   "busybox:latest", "nc", "-w", "1", server, "9000"});
    EXPECT_EQ(outcome.out, "served\n") << outcome;
  }
}

}  // namespace
}  // namespace skiff::e2e
