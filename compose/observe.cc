#include "compose/observe.h"

#include <algorithm>
#include <tuple>

#include "base/text.h"
#include "compose/labels.h"
#include "engine-core/image_platform.h"

namespace skiff::compose {
namespace {

// "docker.io/library/busybox" -> "busybox:latest": the form in which images list references.
std::string FamiliarReference(std::string_view reference) {
  for (std::string_view prefix : {"docker.io/", "index.docker.io/"}) {
    if (reference.starts_with(prefix)) {
      reference.remove_prefix(prefix.size());
      break;
    }
  }
  if (reference.starts_with("library/")) reference.remove_prefix(8);
  std::string result(reference);
  const size_t slash = reference.rfind('/');
  const size_t from = slash == std::string_view::npos ? 0 : slash;
  if (reference.find('@', from) != std::string_view::npos) return result;
  if (reference.find(':', from) == std::string_view::npos) result += ":latest";
  return result;
}

bool IsIdOf(std::string_view reference, std::string_view id) {
  constexpr std::string_view kAlgorithm = "sha256:";
  if (reference.starts_with(kAlgorithm)) return id == reference || id.starts_with(reference);
  if (reference.size() < 12) return false;
  if (id.starts_with(kAlgorithm)) id.remove_prefix(kAlgorithm.size());
  return id.starts_with(reference);
}

}  // namespace

const engine::Image* Observed::FindImage(const std::string& reference) const {
  const std::string familiar = FamiliarReference(reference);
  for (const engine::Image& image : images) {
    for (const std::vector<std::string>* names : {&image.references, &image.digests}) {
      if (std::find(names->begin(), names->end(), familiar) != names->end()) return &image;
      if (std::find(names->begin(), names->end(), reference) != names->end()) return &image;
    }
  }
  // "name:tag@sha256:..": the digest decides.
  if (const size_t at = familiar.find('@'); at != std::string::npos) {
    const size_t colon = familiar.rfind(':', at);
    const std::string by_digest =
        familiar.substr(0, colon == std::string::npos ? at : colon) + familiar.substr(at);
    for (const engine::Image& image : images) {
      const auto& digests = image.digests;
      if (std::find(digests.begin(), digests.end(), by_digest) != digests.end()) return &image;
    }
    return nullptr;
  }
  for (const engine::Image& image : images) {
    if (IsIdOf(reference, image.id)) return &image;
  }
  return nullptr;
}

const engine::Image* Observed::FindImageFor(const std::string& reference,
                                            const engine::Platform& platform) const {
  const engine::Image* image = FindImage(reference);
  if (image == nullptr || platform.empty() ||
      engine::PlatformMatches(platform, engine::PlatformOf(*image))) {
    return image;
  }
  const std::string familiar = FamiliarReference(reference);
  const auto other = std::ranges::find_if(images, [&](const engine::Image& candidate) {
    return std::ranges::count(candidate.platform_of, familiar) > 0 &&
           engine::PlatformMatches(platform, engine::PlatformOf(candidate));
  });
  return other == images.end() ? nullptr : &*other;
}

ObservedContainer DescribeContainer(engine::Container container) {
  ObservedContainer result;
  result.service = LabelOf(container.labels, kServiceLabel);
  result.number = ParseNumber<int>(LabelOf(container.labels, kNumberLabel)).value_or(0);
  result.oneoff = EqualsIgnoreCase(LabelOf(container.labels, kOneoffLabel), "true");
  result.config_hash = LabelOf(container.labels, kConfigHashLabel);
  result.container = std::move(container);
  return result;
}

Result<std::vector<ObservedContainer>> ObserveContainers(engine::Engine& engine,
                                                         const std::string& project) {
  engine::ContainerFilter filter;
  filter.all = true;
  filter.labels = {LabelFilter(kProjectLabel, project)};
  SKIFF_ASSIGN(std::vector<engine::Container> listed, engine.ListContainers(filter));
  std::vector<ObservedContainer> result;
  for (engine::Container& container : listed) {
    if (container.state.status == engine::ContainerStatus::kRemoving) continue;
    result.push_back(DescribeContainer(std::move(container)));
  }
  std::sort(
      result.begin(), result.end(), [](const ObservedContainer& a, const ObservedContainer& b) {
        return std::tie(a.service, a.oneoff, a.number, a.container.created_at, a.container.id) <
               std::tie(b.service, b.oneoff, b.number, b.container.created_at, b.container.id);
      });
  return result;
}

Result<Observed> Observe(engine::Engine& engine, const std::string& project) {
  Observed observed;
  observed.project = project;
  SKIFF_ASSIGN(observed.containers, ObserveContainers(engine, project));
  SKIFF_ASSIGN(std::vector<engine::Network> networks, engine.ListNetworks({}));
  for (engine::Network& network : networks) {
    std::string name = network.config.name;
    observed.networks.emplace(std::move(name), std::move(network));
  }
  SKIFF_ASSIGN(std::vector<engine::Volume> volumes, engine.ListVolumes({}));
  for (engine::Volume& volume : volumes) {
    std::string name = volume.config.name;
    observed.volumes.emplace(std::move(name), std::move(volume));
  }
  SKIFF_ASSIGN(observed.images, engine.ListImages());
  return observed;
}

}  // namespace skiff::compose
