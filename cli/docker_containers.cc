#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/text.h"
#include "cli/container_row.h"
#include "cli/exit_status.h"
#include "cli/flag_values.h"
#include "cli/listing.h"
#include "cli/operands.h"
#include "cli/process_table.h"
#include "cli/status_text.h"
#include "cli/text_table.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

// One condition of `docker ps --filter key=value`.
struct Filter {
  std::string key, value;
};

Result<std::vector<Filter>> ParseFilters(const std::vector<std::string>& words) {
  constexpr std::string_view kKnown[] = {"id",     "name",    "label",  "status", "ancestor",
                                         "volume", "network", "exited", "health"};
  std::vector<Filter> filters;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    Filter filter{ToLower(Trim(std::string_view(word).substr(0, equals))),
                  equals == std::string::npos ? "" : word.substr(equals + 1)};
    if (equals == std::string::npos) {
      return Fail(
          Code::kInvalidArgument,
          fmt::format("invalid argument \"{}\" for \"-f, --filter\" flag: invalid filter", word));
    }
    if (std::find(std::begin(kKnown), std::end(kKnown), filter.key) == std::end(kKnown)) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid filter '{}'", filter.key));
    }
    filters.push_back(std::move(filter));
  }
  return filters;
}

bool HasLabel(const engine::Labels& labels, const std::string& wanted) {
  const size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  if (found == labels.end()) return false;
  return equals == std::string::npos || found->second == wanted.substr(equals + 1);
}

bool Matches(const engine::Container& container, const Filter& filter) {
  const std::string& value = filter.value;
  if (filter.key == "id") return container.id.starts_with(value);
  if (filter.key == "name") {
    return re2::RE2::PartialMatch(container.name, value) ||
           re2::RE2::PartialMatch('/' + container.name, value);
  }
  if (filter.key == "label") return HasLabel(container.labels, value);
  if (filter.key == "status") return engine::ContainerStatusName(container.state.status) == value;
  if (filter.key == "health") {
    return engine::HealthStatusName(container.state.health) == value;
  }
  if (filter.key == "ancestor") {
    return container.image == value || container.image == value + ":latest" ||
           ShortId(container.image_id) == value || container.image_id == value;
  }
  if (filter.key == "exited") {
    return container.state.status == engine::ContainerStatus::kExited &&
           std::to_string(container.state.exit_code) == value;
  }
  if (filter.key == "volume") {
    return std::any_of(container.mounts.begin(), container.mounts.end(), [&](const auto& mount) {
      return mount.name == value || mount.target == value;
    });
  }
  return std::any_of(container.endpoints.begin(), container.endpoints.end(), [&](const auto& e) {
    return e.network == value || e.network_id.starts_with(value);
  });
}

// Several values of one key are alternatives, those of `label` are not (engine.md 1.13).
bool MatchesAll(const engine::Container& container, const std::vector<Filter>& filters) {
  return std::all_of(filters.begin(), filters.end(), [&](const Filter& filter) {
    if (filter.key == "label") return Matches(container, filter);
    return std::any_of(filters.begin(), filters.end(), [&](const Filter& other) {
      return other.key == filter.key && Matches(container, other);
    });
  });
}

engine::StopOptions StopOptionsOf(const Arguments& arguments) {
  engine::StopOptions options;
  options.signal = arguments.Text("signal");
  const auto seconds =
      arguments.Has("time") ? arguments.Number("time") : arguments.Number("timeout");
  if (seconds) options.timeout = std::chrono::seconds(*seconds);
  return options;
}

std::string HostSide(const engine::PublishedPort& port) {
  const bool v6 = port.host_ip.find(':') != std::string::npos;
  return fmt::format("{}:{}", v6 ? '[' + port.host_ip + ']' : port.host_ip, port.host_port);
}

}  // namespace

