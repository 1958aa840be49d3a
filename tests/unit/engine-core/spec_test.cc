#include "engine-core/embedded/spec.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>

#include "engine-core/capabilities.h"

namespace skiff::engine::embedded {
namespace {

class SpecTest : public ::testing::Test {
 protected:
  RuntimeSpec Build() {
    SpecInputs inputs;
    inputs.record = &record_;
    inputs.layout = &layout_;
    inputs.namespaces = namespaces_;
    auto spec = BuildRuntimeSpec(inputs, &warnings_);
    EXPECT_TRUE(spec) << spec.error().Text();
    return spec ? std::move(*spec) : RuntimeSpec();
  }
  std::string Refusal() {
    SpecInputs inputs;
    inputs.record = &record_;
    inputs.layout = &layout_;
    inputs.namespaces = namespaces_;
    const auto spec = BuildRuntimeSpec(inputs, &warnings_);
    return spec ? "accepted" : spec.error().message;
  }

  Layout layout_{"/root-of-test", "/run-of-test"};
  store::ContainerRecord record_ = [] {
    store::ContainerRecord record;
    record.id = std::string(64, 'c');
    record.name = "web";
    record.command = {"sleep", "1"};
    record.layers = {"low", "high"};
    return record;
  }();
  SharedNamespaces namespaces_;
  std::vector<std::string> warnings_;
};

TEST_F(SpecTest, DefaultsAreDockers) {
  const RuntimeSpec spec = Build();
  EXPECT_EQ(spec.hostname, "cccccccccccc");
  EXPECT_EQ(spec.args, (std::vector<std::string>{"sleep", "1"}));
  EXPECT_EQ(spec.root.lower, (std::vector<std::string>{"/root-of-test/layers/high/diff",
                                                       "/root-of-test/layers/low/diff"}));
  EXPECT_EQ(spec.capabilities & ~kDefaultCapabilities, 0u);
  EXPECT_TRUE(spec.seccomp);
  EXPECT_FALSE(spec.no_new_privileges);
  EXPECT_EQ(spec.stop_signal, SIGTERM);
  EXPECT_EQ(spec.stop_timeout_ns, 10'000'000'000);
  EXPECT_EQ(spec.cwd, "/");
  EXPECT_FALSE(spec.masked_paths.empty());
  EXPECT_FALSE(spec.read_only_paths.empty());
  const auto has = [&](const std::string& target) {
    return std::ranges::any_of(spec.mounts,
                               [&](const RuntimeMount& mount) { return mount.target == target; });
  };
  for (const char* target : {"/proc", "/dev", "/sys", "/dev/pts", "/dev/shm", "/etc/hosts",
                             "/etc/hostname", "/etc/resolv.conf"}) {
    EXPECT_TRUE(has(target)) << target;
  }
}

TEST_F(SpecTest, PrivilegedHasEverything) {
  record_.config.privileged = true;
  const RuntimeSpec spec = Build();
  EXPECT_EQ(spec.capabilities, AvailableCapabilities());
  EXPECT_FALSE(spec.seccomp);
  EXPECT_TRUE(spec.masked_paths.empty());
  EXPECT_GT(spec.devices.size(), 5u);
}

TEST_F(SpecTest, OwnMountsReplaceDefaultsAndAreSortedByDepth) {
  MountRequest deep;
  deep.kind = MountKind::kTmpfs;
  deep.target = "/a/b/c";
  MountRequest shallow = deep;
  shallow.target = "/a";
  shallow.tmpfs_options = {"exec", "uid=5"};
  shallow.tmpfs_size = 4096;
  MountRequest shm = deep;
  shm.target = "/dev/shm";
  record_.config.mounts = {deep, shallow, shm};
  const RuntimeSpec spec = Build();
  std::vector<std::string> targets;
  for (const RuntimeMount& mount : spec.mounts) targets.push_back(mount.target);
  EXPECT_EQ(std::ranges::count(targets, "/dev/shm"), 1);
  EXPECT_LT(std::ranges::find(targets, "/a"), std::ranges::find(targets, "/a/b/c"));
  const RuntimeMount& a = *std::ranges::find(spec.mounts, "/a", &RuntimeMount::target);
  EXPECT_EQ(a.data, "size=4096,uid=5");
  EXPECT_EQ(a.flags & MS_NOEXEC, 0u);
  EXPECT_NE(a.flags & MS_NOSUID, 0u);
}

TEST_F(SpecTest, SysctlsOutsideANamespaceAreRefused) {
  record_.config.sysctls = {{"net.core.somaxconn", "128"}};
  EXPECT_EQ(Refusal(), "accepted");
  record_.config.sysctls = {{"vm.swappiness", "1"}};
  EXPECT_EQ(Refusal(), "sysctl 'vm.swappiness' is not in a separate kernel namespace");
  record_.config.sysctls = {{"net.core.somaxconn", "128"}};
  namespaces_.network.mode = NamespaceMode::kHost;
  EXPECT_NE(Refusal(), "accepted");
}

TEST_F(SpecTest, SecurityOptions) {
  record_.config.security_opt = {"no-new-privileges:true", "seccomp=unconfined",
                                 "systempaths=unconfined"};
  const RuntimeSpec spec = Build();
  EXPECT_TRUE(spec.no_new_privileges);
  EXPECT_FALSE(spec.seccomp);
  EXPECT_TRUE(spec.masked_paths.empty());
  record_.config.security_opt = {"nonsense=1"};
  EXPECT_NE(Refusal(), "accepted");
}

TEST(ParseSignalTest, NamesAndNumbers) {
  EXPECT_EQ(*ParseSignal("SIGTERM"), SIGTERM);
  EXPECT_EQ(*ParseSignal("kill"), SIGKILL);
  EXPECT_EQ(*ParseSignal("9"), 9);
  EXPECT_EQ(*ParseSignal("RTMIN+3"), 37);
  EXPECT_EQ(*ParseSignal("SIGRTMAX-1"), 63);
  for (const char* text : {"", "SIG", "0", "65", "RTMIN+99", "-1"}) {
    EXPECT_FALSE(ParseSignal(text)) << text;
  }
}

}  // namespace
}  // namespace skiff::engine::embedded
