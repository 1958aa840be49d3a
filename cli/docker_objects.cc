#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/fd.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/exit_status.h"
#include "cli/flag_values.h"
#include "cli/image_change.h"
#include "cli/listing.h"
#include "cli/operands.h"
#include "cli/status_text.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr Column kImageColumns[] = {
    {"Repository", "REPOSITORY"},         {"Tag", "TAG"},
    {"Digest", "DIGEST", false},          {"ID", "IMAGE ID"},
    {"CreatedSince", "CREATED"},          {"Size", "SIZE"},
    {"Containers", "CONTAINERS", false},  {"CreatedAt", "CREATED AT", false},
    {"SharedSize", "SHARED SIZE", false}, {"UniqueSize", "UNIQUE SIZE", false}};
constexpr Column kImageDigestColumns[] = {{"Repository", "REPOSITORY"}, {"Tag", "TAG"},
                                          {"Digest", "DIGEST"},         {"ID", "IMAGE ID"},
                                          {"CreatedSince", "CREATED"},  {"Size", "SIZE"}};
constexpr Column kNetworkColumns[] = {{"ID", "NETWORK ID"},
                                      {"Name", "NAME"},
                                      {"Driver", "DRIVER"},
                                      {"Scope", "SCOPE"},
                                      {"CreatedAt", "CREATED AT", false},
                                      {"IPv4", "IPV4", false},
                                      {"IPv6", "IPV6", false},
                                      {"Internal", "INTERNAL", false},
                                      {"Labels", "LABELS", false}};
constexpr Column kVolumeColumns[] = {
    {"Driver", "DRIVER"},        {"Name", "VOLUME NAME"},
    {"Labels", "LABELS", false}, {"Mountpoint", "MOUNTPOINT", false},
    {"Scope", "SCOPE", false},   {"Size", "SIZE", false}};

Result<std::map<std::string, std::string>> Pairs(const std::vector<std::string>& words,
                                                 std::string_view what) {
  std::map<std::string, std::string> out;
  for (const std::string& word : words) {
    SKIFF_ASSIGN(auto pair, ParseKeyValue(word, what));
    out.insert_or_assign(std::move(pair.first), std::move(pair.second));
  }
  return out;
}

// "repo:tag" in its two halves; a colon before a slash belongs to a registry's port.
std::pair<std::string, std::string> SplitReference(const std::string& reference) {
  const size_t colon = reference.rfind(':');
  const size_t slash = reference.rfind('/');
  if (colon == std::string::npos || (slash != std::string::npos && colon < slash)) {
    return {reference, "<none>"};
  }
  return {reference.substr(0, colon), reference.substr(colon + 1)};
}

// Values of --filter by key; unknown keys are errors.
Result<std::map<std::string, std::vector<std::string>>> Filters(
    const Arguments& arguments, std::initializer_list<std::string_view> known) {
  std::map<std::string, std::vector<std::string>> filters;
  for (const std::string& word : arguments.List("filter")) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    if (equals == std::string::npos || std::find(known.begin(), known.end(), key) == known.end()) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid filter '{}'", key));
    }
    filters[key].push_back(word.substr(equals + 1));
  }
  return filters;
}

bool HasLabels(const engine::Labels& labels, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& word) {
    const size_t equals = word.find('=');
    const auto found = labels.find(word.substr(0, equals));
    return found != labels.end() &&
           (equals == std::string::npos || found->second == word.substr(equals + 1));
  });
}

// Whether one of the values of a filter fits; without the filter everything does.
template <typename Test>
bool AnyOf(const std::map<std::string, std::vector<std::string>>& filters, const std::string& key,
           Test test) {
  const auto found = filters.find(key);
  return found == filters.end() || std::any_of(found->second.begin(), found->second.end(), test);
}

bool NamesImage(const std::string& reference, const std::string& wanted) {
  const auto [repository, tag] = SplitReference(reference);
  return reference == wanted || repository == wanted;
}

