#include <gtest/gtest.h>

#include "engine-core/cgroup.h"

namespace skiff::engine {
namespace {

constexpr char kHybridMounts[] =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST(CgroupLayout, KnowsTheHybridOne) {
  const CgroupLayout layout = ParseCgroupLayout(
      kHybridMounts, "5:name=systemd:/user.slice\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/own\n");
  EXPECT_EQ(layout.mode, CgroupMode::kHybrid);
  ASSERT_EQ(layout.hierarchies.size(), 4u);
  ASSERT_NE(layout.Find("cpuacct"), nullptr);
  EXPECT_EQ(layout.Find("cpuacct")->mount_point, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(layout.Find("cpu")->own_path, "/");
  EXPECT_EQ(layout.Find("memory")->own_path, "/a/b");
  EXPECT_EQ(layout.Find("name=systemd")->own_path, "/user.slice");
  ASSERT_NE(layout.Unified(), nullptr);
  EXPECT_EQ(layout.Unified()->own_path, "/own");
  EXPECT_EQ(layout.Find("pids"), nullptr);
}

TEST(CgroupLayout, KnowsPureOnesAndNone) {
  const CgroupLayout v2 = ParseCgroupLayout(
      "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
      "0::/user.slice/session-1.scope\n");
  EXPECT_EQ(v2.mode, CgroupMode::kV2);
  EXPECT_EQ(v2.hierarchies.at(0).own_path, "/user.slice/session-1.scope");
  const CgroupLayout inside = ParseCgroupLayout(
      "30 23 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
      "4:memory:/docker/abc/x\n");
  EXPECT_EQ(inside.mode, CgroupMode::kV1);
  EXPECT_EQ(inside.hierarchies.at(0).own_path, "/x");
  EXPECT_EQ(ParseCgroupLayout("", "").mode, CgroupMode::kNone);
  EXPECT_EQ(ParseCgroupLayout("garbage - cgroup\n\n - \n", ":\n::\n").mode, CgroupMode::kNone);
}

std::string Text(const std::vector<CgroupSetting>& settings) {
  std::string text;
  for (const CgroupSetting& setting : settings)
    text += setting.key + ": " + setting.file + "=" + setting.value + "\n";
  return text;
}

Resources Everything() {
  Resources resources;
  resources.memory = 100;
  resources.memory_swap = 150;
  resources.memory_reservation = 50;
  resources.memory_swappiness = 30;
  resources.nano_cpus = 1'500'000'000;
  resources.cpu_shares = 1024;
  resources.cpuset_cpus = "0-1";
  resources.cpuset_mems = "0";
  resources.pids = 100;
  resources.blkio_weight = 500;
  resources.oom_kill_disable = true;
  return resources;
}

TEST(CgroupSettings, OfVersion1) {
  std::vector<std::string> warnings;
  EXPECT_EQ(Text(ResourceSettings(Everything(), false, &warnings)),
            "mem_limit: memory.limit_in_bytes=100\n"
            "memswap_limit: memory.memsw.limit_in_bytes=150\n"
            "mem_reservation: memory.soft_limit_in_bytes=50\n"
            "mem_swappiness: memory.swappiness=30\n"
            "oom_kill_disable: memory.oom_control=1\n"
            "cpu_shares: cpu.shares=1024\n"
            "cpus: cpu.cfs_period_us=100000\n"
            "cpus: cpu.cfs_quota_us=150000\n"
            "cpuset: cpuset.cpus=0-1\n"
            "cpuset_mems: cpuset.mems=0\n"
            "pids_limit: pids.max=100\n"
            "blkio_config.weight: blkio.weight=500\n");
  EXPECT_EQ(warnings, std::vector<std::string>());
}

TEST(CgroupSettings, OfVersion2) {
  std::vector<std::string> warnings;
  EXPECT_EQ(Text(ResourceSettings(Everything(), true, &warnings)),
            "mem_limit: memory.max=100\n"
            "memswap_limit: memory.swap.max=50\n"
            "mem_reservation: memory.low=50\n"
            "cpu_shares: cpu.weight=100\n"
            "cpus: cpu.max=150000 100000\n"
            "cpuset: cpuset.cpus=0-1\n"
            "cpuset_mems: cpuset.mems=0\n"
            "pids_limit: pids.max=100\n"
            "blkio_config.weight: io.bfq.weight=500\n");
  EXPECT_EQ(warnings, (std::vector<std::string>{
                          "mem_swappiness: cgroup v2 has no such limit; it is discarded",
                          "oom_kill_disable: cgroup v2 has no such limit; it is discarded"}));
}

TEST(CgroupSettings, OfSpecialValues) {
  EXPECT_EQ(Text(ResourceSettings({}, false, nullptr)), "");
  Resources resources;
  resources.memory = 100;  // docker: as much swap again.
  EXPECT_EQ(
      Text(ResourceSettings(resources, false, nullptr)),
      "mem_limit: memory.limit_in_bytes=100\nmemswap_limit: memory.memsw.limit_in_bytes=200\n");
  resources.memory_swap = -1;
  EXPECT_EQ(
      Text(ResourceSettings(resources, false, nullptr)),
      "mem_limit: memory.limit_in_bytes=100\nmemswap_limit: memory.memsw.limit_in_bytes=-1\n");
  EXPECT_EQ(Text(ResourceSettings(resources, true, nullptr)),
            "mem_limit: memory.max=100\nmemswap_limit: memory.swap.max=max\n");
  Resources other;
  other.pids = -1;
  other.cpu_period = 50000;
  EXPECT_EQ(Text(ResourceSettings(other, true, nullptr)),
            "cpu_period: cpu.max=max 50000\npids_limit: pids.max=max\n");
}

TEST(CgroupSettings, ConvertSharesToWeights) {
  // runc's figures: the ends and the default meet.
  const int64_t rows[][2] = {{2, 1}, {1024, 100}, {262144, 10000}};
  for (const auto& [shares, weight] : rows) {
    Resources resources;
    resources.cpu_shares = shares;
    EXPECT_EQ(Text(ResourceSettings(resources, true, nullptr)),
              "cpu_shares: cpu.weight=" + std::to_string(weight) + "\n");
  }
}

TEST(DeviceRules, ParseDockersForm) {
  EXPECT_EQ(*ParseDeviceRule("c 1:3 mr"), (DeviceRule{true, 'c', 1, 3, "mr"}));
  EXPECT_EQ(*ParseDeviceRule("a *:* rwm"), (DeviceRule{true, 'a', -1, -1, "rwm"}));
  EXPECT_EQ(*ParseDeviceRule("b 8:* r"), (DeviceRule{true, 'b', 8, -1, "r"}));
  for (const char* wrong : {"", "c 1:3", "x 1:3 r", "c 1 r", "c 1:3:4 r", "c -1:3 r", "c 1:3 q"}) {
    EXPECT_EQ(ParseDeviceRule(wrong).error().Text(),
              "invalid device cgroup rule '" + std::string(wrong) + "'");
  }
}

// Runs a device program as the kernel would, for the few instructions it uses.
bool Allowed(const std::vector<uint64_t>& program, uint32_t type, uint32_t access, uint32_t major,
             uint32_t minor) {
  const uint32_t context[] = {access << 16 | type, major, minor};
  uint64_t registers[16] = {};
  for (size_t at = 0; at < program.size(); ++at) {
    const uint64_t step = program[at];
    const uint8_t code = step & 0xff;
    uint64_t& target = registers[step >> 8 & 0xf];
    const uint64_t source = registers[step >> 12 & 0xf];
    const int16_t offset = static_cast<int16_t>(step >> 16 & 0xffff);
    const uint32_t value = static_cast<uint32_t>(step >> 32);
    switch (code) {
      case 0x61:
        target = context[offset / 4];
        break;  // ldxw
      case 0xbc:
        target = source & 0xffffffff;
        break;  // mov32 reg
      case 0xb4:
        target = value;
        break;  // mov32 imm
      case 0x54:
        target &= value;
        break;  // and32 imm
      case 0x74:
        target >>= value;
        break;  // rsh32 imm
      case 0x55:
        if (target != value) at += offset;
        break;  // jne imm
      case 0x5d:
        if (target != source) at += offset;
        break;  // jne reg
      case 0x15:
        if (target == value) at += offset;
        break;  // jeq imm
      case 0x95:
        return registers[0] != 0;  // exit
      default:
        ADD_FAILURE() << "instruction " << int{code};
        return false;
    }
  }
  ADD_FAILURE() << "the program has no end";
  return false;
}

constexpr uint32_t kBlock = 1, kCharacter = 2, kMknod = 1, kRead = 2, kWrite = 4;

TEST(DeviceProgram, DecidesAsTheRulesSay) {
  const std::vector<uint64_t> standard = CompileDeviceProgram(DefaultDeviceRules());
  EXPECT_TRUE(Allowed(standard, kCharacter, kRead | kWrite, 1, 3));
  EXPECT_TRUE(Allowed(standard, kCharacter, kRead, 136, 77));
  EXPECT_TRUE(Allowed(standard, kBlock, kMknod, 8, 0));
  EXPECT_FALSE(Allowed(standard, kBlock, kRead, 8, 0));
  EXPECT_FALSE(Allowed(standard, kBlock, kMknod | kRead, 8, 0));
  EXPECT_FALSE(Allowed(standard, kCharacter, kMknod, 10, 229));
  EXPECT_FALSE(Allowed(standard, kCharacter, kRead, 10, 200));

  std::vector<DeviceRule> rules = DefaultDeviceRules();
  rules.push_back(*ParseDeviceRule("b 8:* r"));
  const std::vector<uint64_t> more = CompileDeviceProgram(rules);
  EXPECT_TRUE(Allowed(more, kBlock, kRead, 8, 5));
  EXPECT_FALSE(Allowed(more, kBlock, kRead | kWrite, 8, 5));
  EXPECT_FALSE(Allowed(more, kCharacter, kRead, 8, 5));
  EXPECT_FALSE(Allowed(CompileDeviceProgram({}), kCharacter, kRead, 1, 3));
}

}  // namespace
}  // namespace skiff::engine
