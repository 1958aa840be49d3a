#include <nlohmann/json.hpp>

#include "engine-core/monitor_client.h"

namespace skiff::engine {
namespace {

using Json = nlohmann::json;

int64_t Int(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

std::string Text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

// Fields that are missing keep their default and unknown ones are skipped: the monitor may be of
// another release.
Result<ContainerState> StateFromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail(Code::kCorrupted, "cannot read a container's state");
  ContainerState state;
  const std::string status = Text(json, "status");
  bool known = false;
  for (const ContainerStatus candidate :
       {ContainerStatus::kCreated, ContainerStatus::kRunning, ContainerStatus::kPaused,
        ContainerStatus::kRestarting, ContainerStatus::kRemoving, ContainerStatus::kExited,
        ContainerStatus::kDead}) {
    if (ContainerStatusName(candidate) != status) continue;
    state.status = candidate;
    known = true;
  }
  if (!known) return Fail(Code::kCorrupted, "cannot read a container's state '" + status + "'");
  state.pid = Int(json, "pid");
  state.exit_code = static_cast<int>(Int(json, "exit_code"));
  state.oom_killed = json.contains("oom_killed") && json["oom_killed"] == true;
  state.error = Text(json, "error");
  state.started_at = Int(json, "started_at");
  state.finished_at = Int(json, "finished_at");
  state.restart_count = static_cast<int>(Int(json, "restart_count"));
  const std::string health = Text(json, "health");
  for (const HealthStatus candidate : {HealthStatus::kNone, HealthStatus::kStarting,
                                       HealthStatus::kHealthy, HealthStatus::kUnhealthy}) {
    if (HealthStatusName(candidate) == health) state.health = candidate;
  }
  state.failing_streak = static_cast<int>(Int(json, "failing_streak"));
  const auto log = json.find("health_log");
  if (log == json.end() || !log->is_array()) return state;
  for (const Json& entry : *log) {
    if (!entry.is_object()) continue;
    state.health_log.push_back({Int(entry, "started_at"), Int(entry, "finished_at"),
                                static_cast<int>(Int(entry, "exit_code")), Text(entry, "output")});
  }
  return state;
}

}  // namespace skiff::engine
