#include <algorithm>
#include <cmath>

#include "engine-core/cgroup.h"

namespace skiff::engine {
namespace {

constexpr int64_t kPeriodMicroseconds = 100'000;
constexpr int64_t kNanoCpusPerMicrosecond = 10'000;  // Of a period of 100 ms.

std::string Number(int64_t value) {
  return std::to_string(value);
}

// runc and crun since 2025: the default of 1024 becomes the default of 100.
int64_t WeightOfShares(int64_t shares) {
  const double l = std::log2(static_cast<double>(std::clamp<int64_t>(shares, 2, 262144)));
  return static_cast<int64_t>(
      std::ceil(std::pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0) - 1e-9));
}

class Settings {
 public:
  Settings(const Resources& resources, bool unified, std::vector<std::string>* warnings)
      : resources_(resources), unified_(unified), warnings_(warnings) {}

  std::vector<CgroupSetting> Take() {
    AddMemory();
    AddCpu();
    AddCpuset();
    AddPids();
    AddBlkio();
    return std::move(settings_);
  }

 private:
  void Add(const char* controller, const char* v1, const char* v2, std::string value,
           const char* key) {
    settings_.push_back({controller, unified_ ? v2 : v1, std::move(value), key});
  }
  void Discard(const std::string& key) {
    if (warnings_ != nullptr)
      warnings_->push_back(key + ": cgroup v2 has no such limit; it is discarded");
  }

  // docker: 0 means twice the memory, -1 no limit.
  int64_t SwapLimit() const {
    if (resources_.memory_swap != 0) return resources_.memory_swap;
    return resources_.memory > 0 ? 2 * resources_.memory : 0;
  }

  void AddMemory() {
    const Resources& r = resources_;
    if (r.memory > 0)
      Add("memory", "memory.limit_in_bytes", "memory.max", Number(r.memory), "mem_limit");
    const int64_t swap = SwapLimit();
    if (swap == -1) {
      Add("memory", "memory.memsw.limit_in_bytes", "memory.swap.max", unified_ ? "max" : "-1",
          "memswap_limit");
    } else if (swap > 0) {
      Add("memory", "memory.memsw.limit_in_bytes", "memory.swap.max",
          Number(unified_ ? std::max<int64_t>(swap - r.memory, 0) : swap), "memswap_limit");
    }
    if (r.memory_reservation > 0)
      Add("memory", "memory.soft_limit_in_bytes", "memory.low", Number(r.memory_reservation),
          "mem_reservation");
    if (r.memory_swappiness && unified_) Discard("mem_swappiness");
    if (r.memory_swappiness && !unified_)
      Add("memory", "memory.swappiness", "", Number(*r.memory_swappiness), "mem_swappiness");
    if (r.oom_kill_disable && unified_) Discard("oom_kill_disable");
    if (r.oom_kill_disable && !unified_)
      Add("memory", "memory.oom_control", "", "1", "oom_kill_disable");
  }

  void AddCpu() {
    const Resources& r = resources_;
    if (r.cpu_shares > 0)
      Add("cpu", "cpu.shares", "cpu.weight",
          Number(unified_ ? WeightOfShares(r.cpu_shares) : r.cpu_shares), "cpu_shares");
    int64_t period = r.cpu_period;
    int64_t quota = r.cpu_quota;
    const char* key = quota != 0 ? "cpu_quota" : "cpu_period";
    if (r.nano_cpus > 0) {
      period = kPeriodMicroseconds;
      quota = r.nano_cpus / kNanoCpusPerMicrosecond;
      key = "cpus";
    }
    if (period == 0 && quota == 0) return;
    if (unified_) {
      const std::string limit = quota > 0 ? Number(quota) : "max";
      Add("cpu", "", "cpu.max", limit + " " + Number(period > 0 ? period : kPeriodMicroseconds),
          key);
      return;
    }
    if (period > 0) Add("cpu", "cpu.cfs_period_us", "", Number(period), key);
    if (quota != 0) Add("cpu", "cpu.cfs_quota_us", "", Number(quota), key);
  }

  void AddCpuset() {
    if (!resources_.cpuset_cpus.empty())
      Add("cpuset", "cpuset.cpus", "cpuset.cpus", resources_.cpuset_cpus, "cpuset");
    if (!resources_.cpuset_mems.empty())
      Add("cpuset", "cpuset.mems", "cpuset.mems", resources_.cpuset_mems, "cpuset_mems");
  }

  void AddPids() {
    if (resources_.pids == 0) return;
    Add("pids", "pids.max", "pids.max", resources_.pids < 0 ? "max" : Number(resources_.pids),
        "pids_limit");
  }

  void AddBlkio() {
    const int64_t weight = resources_.blkio_weight;
    if (weight == 0) return;
    if (!unified_) {
      settings_.push_back({"blkio", "blkio.weight", Number(weight), "blkio_config.weight",
                           "blkio.bfq.weight", Number(weight)});
      return;
    }
    // 10..1000 to 1..10000, linearly.
    const int64_t scaled = 1 + (weight - 10) * 9999 / 990;
    settings_.push_back({"io", "io.bfq.weight", Number(weight), "blkio_config.weight", "io.weight",
                         "default " + Number(scaled)});
  }

  const Resources& resources_;
  bool unified_;
  std::vector<std::string>* warnings_;
  std::vector<CgroupSetting> settings_;
};

}  // namespace

std::vector<CgroupSetting> ResourceSettings(const Resources& resources, bool unified,
                                            std::vector<std::string>* warnings) {
  return Settings(resources, unified, warnings).Take();
}

}  // namespace skiff::engine
