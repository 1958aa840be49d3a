#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "base/units.h"
#include "cli/container_row.h"
#include "cli/flag_values.h"
#include "cli/listing.h"
#include "cli/status_text.h"
#include "cli/terminal_session.h"
#include "cli/verbs.h"
#include "compose/use_cases.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr Column kPsColumns[] = {
    {"Name", "NAME"},
    {"Image", "IMAGE"},
    {"Command", "COMMAND"},
    {"Service", "SERVICE"},
    {"RunningFor", "CREATED"},
    {"Status", "STATUS"},
    {"Ports", "PORTS"},
    {"CreatedAt", "CREATED AT", false},
    {"ExitCode", "EXIT CODE", false},
    {"Health", "HEALTH", false},
    {"ID", "CONTAINER ID", false},
    {"Labels", "LABELS", false},
    {"LocalVolumes", "LOCAL VOLUMES", false},
    {"Mounts", "MOUNTS", false},
    {"Names", "NAMES", false},
    {"Networks", "NETWORKS", false},
    {"Project", "PROJECT", false},
    {"Publishers", "PUBLISHERS", false},
    {"Size", "SIZE", false},
    {"State", "STATE", false},
};
constexpr Column kLsColumns[] = {
    {"Name", "NAME"}, {"Status", "STATUS"}, {"ConfigFiles", "CONFIG FILES"}};
constexpr Column kImageColumns[] = {
    {"ContainerName", "CONTAINER"}, {"Repository", "REPOSITORY"}, {"Tag", "TAG"},
    {"Platform", "PLATFORM"},       {"ShortID", "IMAGE ID"},      {"Size", "SIZE"},
    {"Created", "CREATED"}};
constexpr Column kVolumeColumns[] = {{"Driver", "DRIVER"},
                                     {"Name", "VOLUME NAME"},
                                     {"Labels", "LABELS", false},
                                     {"Mountpoint", "MOUNTPOINT", false},
                                     {"Scope", "SCOPE", false}};
constexpr size_t kWideColumns = 20;  // docker compose ls, images

Json PsRow(const compose::PsEntry& entry, int64_t now, bool whole) {
  const engine::Container& container = entry.container;
  Json row = ContainerRow(container, now, whole);
  row.erase("Platform");
  row["ExitCode"] = container.state.exit_code;
  const bool probed = container.state.health != engine::HealthStatus::kNone;
  row["Health"] = probed ? engine::HealthStatusName(container.state.health) : "";
  row["Name"] = container.name;
  row["Project"] = entry.project;
  Json publishers = Json::array();
  for (const engine::PublishedPort& port : container.ports) {
    publishers.push_back({{"URL", port.host_ip},
                          {"TargetPort", port.container_port},
                          {"PublishedPort", port.host_port},
                          {"Protocol", engine::ProtocolName(port.protocol)}});
  }
  row["Publishers"] = std::move(publishers);
  row["Service"] = entry.service;
  return row;
}

Result<std::vector<std::string>> WantedStatuses(const Arguments& arguments) {
  std::vector<std::string> statuses = arguments.List("status");
  for (const std::string& filter : arguments.List("filter")) {
    if (!filter.starts_with("status=")) {
      return Fail(Code::kInvalidArgument, fmt::format("unknown filter {}", filter));
    }
    statuses.push_back(filter.substr(7));
  }
  for (const std::string& status : statuses) {
    constexpr std::string_view kKnown[] = {"paused", "restarting", "removing", "running",
                                           "dead",   "created",    "exited"};
    if (std::find(std::begin(kKnown), std::end(kKnown), status) == std::end(kKnown)) {
      return Fail(Code::kInvalidArgument, fmt::format("unknown status '{}'", status));
    }
  }
  return statuses;
}

std::string Lines(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + '\n';
  return out;
}

SessionOptions SessionOf(const Context& context, bool tty, bool interactive) {
  SessionOptions options;
  options.tty = tty;
  options.interactive = interactive;
  options.in = context.around().in;
  options.out = context.around().out;
  options.err = context.around().err;
  return options;
}

}  // namespace

