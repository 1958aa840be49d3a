#include "engine-core/cgroup.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/text.h"
#include "tests/kernel/child/container_fixture.h"

namespace skiff::engine::child {
namespace {

class CgroupTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    if (IsSkipped()) return;
    char hash[9];
    snprintf(hash, sizeof hash, "%08x", 0xce000000u + static_cast<unsigned>(getpid()));
    auto manager = CgroupManager::Create({hash, ""});
    ASSERT_TRUE(manager.has_value()) << manager.error().Text();
    manager_ = std::move(*manager);
    if (manager_->layout().mode == CgroupMode::kNone) GTEST_SKIP() << "no cgroup is mounted";
  }
  void TearDown() override {
    if (manager_) {
      const Status removed = manager_->RemoveRoot();
      EXPECT_TRUE(removed.has_value()) << removed.error().Text();
    }
    ContainerTest::TearDown();
  }
  RuntimeSpec Limited(const std::string& script, const Resources& resources) {
    RuntimeSpec spec = ShellSpec(script);
    auto made = manager_->CreateContainer(spec.id, resources, DefaultDeviceRules(), false);
    EXPECT_TRUE(made.has_value()) << made.error().Text();
    if (made) made->ApplyTo(spec);
    if (made) warnings_ = made->warnings;
    return spec;
  }
  void Remove(const RuntimeSpec& spec) {
    const Status removed = manager_->RemoveContainer(spec.id);
    EXPECT_TRUE(removed.has_value()) << removed.error().Text();
  }
  bool v2() const { return manager_->layout().mode == CgroupMode::kV2; }

  std::unique_ptr<CgroupManager> manager_;
  std::vector<std::string> warnings_;
};

TEST_F(CgroupTest, PutsLimitsInPlaceAndShowsThemInside) {
  Resources resources;
  resources.memory = 64 << 20;
  resources.pids = 50;
  resources.nano_cpus = 500'000'000;
  resources.cpu_shares = 512;
  const std::string files = v2()
                                ? "memory.max pids.max cpu.max"
                                : "memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us "
                                  "cpu/cpu.cfs_period_us cpu/cpu.shares";
  const RuntimeSpec spec = Limited("cd /sys/fs/cgroup && cat " + files, resources);
  EXPECT_EQ(Output(spec),
            v2() ? "67108864\n50\n50000 100000\n" : "67108864\n50\n50000\n100000\n512\n");
  Remove(spec);
}

TEST_F(CgroupTest, IsReadOnlyAndPrivateInside) {
  const RuntimeSpec spec = Limited(
      "cut -d: -f3 /proc/self/cgroup | sort -u; cd /sys/fs/cgroup; "
      "for d in . */; do mkdir $d/x 2>/dev/null && echo WRITABLE $d; done; true",
      {});
  EXPECT_EQ(Output(spec), "/\n");
  Remove(spec);
}

TEST_F(CgroupTest, AllowsMakingDevicesButNotOpeningThem) {
  const RuntimeSpec spec = Limited(
      "mknod /tmp/vda b 254 0 && echo made; head -c 1 /tmp/vda; mknod /tmp/fuse c 10 229; "
      "head -c 1 /tmp/fuse; head -c 1 /dev/zero | wc -c; echo x > /dev/null && echo null",
      {});
  // cgroup v1 knows no hole in "c *:* m", a program does.
  const std::string fuse = v2() ? "mknod: /tmp/fuse: Operation not permitted\n"
                                  "head: /tmp/fuse: No such file or directory\n"
                                : "head: /tmp/fuse: Operation not permitted\n";
  EXPECT_EQ(Run(spec).output,
            "made\nhead: /tmp/vda: Operation not permitted\n" + fuse + "1\nnull\n");
  Remove(spec);
}

