#include "cli/container_row.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/status_text.h"
#include "cli/text_table.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMountWidth = 15;

constexpr Column kContainerColumns[] = {
    {"ID", "CONTAINER ID"},
    {"Image", "IMAGE"},
    {"Command", "COMMAND"},
    {"RunningFor", "CREATED"},
    {"Status", "STATUS"},
    {"Ports", "PORTS"},
    {"Names", "NAMES"},
    {"CreatedAt", "CREATED AT", false},
    {"Labels", "LABELS", false},
    {"LocalVolumes", "LOCAL VOLUMES", false},
    {"Mounts", "MOUNTS", false},
    {"Networks", "NETWORKS", false},
    {"Platform", "PLATFORM", false},
    {"Size", "SIZE", false},
    {"State", "STATE", false},
};

std::string MountsText(const engine::Container& container, bool whole) {
  std::vector<std::string> names;
  for (const engine::Mount& mount : container.mounts) {
    const std::string& name = mount.name.empty() ? mount.source : mount.name;
    names.push_back(whole ? name : Ellipsis(name, kMountWidth));
  }
  return Join(names, ",");
}

}  // namespace

std::vector<Column> ContainerColumns(bool with_size) {
  std::vector<Column> columns(std::begin(kContainerColumns),
                              std::end(kContainerColumns));
  for (Column& column : columns) column.shown = column.shown || (with_size && column.field == "Size");
  return columns;
}

Result<ContainerSizes> SizesOf(engine::Engine& engine, const engine::Container& container) {
  ContainerSizes sizes;
  SKIFF_ASSIGN(sizes.written, engine.WrittenSize(container.id));
  const auto image = engine.InspectImage(container.image_id);
  sizes.whole = sizes.written + (image ? image->size : 0);
  return sizes;
}

std::string SizeText(const ContainerSizes& sizes) {
  return fmt::format("{} (virtual {})", FormatSize(sizes.written, 3), FormatSize(sizes.whole, 3));
}

Json ContainerRow(const engine::Container& container, int64_t now, bool whole) {
  std::vector<std::string> networks;
  for (const engine::Endpoint& endpoint : container.endpoints) networks.push_back(endpoint.network);
  if (networks.empty() && !container.config.network_mode.empty()) {
    networks.push_back(container.config.network_mode);
  }
  int volumes = 0;
  for (const engine::Mount& mount : container.mounts) {
    volumes += mount.kind == engine::MountKind::kVolume ? 1 : 0;
  }
  Json row;
  row["Command"] = CommandText(container.command, whole);
  row["CreatedAt"] = DateText(container.created_at);
  row["ID"] = whole ? container.id : ShortId(container.id);
  row["Image"] = container.image.empty() ? ShortId(container.image_id) : container.image;
  row["Label"] = container.labels;
  row["Labels"] = LabelsText(container.labels);
  row["LocalVolumes"] = std::to_string(volumes);
  row["Mounts"] = MountsText(container, whole);
  row["Names"] = container.name;
  row["Networks"] = Join(networks, ",");
  row["Platform"] = nullptr;
  row["Ports"] = container.state.running() ? PortsText(container.ports) : "";
  row["RunningFor"] = AgoText(container.created_at, now);
  row["Size"] = "0B";
  row["State"] = engine::ContainerStatusName(container.state.status);
  row["Status"] = StatusText(container.state, now);
  return row;
}

}  // namespace skiff::cli