Result<int> RunPs(Context& context, const Arguments& arguments) {
  compose::PsOptions options;
  options.services = arguments.operands();
  options.orphans = arguments.Bool("orphans");
  SKIFF_ASSIGN(options.statuses, WantedStatuses(arguments));
  options.all = arguments.Bool("all") || !options.statuses.empty();
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, options.services));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  SKIFF_ASSIGN(const auto entries, compose::Ps(use, project.ref, options));
  std::vector<std::string> lines;
  if (arguments.Bool("quiet")) {
    for (const compose::PsEntry& entry : entries) lines.push_back(entry.container.id);
    SKIFF_TRY(context.Print(Lines(lines)));
    return 0;
  }
  if (arguments.Bool("services")) {
    std::set<std::string> services;
    for (const compose::PsEntry& entry : entries) services.insert(entry.service);
    SKIFF_TRY(context.Print(Lines({services.begin(), services.end()})));
    return 0;
  }
  std::vector<Json> rows;
  for (const compose::PsEntry& entry : entries) {
    rows.push_back(PsRow(entry, context.now(), arguments.Bool("no-trunc")));
  }
  SKIFF_ASSIGN(const std::string text,
               RenderListing(kPsColumns, rows, {.format = arguments.Text("format")}));
  SKIFF_TRY(context.Print(text));
  return 0;
}

Result<int> RunLogs(Context& context, const Arguments& arguments) {
  compose::LogsOptions options;
  options.services = arguments.operands();
  options.follow = arguments.Bool("follow");
  SKIFF_ASSIGN(options.tail, ParseTail(arguments.Text("tail")));
  SKIFF_ASSIGN(options.since, ParseMoment(arguments.Text("since"), context.now()));
  SKIFF_ASSIGN(options.until, ParseMoment(arguments.Text("until"), context.now()));
  options.index = static_cast<int>(arguments.Number("index").value_or(0));
  options.style.prefix = !arguments.Bool("no-log-prefix");
  options.style.timestamps = arguments.Bool("timestamps");
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, options.services));
  SKIFF_ASSIGN(compose::Context use, context.ComposeContext(project.sources));
  if (arguments.Bool("no-color")) use.output.color = false;
  SKIFF_TRY(compose::Logs(use, project.ref, options));
  return 0;
}

Result<int> RunExec(Context& context, const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.operands();
  compose::ExecOptions options;
  options.service = words[0];
  options.command.assign(words.begin() + 1, words.end());
  SKIFF_ASSIGN(options.environment,
               ResolveEnvironment(arguments.List("env"), context.around().environment));
  options.user = arguments.Text("user");
  options.working_dir = arguments.Text("workdir");
  options.index = static_cast<int>(arguments.Number("index").value_or(0));
  options.detach = arguments.Bool("detach");
  options.privileged = arguments.Bool("privileged");
  if (arguments.Bool("tty") && !IsTerminal(context.around().in)) {
    return Fail(Code::kInvalidArgument, "the input device is not a TTY");
  }
  options.tty = !arguments.Bool("no-tty") && !options.detach && IsTerminal(context.around().in) &&
                IsTerminal(context.around().out);
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, {options.service}));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  SKIFF_ASSIGN(const auto driver,
               TerminalSession::Create(SessionOf(context, options.tty, !options.detach)));
  return compose::Exec(use, project.ref, options, *driver);
}

Result<int> RunPort(Context& context, const Arguments& arguments) {
  compose::PortOptions options;
  options.service = arguments.Operand(0);
  const std::string port = arguments.Operand(1);
  const size_t slash = port.find('/');
  const auto number = ParseNumber<uint16_t>(std::string_view(port).substr(0, slash));
  if (!number || *number == 0) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid port '{}'", port));
  }
  options.port = *number;
  options.protocol =
      slash == std::string::npos ? arguments.Text("protocol") : port.substr(slash + 1);
  if (options.protocol != "tcp" && options.protocol != "udp" && options.protocol != "sctp") {
    return Fail(Code::kInvalidArgument, fmt::format("invalid protocol '{}'", options.protocol));
  }
  options.index = static_cast<int>(arguments.Number("index").value_or(0));
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, {options.service}));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  SKIFF_ASSIGN(const std::string address, compose::Port(use, project.ref, options));
  SKIFF_TRY(context.Print(address + '\n'));
  return 0;
}

