// Verbs that look at things: ps, port, ls, images, volumes, wait.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "compose/labels.h"
#include "compose/planner/plan_builder.h"
#include "compose/use_case/use_case.h"

namespace skiff::compose {
namespace {

bool IsListed(const engine::ContainerState& state, const PsOptions& options) {
  if (!options.statuses.empty()) {
    const std::string_view name = engine::ContainerStatusName(state.status);
    return std::find(options.statuses.begin(), options.statuses.end(), name) !=
           options.statuses.end();
  }
  return options.all || IsActive(state);
}

Status CheckStatuses(const std::vector<std::string>& statuses) {
  const std::set<std::string_view> known = {"paused", "restarting", "removing", "running",
                                            "dead",   "created",    "exited"};
  for (const std::string& status : statuses) {
    if (!known.count(status)) {
      return Fail(Code::kInvalidArgument, fmt::format("unknown status \"{}\"", status));
    }
  }
  return {};
}

// "running(3), exited(1)" with the names sorted.
std::string CombinedStatus(const std::map<std::string, int>& counts) {
  std::vector<std::string> parts;
  for (const auto& [status, count] : counts) parts.push_back(fmt::format("{}({})", status, count));
  return Join(parts, ", ");
}

std::string DescribePort(const engine::PublishedPort& port) {
  const std::string inner =
      fmt::format("{}/{}", port.container_port, engine::ProtocolName(port.protocol));
  if (port.host_port == 0) return inner;
  return fmt::format("{}:{}->{}", port.host_ip, port.host_port, inner);
}

// Repository and tag of "registry:5000/name:tag".
std::pair<std::string, std::string> SplitReference(const std::string& reference) {
  const size_t slash = reference.rfind('/');
  const size_t colon = reference.rfind(':');
  const bool has_tag = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  if (!has_tag) return {reference, "<none>"};
  return {reference.substr(0, colon), reference.substr(colon + 1)};
}

}  // namespace

Result<std::vector<PsEntry>> Ps(const Context& context, const ProjectRef& project,
                                const PsOptions& options) {
  SKIFF_TRY(CheckStatuses(options.statuses));
  SKIFF_ASSIGN(std::vector<ObservedContainer> containers,
               ObserveContainers(*context.engine, project.name));
  SKIFF_TRY(CheckServices(project, containers, options.services));
  std::vector<PsEntry> result;
  for (ObservedContainer& observed : containers) {
    if (!IsListed(observed.container.state, options)) continue;
    if (observed.oneoff && !options.all && options.statuses.empty()) continue;
    if (!options.services.empty() && std::find(options.services.begin(), options.services.end(),
                                               observed.service) == options.services.end()) {
      continue;
    }
    const bool orphan = project.model && !project.model->services.count(observed.service) &&
                        !project.model->disabled_services.count(observed.service);
    if (orphan && !options.orphans) continue;
    PsEntry entry;
    entry.project = project.name;
    entry.service = observed.service;
    entry.number = observed.number;
    entry.oneoff = observed.oneoff;
    entry.container = std::move(observed.container);
    result.push_back(std::move(entry));
  }
  std::sort(result.begin(), result.end(),
            [](const PsEntry& a, const PsEntry& b) { return a.container.name < b.container.name; });
  return result;
}

Result<std::string> Port(const Context& context, const ProjectRef& project,
                         const PortOptions& options) {
  SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
               ContainersOfServices(context, project, {options.service}));
  const ObservedContainer* chosen = nullptr;
  for (const ObservedContainer& observed : containers) {
    if (options.index != 0 && observed.number != options.index) continue;
    if (chosen == nullptr) chosen = &observed;
  }
  if (chosen == nullptr) {
    return Fail(Code::kFailedPrecondition,
                options.index != 0 ? fmt::format("service \"{}\" is not running container #{}",
                                                 options.service, options.index)
                                   : fmt::format("service \"{}\" is not running", options.service));
  }
  std::vector<std::string> known;
  for (const engine::PublishedPort& port : chosen->container.ports) {
    if (port.container_port == options.port && port.host_port != 0 &&
        engine::ProtocolName(port.protocol) == options.protocol) {
      const bool v6 = port.host_ip.find(':') != std::string::npos;
      const std::string ip = port.host_ip.empty() ? "0.0.0.0" : port.host_ip;
      return v6 ? fmt::format("[{}]:{}", ip, port.host_port)
                : fmt::format("{}:{}", ip, port.host_port);
    }
    known.push_back(DescribePort(port));
  }
  return Fail(Code::kNotFound,
              fmt::format("no port {}/{} for container {}: {}", options.port, options.protocol,
                          DisplayName(chosen->container), Join(known, ", ")));
}

