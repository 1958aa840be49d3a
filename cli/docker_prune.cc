// What nothing uses, removed: container, network, volume, image and system prune.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/tree_size.h"
#include "base/units.h"
#include "builder/build.h"
#include "cli/build_settings.h"
#include "cli/prune_filter.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

struct Pruned {
  std::string text;  // "Deleted Containers:\n" and a line for each; "" when there were none.
  int64_t bytes = 0;

  void Add(std::string_view heading, std::string_view name) {
    if (text.empty()) text = fmt::format("Deleted {}:\n", heading);
    text += fmt::format("{}\n", name);
  }
};

// Somebody has begun to use it, or was faster.
bool IsPassedBy(const Error& error) {
  return error.code == Code::kFailedPrecondition || error.code == Code::kNotFound ||
         error.code == Code::kAlreadyExists;
}

bool IsStopped(const engine::ContainerState& state) {
  return state.status == engine::ContainerStatus::kCreated ||
         state.status == engine::ContainerStatus::kExited ||
         state.status == engine::ContainerStatus::kDead;
}

Result<Pruned> PruneContainers(engine::Engine& engine, const PruneFilter& filter) {
  SKIFF_ASSIGN(const auto containers, engine.ListContainers({true, {}}));
  Pruned pruned;
  for (const engine::Container& container : containers) {
    if (!IsStopped(container.state) || !filter.Fits(container.labels, container.created_at)) continue;
    // What cannot be measured is removed all the same, and not counted.
    const auto size = engine.WrittenSize(container.id);
    const Status removed = engine.RemoveContainer(container.id, {});
    if (!removed && IsPassedBy(removed.error())) continue;
    SKIFF_TRY(removed);
    pruned.Add("Containers", container.id);
    pruned.bytes += size.value_or(0);
  }
  return pruned;
}

Result<Pruned> PruneNetworks(engine::Engine& engine, const PruneFilter& filter) {
  SKIFF_ASSIGN(const auto networks, engine.ListNetworks({}));
  Pruned pruned;
  for (const engine::Network& network : networks) {
    if (network.predefined || !filter.Fits(network.config.labels, network.created_at)) continue;
    const Status removed = engine.RemoveNetwork(network.id);
    if (!removed && IsPassedBy(removed.error())) continue;
    SKIFF_TRY(removed);
    pruned.Add("Networks", network.config.name);
  }
  return pruned;
}

Result<Pruned> PruneVolumes(engine::Engine& engine, const PruneFilter& filter) {
  SKIFF_ASSIGN(const auto volumes, engine.ListVolumes({}));
  SKIFF_ASSIGN(const auto containers, engine.ListContainers({true, {}}));
  std::set<std::string> used;
  for (const engine::Container& container : containers) {
    for (const engine::Mount& mount : container.mounts) used.insert(mount.name);
  }
  Pruned pruned;
  for (const engine::Volume& volume : volumes) {
    const std::string& name = volume.config.name;
    if (used.contains(name) || (!filter.all && !volume.anonymous) ||
        !filter.Fits(volume.config.labels, volume.created_at)) {
      continue;
    }
    const auto size = TreeSize(volume.mountpoint);
    const Status removed = engine.RemoveVolume(name);
    if (!removed && IsPassedBy(removed.error())) continue;
    SKIFF_TRY(removed);
    pruned.Add("Volumes", name);
    pruned.bytes += size.value_or(0);
  }
  return pruned;
}

Result<Pruned> PruneImages(engine::Engine& engine, const PruneFilter& filter) {
  SKIFF_ASSIGN(const auto images, engine.ListImages());
  SKIFF_ASSIGN(const auto containers, engine.ListContainers({true, {}}));
  Pruned pruned;
  for (const engine::Image& image : images) {
    const bool used = std::ranges::any_of(containers, [&](const engine::Container& container) {
      return container.image_id == image.id;
    });
    const bool wanted = filter.all || image.references.empty();
    // One of several platforms goes with its name.
    if (used || !image.platform_of.empty() || !wanted ||
        !filter.Fits(image.config.labels, image.created_at)) {
      continue;
    }
    // Forced: all of its names go with it; nobody uses it.
    SKIFF_ASSIGN(const engine::RemovedImage removed, engine.RemoveImage(image.id, true));
    for (const std::string& name : removed.untagged) pruned.Add("Images", "untagged: " + name);
    for (const std::string& id : removed.deleted) pruned.Add("Images", "deleted: " + id);
    pruned.bytes += removed.freed;
  }
  SKIFF_ASSIGN(const int64_t garbage, engine.CollectGarbage());
  pruned.bytes += garbage;
  return pruned;
}