Json ImageRow(const engine::Image& image, const std::string& reference, int64_t now, bool whole) {
  const auto [repository, tag] = reference.empty()
                                     ? std::pair<std::string, std::string>("<none>", "<none>")
                                     : SplitReference(reference);
  std::string digest = "<none>";
  for (const std::string& known : image.digests) {
    if (known.starts_with(repository + '@')) digest = known.substr(repository.size() + 1);
  }
  return {{"Containers", "N/A"},
          {"CreatedAt", DateText(image.created_at)},
          {"CreatedSince", AgoText(image.created_at, now)},
          {"Digest", digest},
          {"ID", whole ? image.id : ShortId(image.id)},
          {"Repository", repository},
          {"SharedSize", "N/A"},
          {"Size", FormatSize(image.size)},
          {"Tag", tag},
          {"UniqueSize", "N/A"}};
}

Status PrintListing(Context& context, std::span<const Column> columns,
                    const std::vector<Json>& rows, const std::string& format) {
  SKIFF_ASSIGN(const std::string text, RenderListing(columns, rows, {.format = format}));
  return context.Print(text);
}

}  // namespace

Result<int> RunImageList(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const auto filters, Filters(arguments, {"reference", "label", "dangling"}));
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(auto images, engine->ListImages());
  std::stable_sort(images.begin(), images.end(),
                   [](const auto& a, const auto& b) { return a.created_at > b.created_at; });
  const bool whole = arguments.Bool("no-trunc");
  const std::string wanted = arguments.Operand(0);
  std::vector<Json> rows;
  std::vector<std::string> ids;
  for (const engine::Image& image : images) {
    const auto labels = filters.find("label");
    if (labels != filters.end() && !HasLabels(image.config.labels, labels->second)) continue;
    // A name is one line, however many platforms it stands for.
    if (image.references.empty() && !image.platform_of.empty() && !arguments.Bool("all")) continue;
    std::vector<std::string> references = image.references;
    if (references.empty()) references.emplace_back();
    for (const std::string& reference : references) {
      if (!wanted.empty() && !NamesImage(reference, wanted)) continue;
      const bool fits =
          AnyOf(filters, "reference", [&](const auto& v) { return NamesImage(reference, v); }) &&
          AnyOf(filters, "dangling",
                [&](const auto& v) { return reference.empty() == ParseBool(v).value_or(true); });
      if (!fits) continue;
      rows.push_back(ImageRow(image, reference, context.now(), whole));
      const std::string id = whole ? image.id : ShortId(image.id);
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
  }
  if (arguments.Bool("quiet") && !arguments.Has("format")) {
    std::string out;
    for (const std::string& id : ids) out += id + '\n';
    SKIFF_TRY(context.Print(out));
    return 0;
  }
  const std::span<const Column> columns = arguments.Bool("digests")
                                              ? std::span<const Column>(kImageDigestColumns)
                                              : std::span<const Column>(kImageColumns);
  SKIFF_TRY(PrintListing(context, columns, rows, arguments.Text("format")));
  return 0;
}

Result<int> RunImageImport(Context& context, const Arguments& arguments) {
  engine::ImportOptions options;
  options.reference = arguments.Operand(1);
  options.message = arguments.Text("message");
  for (const std::string& change : arguments.List("change")) {
    SKIFF_TRY(ApplyImageChange(change, options.config));
  }
  const std::string path = arguments.Operand(0);
  if (path.starts_with("http://") || path.starts_with("https://")) {
    return Fail(Code::kUnsupported, "importing from a URL is not supported by this version");
  }
  Fd file;
  int tar = context.around().in;
  if (path != "-") {
    SKIFF_ASSIGN(file, OpenFile(path, O_RDONLY));
    tar = file.get();
  }
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const std::string id, engine->ImportImage(tar, options));
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(context.Print(id + '\n'));
  return 0;
}

Result<int> RunImageTag(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_TRY(engine->TagImage(arguments.Operand(0), arguments.Operand(1)));
  SKIFF_TRY(engine->Commit());
  return 0;
}

