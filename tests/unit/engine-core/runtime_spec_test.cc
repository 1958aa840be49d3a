#include "engine-core/runtime_spec.h"

#include <gtest/gtest.h>

#include "base/wire.h"

namespace skiff::engine {
namespace {

// Every field with a value that is not its default.
RuntimeSpec Full() {
  RuntimeSpec spec;
  spec.id = "id";
  spec.name = "name";
  spec.run_dir = "/run/x";
  spec.hostname = "host";
  spec.domainname = "domain";
  spec.args = {"a", "", "c"};
  spec.environment = {"A=1", "B="};
  spec.cwd = "/w";
  spec.user = "1:2";
  spec.additional_groups = {"g"};
  spec.tty = spec.open_stdin = spec.use_init = spec.no_new_privileges = spec.privileged = true;
  spec.capabilities = 0x8000000000000001;
  spec.seccomp = false;
  spec.seccomp_filter = std::string("\0\1\2", 3);
  spec.root = {{"/l1", "/l2"}, "/u", "/w", true};
  RuntimeMount mount;
  mount.kind = RuntimeMountKind::kCgroup;
  mount.source = "/s";
  mount.target = "/t";
  mount.data = "d";
  mount.flags = 7;
  mount.recursive = false;
  mount.source_is_file = true;
  mount.propagation = "rslave";
  spec.mounts = {mount, RuntimeMount()};
  spec.devices = {{"/dev/x", true, 1, 2, 3, 4, 5}};
  spec.masked_paths = {"/m"};
  spec.read_only_paths = {"/r"};
  spec.sysctls = {"a=b"};
  spec.ulimits = {{7, 1, ~uint64_t{0}}};
  spec.oom_score_adj = -500;
  spec.pid = {NamespaceMode::kHost, ""};
  spec.ipc = {NamespaceMode::kJoin, "/proc/1/ns/ipc"};
  spec.uts = {NamespaceMode::kHost, ""};
  spec.cgroup = {NamespaceMode::kHost, ""};
  spec.network = {NamespaceMode::kHost, ""};
  spec.cgroups = {"/c1", "/c2"};
  spec.memory_cgroup = "/m";
  spec.freezer_cgroup = "/f";
  spec.unified = true;
  spec.stop_signal = 3;
  spec.stop_timeout_ns = -1;
  spec.restart = {RestartMode::kOnFailure, 5};
  spec.healthcheck.test = {"CMD", ""};
  spec.healthcheck.interval = Nanoseconds(1);
  spec.healthcheck.timeout = Nanoseconds(2);
  spec.healthcheck.start_period = Nanoseconds(3);
  spec.healthcheck.start_interval = Nanoseconds(4);
  spec.healthcheck.retries = 6;
  spec.log = {"local", {{"max-size", "1m"}, {"max-file", "3"}}};
  spec.log_path = "/log";
  spec.dns.enabled = true;
  spec.dns.tables = {"/t"};
  spec.dns.upstreams = {"1.1.1.1"};
  spec.dns.forward = false;
  return spec;
}

TEST(RuntimeSpec, SurvivesTheWireUnchanged) {
  const std::string bytes = EncodeRuntimeSpec(Full());
  auto decoded = DecodeRuntimeSpec(bytes);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().Text();
  EXPECT_EQ(EncodeRuntimeSpec(*decoded), bytes);
  EXPECT_NE(EncodeRuntimeSpec(RuntimeSpec()), bytes);
  EXPECT_EQ(decoded->args, Full().args);
  EXPECT_EQ(decoded->root.lower, Full().root.lower);
  EXPECT_EQ(decoded->ulimits.at(0).hard, ~uint64_t{0});
  EXPECT_EQ(decoded->oom_score_adj, -500);
  EXPECT_EQ(decoded->stop_timeout_ns, -1);
  EXPECT_EQ(decoded->healthcheck, Full().healthcheck);
  EXPECT_EQ(decoded->log, Full().log);
  EXPECT_EQ(decoded->restart, Full().restart);
  EXPECT_EQ(decoded->mounts.at(1).recursive, true);
  EXPECT_EQ(decoded->devices.at(0).block, true);
}

TEST(RuntimeSpec, SkipsFieldsOfALaterVersion) {
  WireWriter later;
  later.Bytes(60000, "news");
  auto decoded = DecodeRuntimeSpec(EncodeRuntimeSpec(Full()) + later.data());
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(EncodeRuntimeSpec(*decoded), EncodeRuntimeSpec(Full()));
}

TEST(RuntimeSpec, RefusesEveryTruncation) {
  const std::string bytes = EncodeRuntimeSpec(Full());
  size_t accepted = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    if (DecodeRuntimeSpec(std::string_view(bytes).substr(0, size))) ++accepted;
  }
  // Only where a field ends does a shorter message look complete; it has the version then.
  EXPECT_LT(accepted, 80u);
  EXPECT_FALSE(DecodeRuntimeSpec("").has_value());
  EXPECT_FALSE(DecodeRuntimeSpec("garbage that is no message").has_value());
}

TEST(Names, AreThoseOfDocker) {
  EXPECT_EQ(ContainerStatusName(ContainerStatus::kRestarting), "restarting");
  EXPECT_EQ(HealthStatusName(HealthStatus::kUnhealthy), "unhealthy");
  EXPECT_EQ(ProtocolName(Protocol::kSctp), "sctp");
}

}  // namespace
}  // namespace skiff::engine