Result<Pruned> PruneBuildCache(Context& context, engine::Engine& engine, const PruneFilter& filter) {
  builder::PruneOptions options;
  options.all = filter.all;
  options.unused_since = filter.until.value_or(0);
  SKIFF_ASSIGN(const builder::PrunedCache cache,
               builder::PruneCache(engine, BuildCacheFolder(context), options));
  Pruned pruned;
  for (const std::string& entry : cache.entries) {
    pruned.Add("build cache objects", std::string_view(entry).substr(0, 25));
  }
  pruned.bytes = cache.bytes;
  return pruned;
}

std::string TextOf(const Pruned& pruned) {
  return pruned.text.empty() ? "" : pruned.text + "\n";
}
std::string TotalOf(int64_t bytes) {
  return fmt::format("Total reclaimed space: {}\n", FormatSize(bytes));
}

using PruneKind = Result<Pruned> (*)(engine::Engine&, const PruneFilter&);

// One kind of things, with what was gained by it when `total`.
Result<int> PruneOne(Context& context, const Arguments& arguments, const PruneFilter& filter,
                     std::string_view warning, PruneKind prune, bool total) {
  SKIFF_ASSIGN(const bool yes, PruneConfirmed(context, arguments, warning));
  if (!yes) return 0;
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const Pruned pruned, prune(*engine, filter));
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(context.Print(TextOf(pruned) + (total ? TotalOf(pruned.bytes) : "")));
  return 0;
}

std::string SystemWarning(const Arguments& arguments) {
  const bool all = arguments.Bool("all");
  std::string text =
      "WARNING! This will remove:\n"
      "  - all stopped containers\n"
      "  - all networks not used by at least one container\n";
  if (arguments.Bool("volumes")) {
    text += "  - all anonymous volumes not used by at least one container\n";
  }
  text += all ? "  - all images without at least one container associated to them\n"
                "  - all build cache\n"
              : "  - all dangling images\n"
                "  - unused build cache\n";
  const std::vector<std::string>& filters = arguments.List("filter");
  if (!filters.empty()) text += "\n  Items to be pruned will be filtered with:\n";
  for (const std::string& filter : filters) text += fmt::format("  - {}\n", filter);
  return text;
}

}  // namespace

Result<int> RunContainerPrune(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const PruneFilter filter,
               ReadPruneFilter(context, arguments, {"until", "label", "label!"}));
  return PruneOne(context, arguments, filter,
                  "WARNING! This will remove all stopped containers.", PruneContainers, true);
}

Result<int> RunNetworkPrune(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const PruneFilter filter,
               ReadPruneFilter(context, arguments, {"until", "label", "label!"}));
  return PruneOne(context, arguments, filter,
                  "WARNING! This will remove all custom networks not used by at least one "
                  "container.",
                  PruneNetworks, false);
}

Result<int> RunVolumePrune(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(PruneFilter filter,
               ReadPruneFilter(context, arguments, {"label", "label!", "all"}));
  filter.all = filter.all || arguments.Bool("all");
  return PruneOne(context, arguments, filter,
                  fmt::format("WARNING! This will remove {} local volumes not used by at least one "
                              "container.",
                              filter.all ? "all" : "anonymous"),
                  PruneVolumes, true);
}

Result<int> RunImagePrune(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(PruneFilter filter,
               ReadPruneFilter(context, arguments, {"until", "label", "label!", "dangling"}));
  filter.all = filter.all || arguments.Bool("all");
  return PruneOne(context, arguments, filter,
                  filter.all ? "WARNING! This will remove all images without at least one container "
                               "associated to them."
                             : "WARNING! This will remove all dangling images.",
                  PruneImages, true);
}

Result<int> RunSystemPrune(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(PruneFilter filter,
               ReadPruneFilter(context, arguments, {"until", "label", "label!"}));
  filter.all = filter.all || arguments.Bool("all");
  const bool volumes = arguments.Bool("volumes");
  if (volumes && filter.until) {
    return Fail(Code::kInvalidArgument,
                "the \"until\" filter is not supported with \"--volumes\"");
  }
  SKIFF_ASSIGN(const bool yes, PruneConfirmed(context, arguments, SystemWarning(arguments)));
  if (!yes) return 0;
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  int64_t bytes = 0;
  // What one of them frees another one may need no longer: in this order.
  const auto add = [&](Result<Pruned> pruned) -> Status {
    if (!pruned) return Fail(pruned.error());
    bytes += pruned->bytes;
    return context.Print(TextOf(*pruned));
  };
  SKIFF_TRY(add(PruneContainers(*engine, filter)));
  SKIFF_TRY(add(PruneNetworks(*engine, filter)));
  if (volumes) {
    PruneFilter anonymous = filter;
    anonymous.all = false;
    SKIFF_TRY(add(PruneVolumes(*engine, anonymous)));
  }
  SKIFF_TRY(add(PruneImages(*engine, filter)));
  // It has no labels.
  const bool by_label = !filter.labels.empty() || !filter.without_labels.empty();
  if (!by_label) SKIFF_TRY(add(PruneBuildCache(context, *engine, filter)));
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(context.Print(TotalOf(bytes)));
  return 0;
}

}  // namespace skiff::cli