TEST_F(CgroupTest, CountsAnOomKill) {
  Resources resources;
  resources.memory = 16 << 20;
  resources.memory_swap = 16 << 20;
  const RuntimeSpec spec =
      Limited("dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null; echo $?", resources);
  auto events = OpenOomEvents(spec.memory_cgroup, spec.unified);
  ASSERT_TRUE(events.has_value()) << events.error().Text();
  EXPECT_EQ(*CountOomKills(spec.memory_cgroup, spec.unified), 0);
  EXPECT_EQ(Run(spec).output, "137\n");
  EXPECT_EQ(*CountOomKills(spec.memory_cgroup, spec.unified), 1);
  if (events->valid() && !spec.unified) {
    uint64_t count = 0;
    EXPECT_EQ(read(events->get(), &count, sizeof count), ssize_t{sizeof count});
    EXPECT_GE(count, 1u);
  }
  Remove(spec);
}

TEST_F(CgroupTest, FreezesAndKillsEverything) {
  RuntimeSpec spec = Limited("while :; do sleep 1000 & sleep 0.01; done", {});
  spec.use_init = true;
  Running running = Start(spec);
  ASSERT_EQ(running.error, "");
  Status done = FreezeCgroup(spec.freezer_cgroup, spec.unified);
  EXPECT_TRUE(done.has_value()) << done.error().Text();
  auto usage = manager_->Usage(spec.id);
  ASSERT_TRUE(usage.has_value());
  EXPECT_GE(usage->processes, 2);
  EXPECT_GT(usage->memory, 0);
  EXPECT_GT(usage->cpu_ns, 0);
  done = ThawCgroup(spec.freezer_cgroup, spec.unified);
  EXPECT_TRUE(done.has_value()) << done.error().Text();
  EXPECT_FALSE(*CgroupIsEmpty(spec.cgroups));
  done = KillCgroup(spec.cgroups, spec.freezer_cgroup, spec.unified);
  EXPECT_TRUE(done.has_value()) << done.error().Text();
  EXPECT_EQ(Finish(std::move(running)).exit_code, 137);
  EXPECT_TRUE(*CgroupIsEmpty(spec.cgroups));
  Remove(spec);
}

TEST_F(CgroupTest, ListsWhatIsLeftAndRefusesToRemoveTheLiving) {
  const RuntimeSpec spec = Limited("sleep 1000", {});
  EXPECT_EQ(*manager_->ListContainers(), std::vector<std::string>{spec.id});
  EXPECT_EQ(manager_->RemoveRoot().error().code, Code::kFailedPrecondition);
  Running running = Start(spec);
  ASSERT_EQ(running.error, "");
  EXPECT_EQ(RemoveCgroups(spec.cgroups, 1).error().code, Code::kFailedPrecondition);
  ASSERT_EQ(kill(running.process.pid, SIGKILL), 0);
  Finish(std::move(running));
  Remove(spec);
  EXPECT_EQ(*manager_->ListContainers(), std::vector<std::string>());
}

TEST_F(CgroupTest, ChangesLimitsInEitherOrder) {
  Resources resources;
  resources.memory = 32 << 20;
  const RuntimeSpec spec = Limited("true", resources);
  for (const int64_t memory : {int64_t{128} << 20, int64_t{16} << 20}) {
    resources.memory = memory;
    auto updated = manager_->Update(spec.id, resources);
    ASSERT_TRUE(updated.has_value()) << updated.error().Text();
    EXPECT_EQ(manager_->Usage(spec.id)->memory_limit, memory);
  }
  Remove(spec);
}

TEST_F(CgroupTest, NamesTheLimitThatIsRefused) {
  Resources resources;
  resources.cpuset_cpus = "4000";
  auto made = manager_->CreateContainer("refused", resources, DefaultDeviceRules(), false);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().message, "cannot set cpuset to '4000'");
  EXPECT_TRUE(manager_->RemoveContainer("refused").has_value());
}