Result<int> RunLs(Context& context, const Arguments& arguments) {
  std::vector<std::unique_ptr<re2::RE2>> names;
  for (const std::string& filter : arguments.List("filter")) {
    if (!filter.starts_with("name=")) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid filter '{}'", filter));
    }
    names.push_back(std::make_unique<re2::RE2>(filter.substr(5), re2::RE2::Quiet));
    if (!names.back()->ok()) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("invalid filter '{}': {}", filter, names.back()->error()));
    }
  }
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(nullptr));
  SKIFF_ASSIGN(const auto entries, compose::Ls(use, arguments.Bool("all")));
  std::vector<Json> rows;
  std::vector<std::string> lines;
  for (const compose::LsEntry& entry : entries) {
    const bool wanted = std::all_of(names.begin(), names.end(), [&](const auto& name) {
      return re2::RE2::PartialMatch(entry.name, *name);
    });
    if (!wanted) continue;
    lines.push_back(entry.name);
    rows.push_back(
        {{"Name", entry.name}, {"Status", entry.status}, {"ConfigFiles", entry.config_files}});
  }
  if (arguments.Bool("quiet")) {
    SKIFF_TRY(context.Print(Lines(lines)));
    return 0;
  }
  SKIFF_ASSIGN(const std::string text, RenderListing(kLsColumns, rows,
                                                     {.format = arguments.Text("format"),
                                                      .minimum_width = kWideColumns,
                                                      .json_array = true}));
  SKIFF_TRY(context.Print(text));
  return 0;
}

Result<int> RunWait(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, arguments.operands()));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  return compose::Wait(use, project.ref, arguments.operands(), arguments.Bool("down-project"));
}

Result<int> RunComposeImages(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, arguments.operands()));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  SKIFF_ASSIGN(const auto entries, compose::Images(use, project.ref, arguments.operands()));
  const bool json = arguments.Text("format") == "json";
  std::vector<Json> rows;
  std::set<std::string> ids;
  for (const compose::ImagesEntry& entry : entries) {
    std::string id = entry.image_id;
    if (id.starts_with("sha256:")) id.erase(0, 7);
    ids.insert(id);
    Json row = {{"ID", entry.image_id},
                {"ContainerName", entry.container},
                {"Repository", entry.repository},
                {"Tag", entry.tag},
                {"Platform", entry.platform}};
    if (json) {
      row["Size"] = entry.size;
      row["Created"] = FormatTimestamp(entry.created_at);
    } else {
      row["Size"] = FormatSize(entry.size);
      row["Created"] = AgoText(entry.created_at, context.now());
      row["ShortID"] = ShortId(id);
    }
    rows.push_back(std::move(row));
  }
  if (arguments.Bool("quiet")) {
    SKIFF_TRY(context.Print(Lines({ids.begin(), ids.end()})));
    return 0;
  }
  SKIFF_ASSIGN(const std::string text, RenderListing(kImageColumns, rows,
                                                     {.format = arguments.Text("format"),
                                                      .minimum_width = kWideColumns,
                                                      .json_array = true}));
  SKIFF_TRY(context.Print(text));
  return 0;
}

Result<int> RunComposeVolumes(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, arguments.operands()));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  SKIFF_ASSIGN(const auto volumes, compose::Volumes(use, project.ref, arguments.operands()));
  std::vector<Json> rows;
  std::vector<std::string> names;
  for (const engine::Volume& volume : volumes) {
    names.push_back(volume.config.name);
    rows.push_back({{"Driver", volume.config.driver.empty() ? "local" : volume.config.driver},
                    {"Name", volume.config.name},
                    {"Label", volume.config.labels},
                    {"Labels", LabelsText(volume.config.labels)},
                    {"Mountpoint", volume.mountpoint},
                    {"Scope", "local"}});
  }
  if (arguments.Bool("quiet")) {
    SKIFF_TRY(context.Print(Lines(names)));
    return 0;
  }
  SKIFF_ASSIGN(const std::string text,
               RenderListing(kVolumeColumns, rows, {.format = arguments.Text("format")}));
  SKIFF_TRY(context.Print(text));
  return 0;
}

}  // namespace skiff::cli
