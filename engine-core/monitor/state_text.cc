#include "base/json_text.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine {
namespace {

void AppendInt(std::string& out, std::string_view key, int64_t value) {
  out += ",\"";
  out += key;
  out += "\":";
  out += std::to_string(value);
}

}  // namespace

std::string StateToJson(const ContainerState& state) {
  std::string out = "{\"version\":1,\"status\":";
  AppendJsonQuoted(out, ContainerStatusName(state.status));
  AppendInt(out, "pid", state.pid);
  AppendInt(out, "exit_code", state.exit_code);
  out += state.oom_killed ? ",\"oom_killed\":true" : ",\"oom_killed\":false";
  out += ",\"error\":";
  AppendJsonQuoted(out, state.error);
  AppendInt(out, "started_at", state.started_at);
  AppendInt(out, "finished_at", state.finished_at);
  AppendInt(out, "restart_count", state.restart_count);
  out += ",\"health\":";
  AppendJsonQuoted(out, HealthStatusName(state.health));
  AppendInt(out, "failing_streak", state.failing_streak);
  out += ",\"health_log\":[";
  for (size_t i = 0; i < state.health_log.size(); ++i) {
    const ProbeResult& probe = state.health_log[i];
    out += i == 0 ? "{\"output\":" : ",{\"output\":";
    AppendJsonQuoted(out, probe.output);
    AppendInt(out, "started_at", probe.started_at);
    AppendInt(out, "finished_at", probe.finished_at);
    AppendInt(out, "exit_code", probe.exit_code);
    out += '}';
  }
  out += "]}\n";
  return out;
}

}  // namespace skiff::engine