TEST_F(CgroupTest, ExecEntersTheContainersCgroups) {
  const RuntimeSpec spec = Limited("sleep 1000", {});
  Running init = Start(spec);
  ASSERT_EQ(init.error, "");
  ExecSpec exec;
  exec.args = {"cat", "/proc/self/cgroup"};
  exec.environment = spec.environment;
  const Outcome outcome = Finish(StartExecIn(spec, init, exec));
  EXPECT_EQ(outcome.error, "");
  for (const std::string_view line : Split(Trim(outcome.output), '\n'))
    EXPECT_EQ(line.substr(line.rfind(':')), ":/") << line;
  ASSERT_EQ(kill(init.process.pid, SIGKILL), 0);
  Finish(std::move(init));
  Remove(spec);
}

// ---- cgroup v2 on its own, also where it is mounted beside v1 without controllers
// -----------------

class UnifiedTest : public CgroupTest {
 protected:
  void SetUp() override {
    CgroupTest::SetUp();
    if (IsSkipped()) return;
    const CgroupHierarchy* unified = manager_->layout().Unified();
    if (unified == nullptr) GTEST_SKIP() << "cgroup v2 is not mounted";
    CgroupLayout layout;
    layout.mode = CgroupMode::kV2;
    layout.hierarchies = {*unified};
    char hash[9];
    snprintf(hash, sizeof hash, "%08x", 0xce200000u + static_cast<unsigned>(getpid()));
    manager_ = std::make_unique<CgroupManager>(CgroupManager::Options{hash, ""}, layout);
  }
};

TEST_F(UnifiedTest, StartsInitAndExecInsideAndShowsThemTheirOwnPart) {
  const RuntimeSpec spec = Limited("exec sleep 1000", {});
  EXPECT_TRUE(spec.unified);
  Running init = Start(spec);
  ASSERT_EQ(init.error, "");
  ExecSpec exec;
  exec.args = {"sh", "-c",
               "grep ^0: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs | wc -l; "
               "mkdir /sys/fs/cgroup/x"};
  exec.environment = spec.environment;
  const Outcome outcome = Finish(StartExecIn(spec, init, exec));
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.output,
            "0::/\n4\nmkdir: can't create directory '/sys/fs/cgroup/x': Read-only file system\n");
  const Status killed = KillCgroup(spec.cgroups, spec.freezer_cgroup, spec.unified);
  EXPECT_TRUE(killed.has_value()) << killed.error().Text();
  EXPECT_EQ(Finish(std::move(init)).exit_code, 137);
  Remove(spec);
}

TEST_F(UnifiedTest, RestrictsDevicesByProgram) {
  const RuntimeSpec spec = Limited(
      "mknod /tmp/vda b 254 0 && echo made; head -c 1 /tmp/vda; mknod /tmp/fuse c 10 229; "
      "head -c 1 /dev/zero | wc -c; echo x > /dev/null && echo null",
      {});
  EXPECT_EQ(Run(spec).output,
            "made\nhead: /tmp/vda: Operation not permitted\n"
            "mknod: /tmp/fuse: Operation not permitted\n1\nnull\n");
  Remove(spec);
}

TEST_F(UnifiedTest, FreezesAndThaws) {
  const RuntimeSpec spec = Limited("exec sleep 1000", {});
  Running running = Start(spec);
  ASSERT_EQ(running.error, "");
  Status done = FreezeCgroup(spec.freezer_cgroup, spec.unified);
  EXPECT_TRUE(done.has_value()) << done.error().Text();
  EXPECT_NE(ReadFile(spec.freezer_cgroup + "/cgroup.events")->find("frozen 1"), std::string::npos);
  done = ThawCgroup(spec.freezer_cgroup, spec.unified);
  EXPECT_TRUE(done.has_value()) << done.error().Text();
  ASSERT_EQ(kill(running.process.pid, SIGKILL), 0);
  Finish(std::move(running));
  Remove(spec);
}

}  // namespace
}  // namespace skiff::engine::child