Result<int> RunImageRemove(Context& context, const Arguments& arguments) {
  return ForEachOperand(context, arguments,
                        [&](engine::Engine& engine, const std::string& ref) -> Status {
                          SKIFF_ASSIGN(const engine::RemovedImage removed,
                                       engine.RemoveImage(ref, arguments.Bool("force")));
                          std::string out;
                          for (const std::string& name : removed.untagged)
                            out += fmt::format("Untagged: {}\n", name);
                          for (const std::string& id : removed.deleted)
                            out += fmt::format("Deleted: {}\n", id);
                          return context.Print(out);
                        });
}

Result<int> RunNetworkList(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(auto filters, Filters(arguments, {"name", "id", "driver", "label"}));
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(auto networks, engine->ListNetworks(filters["label"]));
  filters.erase("label");
  std::sort(networks.begin(), networks.end(),
            [](const auto& a, const auto& b) { return a.config.name < b.config.name; });
  std::vector<Json> rows;
  std::string ids;
  const bool whole = arguments.Bool("no-trunc");
  for (const engine::Network& network : networks) {
    const std::string& name = network.config.name;
    const std::string driver = network.config.driver.empty() ? "bridge" : network.config.driver;
    const bool fits =
        AnyOf(filters, "name", [&](const auto& v) { return name.find(v) != std::string::npos; }) &&
        AnyOf(filters, "id", [&](const auto& v) { return network.id.starts_with(v); }) &&
        AnyOf(filters, "driver", [&](const auto& v) { return driver == v; });
    if (!fits) continue;
    const std::string id = whole ? network.id : ShortId(network.id);
    ids += id + '\n';
    rows.push_back({{"CreatedAt", DateText(network.created_at)},
                    {"Driver", driver},
                    {"ID", id},
                    {"IPv4", "true"},
                    {"IPv6", network.config.enable_ipv6 ? "true" : "false"},
                    {"Internal", network.config.internal ? "true" : "false"},
                    {"Label", network.config.labels},
                    {"Labels", LabelsText(network.config.labels)},
                    {"Name", name},
                    {"Scope", "local"}});
  }
  if (arguments.Bool("quiet") && !arguments.Has("format")) {
    SKIFF_TRY(context.Print(ids));
    return 0;
  }
  SKIFF_TRY(PrintListing(context, kNetworkColumns, rows, arguments.Text("format")));
  return 0;
}

Result<int> RunNetworkCreate(Context& context, const Arguments& arguments) {
  engine::NetworkConfig config;
  config.name = arguments.Operand(0);
  config.driver = arguments.Text("driver");
  SKIFF_ASSIGN(config.options, Pairs(arguments.List("opt"), "option"));
  SKIFF_ASSIGN(config.labels, Pairs(arguments.List("label"), "label"));
  config.internal = arguments.Bool("internal");
  config.attachable = arguments.Bool("attachable");
  config.enable_ipv6 = arguments.Bool("ipv6");
  const std::vector<std::string>& subnets = arguments.List("subnet");
  const std::vector<std::string>& gateways = arguments.List("gateway");
  const std::vector<std::string>& ranges = arguments.List("ip-range");
  if (subnets.empty() && (!gateways.empty() || !ranges.empty())) {
    return Fail(Code::kInvalidArgument, "--gateway and --ip-range need a --subnet");
  }
  if (gateways.size() > subnets.size() || ranges.size() > subnets.size()) {
    return Fail(Code::kInvalidArgument, "there are more gateways or ranges than subnets");
  }
  for (size_t i = 0; i < subnets.size(); ++i) {
    engine::Subnet subnet;
    subnet.subnet = subnets[i];
    if (i < gateways.size()) subnet.gateway = gateways[i];
    if (i < ranges.size()) subnet.ip_range = ranges[i];
    config.subnets.push_back(std::move(subnet));
  }
  if (!config.subnets.empty()) {
    SKIFF_ASSIGN(config.subnets[0].auxiliary_addresses,
                 Pairs(arguments.List("aux-address"), "auxiliary address"));
  }
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const engine::Network network, engine->CreateNetwork(config));
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(context.Print(network.id + '\n'));
  return 0;
}

