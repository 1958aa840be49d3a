#include "cli/status_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <tuple>

#include "base/json_text.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/text_table.h"

namespace skiff::cli {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr size_t kCommandWidth = 20;

std::string Since(int64_t moment, int64_t now) {
  // Whole seconds, as docker counts them.
  const int64_t span = std::max<int64_t>(0, now - moment);
  return HumanDuration(std::chrono::nanoseconds(span / kSecond * kSecond));
}

std::string HealthText(engine::HealthStatus health) {
  switch (health) {
    case engine::HealthStatus::kNone:
      return "";
    case engine::HealthStatus::kStarting:
      return " (health: starting)";
    case engine::HealthStatus::kHealthy:
      return " (healthy)";
    case engine::HealthStatus::kUnhealthy:
      return " (unhealthy)";
  }
  return "";
}

struct PortRun {
  std::string ip, protocol;
  int host_first = 0, first = 0, last = 0;
};

std::string RunText(const PortRun& run) {
  const auto range = [](int first, int last) {
    return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
  };
  const std::string inner = range(run.first, run.last) + '/' + run.protocol;
  if (run.host_first == 0) return inner;
  const bool v6 = run.ip.find(':') != std::string::npos;
  return fmt::format("{}:{}->{}", v6 ? '[' + run.ip + ']' : run.ip,
                     range(run.host_first, run.host_first + run.last - run.first), inner);
}

}  // namespace

std::string StatusText(const engine::ContainerState& state, int64_t now) {
  using engine::ContainerStatus;
  switch (state.status) {
    case ContainerStatus::kCreated:
      return "Created";
    case ContainerStatus::kRunning:
      return fmt::format("Up {}{}", Since(state.started_at, now), HealthText(state.health));
    case ContainerStatus::kPaused:
      return fmt::format("Up {} (Paused)", Since(state.started_at, now));
    case ContainerStatus::kRestarting:
      return fmt::format("Restarting ({}) {} ago", state.exit_code, Since(state.finished_at, now));
    case ContainerStatus::kRemoving:
      return "Removal In Progress";
    case ContainerStatus::kDead:
      return "Dead";
    case ContainerStatus::kExited:
      return fmt::format("Exited ({}) {} ago", state.exit_code, Since(state.finished_at, now));
  }
  return "";
}

std::string PortsText(const std::vector<engine::PublishedPort>& ports) {
  std::vector<const engine::PublishedPort*> sorted;
  for (const engine::PublishedPort& port : ports) sorted.push_back(&port);
  // A published port comes first, its copy for the other family right behind it.
  const auto key = [](const engine::PublishedPort* p) {
    return std::make_tuple(p->host_port == 0, std::string(engine::ProtocolName(p->protocol)),
                           p->host_ip, p->container_port, p->host_port);
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto* a, const auto* b) { return key(a) < key(b); });
  std::vector<PortRun> runs;
  for (const engine::PublishedPort* port : sorted) {
    const std::string protocol(engine::ProtocolName(port->protocol));
    PortRun* last = runs.empty() ? nullptr : &runs.back();
    const bool continues = last != nullptr && last->ip == port->host_ip &&
                           last->protocol == protocol &&
                           (last->host_first == 0) == (port->host_port == 0) &&
                           port->container_port == last->last + 1 &&
                           (port->host_port == 0 ||
                            port->host_port == last->host_first + (last->last - last->first) + 1);
    if (continues) {
      last->last = port->container_port;
    } else {
      runs.push_back(
          {port->host_ip, protocol, port->host_port, port->container_port, port->container_port});
    }
  }
  std::stable_sort(runs.begin(), runs.end(), [](const PortRun& a, const PortRun& b) {
    return std::tie(a.first, a.protocol, a.ip) < std::tie(b.first, b.protocol, b.ip);
  });
  std::vector<std::string> texts;
  for (const PortRun& run : runs) texts.push_back(RunText(run));
  return Join(texts, ", ");
}

std::string AgoText(int64_t moment, int64_t now) {
  return moment == 0 ? "N/A" : Since(moment, now) + " ago";
}

std::string DateText(int64_t moment) {
  const time_t seconds = moment / kSecond;
  tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 64> buffer{};
  const size_t length = strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%S %z %Z", &local);
  return std::string(buffer.data(), length);
}

std::string CommandText(const std::vector<std::string>& command, bool whole) {
  const std::string text = Join(command, " ");
  return JsonQuote(whole ? text : Ellipsis(text, kCommandWidth));
}

std::string LabelsText(const engine::Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ',';
    out += key + '=' + value;
  }
  return out;
}

std::string ShortId(std::string_view id) {
  if (id.starts_with("sha256:")) id.remove_prefix(7);
  return std::string(id.substr(0, 12));
}

std::string BinarySize(int64_t bytes) {
  static constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024.0 && unit + 1 < kUnits.size(); ++unit) value /= 1024.0;
  return fmt::format("{:.4g}{}", value, kUnits[unit]);
}

}  // namespace skiff::cli
