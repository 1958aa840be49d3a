// `docker stats` and `compose stats`.
#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/exit_status.h"
#include "cli/listing.h"
#include "cli/status_text.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr Column kStatsColumns[] = {
    {"ID", "CONTAINER ID"},
    {"Name", "NAME"},
    {"CPUPerc", "CPU %"},
    {"MemUsage", "MEM USAGE / LIMIT"},
    {"MemPerc", "MEM %"},
    {"NetIO", "NET I/O"},
    {"BlockIO", "BLOCK I/O"},
    {"PIDs", "PIDS"},
    {"Container", "CONTAINER", false},
};
// Between two readings: of one table, and of a stream.
constexpr int kFirstInterval = 500;  // Milliseconds.
constexpr int kInterval = 1000;

std::string Pair(int64_t in, int64_t out) {
  return FormatSize(in, 3) + " / " + FormatSize(out, 3);
}

struct Reading {
  engine::Container container;
  std::string asked;  // As the container was named on the command line.
  engine::ContainerUsage usage;
};

Json RowOf(const Reading& now, const engine::ContainerUsage* before, bool whole) {
  const engine::ContainerUsage& usage = now.usage;
  double processor = 0;
  if (before != nullptr && usage.time > before->time && usage.cpu_ns > before->cpu_ns) {
    processor = 100.0 * static_cast<double>(usage.cpu_ns - before->cpu_ns) /
                static_cast<double>(usage.time - before->time);
  }
  const double memory = usage.memory_limit == 0 ? 0
                                                : 100.0 * static_cast<double>(usage.memory) /
                                                      static_cast<double>(usage.memory_limit);
  constexpr size_t kShort = 12;
  return {{"BlockIO", Pair(usage.read_bytes, usage.written_bytes)},
          {"CPUPerc", fmt::format("{:.2f}%", processor)},
          {"Container", now.asked},
          {"ID", whole ? now.container.id : now.container.id.substr(0, kShort)},
          {"MemPerc", fmt::format("{:.2f}%", memory)},
          {"MemUsage", BinarySize(usage.memory) + " / " + BinarySize(usage.memory_limit)},
          {"Name", now.container.name},
          {"NetIO", Pair(usage.received_bytes, usage.sent_bytes)},
          {"PIDs", std::to_string(usage.processes)}};
}

using List = std::function<Result<std::vector<Reading>>()>;

// Who has gone between the list and the question is left out.
Result<std::vector<Reading>> ReadAll(engine::Engine& engine, const List& list) {
  SKIFF_ASSIGN(std::vector<Reading> all, list());
  std::vector<Reading> read;
  for (Reading& reading : all) {
    auto usage = engine.ReadUsage(reading.container.id);
    if (!usage && usage.error().code == Code::kNotFound) continue;
    if (!usage) return Fail(usage.error());
    reading.usage = *usage;
    read.push_back(std::move(reading));
  }
  return read;
}

// Lines are written over in place, so that nothing flickers.
std::string Redrawn(const std::string& text) {
  std::string frame = "\033[H";
  for (const char c : text) frame += c == '\n' ? std::string("\033[K\n") : std::string(1, c);
  return frame + "\033[J";
}

// `interrupted`: what Ctrl-C makes the exit code.
Result<int> Show(Context& context, const Arguments& arguments, int interrupted, const List& list) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const int interrupt, context.InterruptFd());
  const bool stream = !arguments.Bool("no-stream");
  const bool redraw = stream && IsTerminal(context.around().out);
  std::map<std::string, engine::ContainerUsage> before;
  SKIFF_ASSIGN(std::vector<Reading> readings, ReadAll(*engine, list));
  if (redraw) SKIFF_TRY(context.Print("\033[H\033[J"));
  for (int interval = kFirstInterval;; interval = kInterval) {
    for (const Reading& reading : readings) before[reading.container.id] = reading.usage;
    pollfd wanted = {interrupt, POLLIN, 0};
    if (::poll(&wanted, 1, interval) > 0) return interrupted;
    SKIFF_ASSIGN(readings, ReadAll(*engine, list));
    std::vector<Json> rows;
    for (const Reading& reading : readings) {
      const auto known = before.find(reading.container.id);
      rows.push_back(RowOf(reading, known == before.end() ? nullptr : &known->second,
                           arguments.Bool("no-trunc")));
    }
    SKIFF_ASSIGN(const std::string text,
                 RenderListing(kStatsColumns, rows, {.format = arguments.Text("format")}));
    SKIFF_TRY(context.Print(redraw ? Redrawn(text) : text));
    if (!stream) return 0;
  }
}

}  // namespace

Result<int> RunContainerStats(Context& context, const Arguments& arguments) {
  const std::vector<std::string>& names = arguments.operands();
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  for (const std::string& name : names) SKIFF_TRY(engine->InspectContainer(name));
  return Show(context, arguments, 0, [&]() -> Result<std::vector<Reading>> {
    std::vector<Reading> all;
    for (const std::string& name : names) {
      SKIFF_ASSIGN(engine::Container container, engine->InspectContainer(name));
      all.push_back({std::move(container), name, {}});
    }
    if (!names.empty()) return all;
    engine::ContainerFilter filter;
    filter.all = arguments.Bool("all");
    SKIFF_ASSIGN(std::vector<engine::Container> containers, engine->ListContainers(filter));
    for (engine::Container& container : containers) {
      const std::string id = container.id;
      all.push_back({std::move(container), id, {}});
    }
    return all;
  });
}

Result<int> RunComposeStats(Context& context, const Arguments& arguments) {
  compose::PsOptions options;
  options.services = arguments.operands();
  options.all = arguments.Bool("all");
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, options.services));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  return Show(context, arguments, kExitInterrupted, [&]() -> Result<std::vector<Reading>> {
    std::vector<Reading> all;
    SKIFF_ASSIGN(auto entries, compose::Ps(use, project.ref, options));
    for (compose::PsEntry& entry : entries) {
      const std::string id = entry.container.id;
      all.push_back({std::move(entry.container), id, {}});
    }
    return all;
  });
}

}  // namespace skiff::cli