Result<int> RunNetworkRemove(Context& context, const Arguments& arguments) {
  const bool force = arguments.Bool("force");
  return ForEachOperand(context, arguments,
                        [&](engine::Engine& engine, const std::string& ref) -> Status {
                          const Status removed = engine.RemoveNetwork(ref);
                          if (!removed && force && removed.error().code == Code::kNotFound)
                            return {};
                          SKIFF_TRY(removed);
                          return context.Print(ref + '\n');
                        });
}

Result<int> RunNetworkConnect(Context& context, const Arguments& arguments) {
  engine::EndpointRequest endpoint;
  endpoint.network = arguments.Operand(0);
  endpoint.aliases = arguments.List("alias");
  endpoint.ipv4_address = arguments.Text("ip");
  endpoint.ipv6_address = arguments.Text("ip6");
  endpoint.gateway_priority = static_cast<int>(arguments.Number("gw-priority").value_or(0));
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_TRY(engine->ConnectNetwork(arguments.Operand(1), endpoint));
  SKIFF_TRY(engine->Commit());
  return 0;
}

Result<int> RunNetworkDisconnect(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_TRY(engine->DisconnectNetwork(arguments.Operand(1), arguments.Operand(0)));
  SKIFF_TRY(engine->Commit());
  return 0;
}

Result<int> RunVolumeList(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(auto filters, Filters(arguments, {"name", "label", "driver"}));
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(auto volumes, engine->ListVolumes(filters["label"]));
  filters.erase("label");
  std::sort(volumes.begin(), volumes.end(),
            [](const auto& a, const auto& b) { return a.config.name < b.config.name; });
  std::vector<Json> rows;
  std::string names;
  for (const engine::Volume& volume : volumes) {
    const std::string& name = volume.config.name;
    const std::string driver = volume.config.driver.empty() ? "local" : volume.config.driver;
    const bool fits =
        AnyOf(filters, "name", [&](const auto& v) { return name.find(v) != std::string::npos; }) &&
        AnyOf(filters, "driver", [&](const auto& v) { return driver == v; });
    if (!fits) continue;
    names += name + '\n';
    rows.push_back({{"Driver", driver},
                    {"Label", volume.config.labels},
                    {"Labels", LabelsText(volume.config.labels)},
                    {"Mountpoint", volume.mountpoint},
                    {"Name", name},
                    {"Scope", "local"},
                    {"Size", "N/A"}});
  }
  if (arguments.Bool("quiet") && !arguments.Has("format")) {
    SKIFF_TRY(context.Print(names));
    return 0;
  }
  SKIFF_TRY(PrintListing(context, kVolumeColumns, rows, arguments.Text("format")));
  return 0;
}

Result<int> RunVolumeCreate(Context& context, const Arguments& arguments) {
  engine::VolumeConfig config;
  config.name = arguments.Operand(0);
  config.driver = arguments.Text("driver");
  SKIFF_ASSIGN(config.options, Pairs(arguments.List("opt"), "option"));
  SKIFF_ASSIGN(config.labels, Pairs(arguments.List("label"), "label"));
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const engine::Volume volume, engine->CreateVolume(config));
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(context.Print(volume.config.name + '\n'));
  return 0;
}

Result<int> RunVolumeRemove(Context& context, const Arguments& arguments) {
  const bool force = arguments.Bool("force");
  return ForEachPrinted(context, arguments,
                        [&](engine::Engine& engine, const std::string& ref) -> Status {
                          const Status removed = engine.RemoveVolume(ref);
                          const bool missing = !removed && removed.error().code == Code::kNotFound;
                          return force && missing ? Status() : removed;
                        });
}

}  // namespace skiff::cli