Result<int> RunDockerPs(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const auto filters, ParseFilters(arguments.List("filter")));
  const int64_t last = arguments.Bool("latest") ? 1 : arguments.Number("last").value_or(-1);
  const bool by_state = std::any_of(filters.begin(), filters.end(), [](const Filter& filter) {
    return filter.key == "status" || filter.key == "exited";
  });
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  engine::ContainerFilter wanted;
  wanted.all = arguments.Bool("all") || last > 0 || by_state;
  SKIFF_ASSIGN(std::vector<engine::Container> containers, engine->ListContainers(wanted));
  std::stable_sort(containers.begin(), containers.end(),
                   [](const auto& a, const auto& b) { return a.created_at > b.created_at; });
  std::vector<Json> rows;
  std::string ids;
  const bool whole = arguments.Bool("no-trunc");
  const bool sizes = arguments.Bool("size") ||
                     arguments.Text("format").find(".Size") != std::string::npos;
  for (const engine::Container& container : containers) {
    if (!MatchesAll(container, filters)) continue;
    if (last > 0 && static_cast<int64_t>(rows.size()) == last) break;
    rows.push_back(ContainerRow(container, context.now(), whole));
    if (sizes) {
      // It may be on its way out.
      const auto of = SizesOf(*engine, container);
      if (of) rows.back()["Size"] = SizeText(*of);
    }
    ids += (whole ? container.id : ShortId(container.id)) + '\n';
  }
  if (arguments.Bool("quiet") && !arguments.Has("format")) {
    SKIFF_TRY(context.Print(ids));
    return 0;
  }
  SKIFF_ASSIGN(const std::string text,
               RenderListing(ContainerColumns(arguments.Bool("size")), rows,
                             {.format = arguments.Text("format")}));
  SKIFF_TRY(context.Print(text));
  return 0;
}

Result<int> RunDockerStop(Context& context, const Arguments& arguments) {
  const engine::StopOptions options = StopOptionsOf(arguments);
  return ForEachPrinted(context, arguments, [&](engine::Engine& engine, const std::string& ref) {
    return engine.StopContainer(ref, options);
  });
}

Result<int> RunDockerRestart(Context& context, const Arguments& arguments) {
  const engine::StopOptions options = StopOptionsOf(arguments);
  return ForEachPrinted(context, arguments, [&](engine::Engine& engine, const std::string& ref) {
    return engine.RestartContainer(ref, options);
  });
}

Result<int> RunDockerKill(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const int number, ParseSignal(arguments.Text("signal")));
  return ForEachPrinted(context, arguments, [&](engine::Engine& engine, const std::string& ref) {
    return engine.KillContainer(ref, number);
  });
}

Result<int> RunDockerRm(Context& context, const Arguments& arguments) {
  const engine::RemoveOptions options{.force = arguments.Bool("force"),
                                      .anonymous_volumes = arguments.Bool("volumes")};
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  int status = 0;
  for (const std::string& ref : arguments.operands()) {
    Status removed = engine->RemoveContainer(ref, options);
    // docker rm -f: what is not there is told, but is no failure.
    const bool missing = !removed && removed.error().code == Code::kNotFound;
    if (removed) removed = context.Print(ref + '\n');
    if (removed) continue;
    context.Report(removed.error(), nullptr);
    if (!options.force || !missing) status = kExitFailure;
  }
  SKIFF_TRY(engine->Commit());
  return status;
}

Result<int> RunDockerPause(Context& context, const Arguments& arguments) {
  return ForEachPrinted(context, arguments, [](engine::Engine& engine, const std::string& ref) {
    return engine.PauseContainer(ref);
  });
}

Result<int> RunDockerUnpause(Context& context, const Arguments& arguments) {
  return ForEachPrinted(context, arguments, [](engine::Engine& engine, const std::string& ref) {
    return engine.UnpauseContainer(ref);
  });
}

Result<int> RunDockerRename(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_TRY(engine->RenameContainer(arguments.Operand(0), arguments.Operand(1)));
  SKIFF_TRY(engine->Commit());
  return 0;
}

Result<int> RunDockerPort(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const engine::Container container, engine->InspectContainer(arguments.Operand(0)));
  const std::string wanted = arguments.Operand(1);
  std::string out;
  for (const engine::PublishedPort& port : container.ports) {
    if (port.host_port == 0) continue;
    const std::string inner =
        fmt::format("{}/{}", port.container_port, engine::ProtocolName(port.protocol));
    if (wanted.empty()) {
      out += fmt::format("{} -> {}\n", inner, HostSide(port));
    } else if (inner == wanted || inner == wanted + "/tcp") {
      out += HostSide(port) + '\n';
    }
  }
  if (out.empty() && !wanted.empty()) {
    return Fail(Code::kNotFound,
                fmt::format("no public port '{}' published for {}", wanted, arguments.Operand(0)));
  }
  SKIFF_TRY(context.Print(out));
  return 0;
}

Result<int> RunDockerTop(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const engine::Container container, engine->InspectContainer(arguments.Operand(0)));
  if (!container.state.running()) {
    return Fail(Code::kFailedPrecondition,
                fmt::format("container {} is not running", container.id));
  }
  SKIFF_ASSIGN(auto processes, ProcessesOf(container.id, context.now()));
  TextTable table(20);
  table.Add({std::begin(kProcessTitles), std::end(kProcessTitles)});
  for (std::vector<std::string>& row : processes) table.Add(std::move(row));
  SKIFF_TRY(context.Print(table.Render()));
  return 0;
}

}  // namespace skiff::cli
