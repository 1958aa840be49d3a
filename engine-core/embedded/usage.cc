// What containers use.
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "engine-core/embedded/embedded_engine.h"

namespace skiff::engine::embedded {
namespace {

// proc(5), /proc/PID/net/dev: "eth0: BYTES PACKETS ... (8 fields) BYTES ...".
void AddTraffic(const std::string& text, ContainerUsage& usage) {
  constexpr size_t kSent = 8;
  for (const std::string_view line : Split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || Trim(line.substr(0, colon)) == "lo") continue;
    const std::vector<std::string_view> fields = SplitWords(line.substr(colon + 1));
    if (fields.size() <= kSent) continue;
    usage.received_bytes += ParseNumber<int64_t>(fields[0]).value_or(0);
    usage.sent_bytes += ParseNumber<int64_t>(fields[kSent]).value_or(0);
  }
}

int64_t Monotonic() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

Result<ContainerUsage> EmbeddedEngine::ReadUsage(std::string_view ref) {
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  ContainerUsage usage;
  usage.time = Monotonic();
  const ContainerState state = StateOf(*record);
  if (!state.running()) return usage;
  SKIFF_ASSIGN(const CgroupManager* cgroups, Cgroups());
  SKIFF_ASSIGN(const CgroupUsage used, cgroups->Usage(record->id, record->config.cgroup_parent));
  usage.cpu_ns = used.cpu_ns;
  usage.memory = used.memory > used.inactive_file ? used.memory - used.inactive_file : used.memory;
  const int64_t machine = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  usage.memory_limit =
      used.memory_limit > 0 ? std::min(used.memory_limit, machine) : machine;
  usage.processes = used.processes;
  usage.read_bytes = used.read_bytes;
  usage.written_bytes = used.written_bytes;
  // Of the host's network there is nothing to count for one container.
  if (record->config.network_mode != "host" && state.pid > 0) {
    if (const auto text = ReadFile("/proc/" + std::to_string(state.pid) + "/net/dev")) {
      AddTraffic(*text, usage);
    }
  }
  return usage;
}

}  // namespace skiff::engine::embedded