Result<std::vector<LsEntry>> Ls(const Context& context, bool all) {
  engine::ContainerFilter filter;
  filter.all = all;
  filter.labels = {std::string(kProjectLabel)};
  SKIFF_ASSIGN(const std::vector<engine::Container> containers,
               context.engine->ListContainers(filter));
  struct Group {
    std::map<std::string, int> statuses;
    std::vector<std::string> files;
  };
  std::map<std::string, Group> groups;
  for (const engine::Container& container : containers) {
    Group& group = groups[LabelOf(container.labels, kProjectLabel)];
    ++group.statuses[std::string(engine::ContainerStatusName(container.state.status))];
    for (std::string_view file : Split(LabelOf(container.labels, kConfigFilesLabel), ',')) {
      if (file.empty()) continue;
      if (std::find(group.files.begin(), group.files.end(), file) == group.files.end()) {
        group.files.emplace_back(file);
      }
    }
  }
  std::vector<LsEntry> result;
  for (const auto& [name, group] : groups) {
    result.push_back({name, CombinedStatus(group.statuses), Join(group.files, ",")});
  }
  return result;
}

Result<std::vector<ImagesEntry>> Images(const Context& context, const ProjectRef& project,
                                        const std::vector<std::string>& services) {
  SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
               ContainersOfServices(context, project, services));
  SKIFF_ASSIGN(const std::vector<engine::Image> images, context.engine->ListImages());
  std::vector<ImagesEntry> result;
  for (const ObservedContainer& observed : containers) {
    ImagesEntry entry;
    entry.container = DisplayName(observed.container);
    std::tie(entry.repository, entry.tag) = SplitReference(observed.container.image);
    entry.image_id = observed.container.image_id;
    for (const engine::Image& image : images) {
      if (image.id != observed.container.image_id) continue;
      entry.size = image.size;
      entry.created_at = image.created_at;
      entry.platform = fmt::format("{}/{}", image.os, image.architecture);
      const auto& names = image.references;
      const bool tagged =
          std::find(names.begin(), names.end(), observed.container.image) != names.end();
      if (!tagged && !names.empty()) {
        std::tie(entry.repository, entry.tag) = SplitReference(names.front());
      }
    }
    result.push_back(std::move(entry));
  }
  std::sort(result.begin(), result.end(),
            [](const ImagesEntry& a, const ImagesEntry& b) { return a.container < b.container; });
  return result;
}

Result<std::vector<engine::Volume>> Volumes(const Context& context, const ProjectRef& project,
                                            const std::vector<std::string>& services) {
  SKIFF_ASSIGN(std::vector<engine::Volume> volumes,
               context.engine->ListVolumes({LabelFilter(kProjectLabel, project.name)}));
  if (!services.empty()) {
    SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
                 ContainersOfServices(context, project, services));
    std::set<std::string> used;
    for (const ObservedContainer& observed : containers) {
      for (const engine::Mount& mount : observed.container.mounts) used.insert(mount.name);
    }
    std::erase_if(
        volumes, [&](const engine::Volume& volume) { return used.count(volume.config.name) == 0; });
  }
  std::sort(volumes.begin(), volumes.end(), [](const engine::Volume& a, const engine::Volume& b) {
    return a.config.name < b.config.name;
  });
  return volumes;
}

}  // namespace skiff::compose
