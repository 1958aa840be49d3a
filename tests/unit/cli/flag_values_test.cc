#include "cli/flag_values.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>

namespace skiff::cli {
namespace {

// "ip host[-last] -> container/protocol"
std::string Describe(const engine::PortRequest& port) {
  return fmt::format("{}|{}|{}|{}/{}", port.host_ip, port.host_port, port.host_port_last,
                     port.container_port, engine::ProtocolName(port.protocol));
}

template <typename Value>
std::string Message(const Result<Value>& result) {
  return result ? "no error" : result.error().message;
}

TEST(ParsePublish, Rows) {
  const std::pair<std::string, std::vector<std::string>> rows[] = {
      {"80", {"|0|0|80/tcp"}},
      {"8080:80", {"|8080|0|80/tcp"}},
      {"8080:80/udp", {"|8080|0|80/udp"}},
      {"127.0.0.1:8080:80", {"127.0.0.1|8080|0|80/tcp"}},
      {"127.0.0.1::80", {"127.0.0.1|0|0|80/tcp"}},
      {"[::1]:8080:80", {"::1|8080|0|80/tcp"}},
      {"::1:8080:80", {"::1|8080|0|80/tcp"}},
      {"8080-8081:80-81", {"|8080|0|80/tcp", "|8081|0|81/tcp"}},
      {"8080-8090:80", {"|8080|8090|80/tcp"}},
      {"80-81", {"|0|0|80/tcp", "|0|0|81/tcp"}},
  };
  for (const auto& [text, expected] : rows) {
    const auto ports = ParsePublish(text);
    ASSERT_TRUE(ports) << text << ": " << Message(ports);
    std::vector<std::string> found;
    for (const auto& port : *ports) found.push_back(Describe(port));
    EXPECT_EQ(found, expected) << text;
  }
}

TEST(ParsePublish, Mistakes) {
  EXPECT_EQ(Message(ParsePublish("80800:80")), "invalid hostPort: 80800");
  EXPECT_EQ(Message(ParsePublish("80:0")), "invalid containerPort: 0");
  EXPECT_EQ(Message(ParsePublish("80:x")), "invalid containerPort: x");
  EXPECT_EQ(Message(ParsePublish("1.2.3:80:80")), "invalid IP address: 1.2.3");
  EXPECT_EQ(Message(ParsePublish("80/icmp")), "invalid proto: icmp");
  EXPECT_EQ(Message(ParsePublish("80-82:80-81")),
            "invalid ranges specified for container and host Ports: 80-81 and 80-82");
  EXPECT_EQ(Message(ParsePublish("8080:")), "no port specified: 8080:<empty>");
}

TEST(ParseVolume, Rows) {
  using engine::MountKind;
  struct Row {
    std::string text;
    MountKind kind;
    std::string source, target;
    bool read_only = false;
  };
  const Row rows[] = {
      {"/data", MountKind::kVolume, "", "/data"},
      {"db:/data", MountKind::kVolume, "db", "/data"},
      {"db:/data:ro", MountKind::kVolume, "db", "/data", true},
      {"/srv:/data:ro,rslave", MountKind::kBind, "/srv", "/data", true},
      {"./x:/data", MountKind::kBind, "/here/x", "/data"},
      {"../x:/data", MountKind::kBind, "/here/../x", "/data"},
      {".:/data", MountKind::kBind, "/here", "/data"},
  };
  for (const Row& row : rows) {
    const auto mount = ParseVolume(row.text, "/here");
    ASSERT_TRUE(mount) << row.text << ": " << Message(mount);
    EXPECT_EQ(mount->kind, row.kind) << row.text;
    EXPECT_EQ(mount->source, row.source) << row.text;
    EXPECT_EQ(mount->target, row.target) << row.text;
    EXPECT_EQ(mount->read_only, row.read_only) << row.text;
    EXPECT_EQ(mount->create_host_path, row.kind == MountKind::kBind) << row.text;
  }
}

TEST(ParseVolume, Mistakes) {
  EXPECT_EQ(Message(ParseVolume("a:/b:typo", "/")),
            "invalid mode 'typo' in volume specification 'a:/b:typo'");
  EXPECT_EQ(Message(ParseVolume("a:b", "/")),
            "invalid volume specification: 'a:b': mount path must be absolute");
  EXPECT_EQ(Message(ParseVolume("a:/b:ro:x", "/")), "invalid volume specification: 'a:/b:ro:x'");
  EXPECT_EQ(Message(ParseVolume(":/b", "/")), "invalid spec: :/b: empty section between colons");
  EXPECT_EQ(Message(ParseVolume("a/b:/c", "/")), "invalid volume name 'a/b' in 'a/b:/c'");
  EXPECT_EQ(Message(ParseVolume("a:/", "/")),
            "invalid volume specification: 'a:/': destination can't be '/'");
}

TEST(ParseMount, Rows) {
  auto mount = ParseMount("type=bind,source=src,target=/t,readonly,bind-propagation=rslave", "/w");
  ASSERT_TRUE(mount) << Message(mount);
  engine::MountRequest bind;
  bind.kind = engine::MountKind::kBind;
  bind.source = "/w/src";
  bind.target = "/t";
  bind.read_only = true;
  bind.propagation = "rslave";
  EXPECT_EQ(*mount, bind);

  mount = ParseMount("type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770", "/w");
  ASSERT_TRUE(mount) << Message(mount);
  engine::MountRequest tmpfs;
  tmpfs.kind = engine::MountKind::kTmpfs;
  tmpfs.target = "/t";
  tmpfs.tmpfs_size = 64 << 20;
  tmpfs.tmpfs_mode = 01770;
  EXPECT_EQ(*mount, tmpfs);

  mount = ParseMount("src=v,\"dst=/a,b\",volume-nocopy,volume-label=k=v", "/w");
  ASSERT_TRUE(mount) << Message(mount);
  engine::MountRequest volume;
  volume.kind = engine::MountKind::kVolume;
  volume.source = "v";
  volume.target = "/a,b";
  volume.no_copy = true;
  volume.volume_labels = {{"k", "v"}};
  EXPECT_EQ(*mount, volume);
}

TEST(ParseMount, Mistakes) {
  EXPECT_EQ(Message(ParseMount("type=bind,source=/x", "/")),
            "invalid mount 'type=bind,source=/x': target is required");
  EXPECT_EQ(Message(ParseMount("type=bind,dst=/x", "/")),
            "invalid mount 'type=bind,dst=/x': source is required");
  EXPECT_EQ(Message(ParseMount("type=nfs,dst=/x", "/")),
            "invalid mount type 'nfs' in 'type=nfs,dst=/x'");
  EXPECT_EQ(Message(ParseMount("dst=/x,typo=1", "/")), "unexpected key 'typo' in 'dst=/x,typo=1'");
}

TEST(ParseUlimit, Rows) {
  EXPECT_EQ(*ParseUlimit("nofile=1024"), (engine::Ulimit{"nofile", 1024, 1024}));
  EXPECT_EQ(*ParseUlimit("nofile=1024:2048"), (engine::Ulimit{"nofile", 1024, 2048}));
  EXPECT_EQ(*ParseUlimit("core=-1"), (engine::Ulimit{"core", -1, -1}));
  EXPECT_EQ(*ParseUlimit("memlock=64:-1"), (engine::Ulimit{"memlock", 64, -1}));
  EXPECT_EQ(Message(ParseUlimit("files=1")), "invalid ulimit type: files");
  EXPECT_EQ(Message(ParseUlimit("nofile")), "invalid ulimit argument: nofile");
  EXPECT_EQ(Message(ParseUlimit("nofile=2:1")),
            "ulimit soft limit must be less than or equal to hard limit: 2 > 1");
}

TEST(ParseDevice, Rows) {
  const auto describe = [](std::string_view text) {
    const auto device = ParseDevice(text);
    return device ? fmt::format("{} {} {}", device->host_path, device->container_path,
                                device->permissions)
                  : device.error().message;
  };
  EXPECT_EQ(describe("/dev/fuse"), "/dev/fuse /dev/fuse rwm");
  EXPECT_EQ(describe("/dev/fuse:r"), "/dev/fuse /dev/fuse r");
  EXPECT_EQ(describe("/dev/a:/dev/b"), "/dev/a /dev/b rwm");
  EXPECT_EQ(describe("/dev/a:/dev/b:rw"), "/dev/a /dev/b rw");
  EXPECT_EQ(describe("/dev/a:/dev/b:x"), "invalid device mode: x");
}

TEST(ParseRestart, Rows) {
  using engine::RestartMode;
  EXPECT_EQ(*ParseRestart("always"), (engine::RestartPolicy{RestartMode::kAlways, 0}));
  EXPECT_EQ(*ParseRestart("on-failure:3"), (engine::RestartPolicy{RestartMode::kOnFailure, 3}));
  EXPECT_FALSE(ParseRestart("always:3"));
  EXPECT_FALSE(ParseRestart("on-failure:x"));
  EXPECT_FALSE(ParseRestart("sometimes"));
}

TEST(ParseCpus, Rows) {
  EXPECT_EQ(*ParseCpus("1.5"), 1'500'000'000);
  EXPECT_EQ(*ParseCpus(".5"), 500'000'000);
  EXPECT_EQ(*ParseCpus("2"), 2'000'000'000);
  for (const char* bad : {"-1", "x", ".", "1e3", "0.0000000001"})
    EXPECT_FALSE(ParseCpus(bad)) << bad;
}

TEST(Environment, TakesBareKeysFromTheCaller) {
  const Environment environment = {{"SET", "1"}};
  EXPECT_EQ(*ResolveEnvironment({"A=b=c", "SET", "UNSET", "EMPTY="}, environment),
            (std::vector<std::string>{"A=b=c", "SET=1", "EMPTY="}));
  EXPECT_FALSE(ResolveEnvironment({"=x"}, environment));
}

TEST(ParseScale, Rows) {
  EXPECT_EQ(*ParseScale({"web=3", "db=0"}), (std::map<std::string, int>{{"web", 3}, {"db", 0}}));
  EXPECT_EQ(Message(ParseScale({"web"})), "invalid --scale option 'web': should be SERVICE=NUM");
  EXPECT_EQ(Message(ParseScale({"web=-1"})), "cannot scale service 'web' to -1");
}

TEST(ParseSignal, Rows) {
  EXPECT_EQ(*ParseSignal("KILL"), SIGKILL);
  EXPECT_EQ(*ParseSignal("SIGHUP"), SIGHUP);
  EXPECT_EQ(*ParseSignal("sigusr1"), SIGUSR1);
  EXPECT_EQ(*ParseSignal("15"), SIGTERM);
  EXPECT_EQ(*ParseSignal("RTMIN+3"), SIGRTMIN + 3);
  for (const char* bad : {"0", "-1", "SIGFOO", "", "RTMIN+99"})
    EXPECT_FALSE(ParseSignal(bad)) << bad;
}

TEST(ParseMoment, CountsBackFromNow) {
  EXPECT_EQ(*ParseMoment("", 1'000), 0);
  EXPECT_EQ(*ParseMoment("10s", 60'000'000'000), 50'000'000'000);
  EXPECT_EQ(*ParseMoment("1970-01-01T00:00:01Z", 0), 1'000'000'000);
  EXPECT_FALSE(ParseMoment("yesterday", 0));
}

TEST(SplitShellWords, Rows) {
  EXPECT_EQ(*SplitShellWords("sh -c 'a b' \"c\\\"d\" e\\ f ''"),
            (std::vector<std::string>{"sh", "-c", "a b", "c\"d", "e f", ""}));
  EXPECT_FALSE(SplitShellWords("a 'b"));
}

TEST(ParseNetwork, Rows) {
  EXPECT_EQ(ParseNetwork("host")->mode, "host");
  EXPECT_EQ(ParseNetwork("container:x")->mode, "container:x");
  const auto choice = ParseNetwork("name=back,alias=a,alias=b,ip=10.0.0.2");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->endpoint.network, "back");
  EXPECT_EQ(choice->endpoint.aliases, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(choice->endpoint.ipv4_address, "10.0.0.2");
  EXPECT_FALSE(ParseNetwork("name=back,typo=1"));
}

}  // namespace
}  // namespace skiff::cli
