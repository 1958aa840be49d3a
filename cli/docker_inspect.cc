#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/container_row.h"
#include "cli/exit_status.h"
#include "cli/inspect_json.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "engine-core/image_config.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;
using Finder = Result<Json> (*)(engine::Engine& engine, const std::string& ref);

Result<Json> FindContainer(engine::Engine& engine, const std::string& ref) {
  SKIFF_ASSIGN(const engine::Container container, engine.InspectContainer(ref));
  return InspectContainer(container);
}

Result<Json> FindImage(engine::Engine& engine, const std::string& ref) {
  SKIFF_ASSIGN(const engine::Image image, engine.InspectImage(ref));
  Json out = InspectImage(image);
  SKIFF_ASSIGN(const std::string config, engine.ReadImageConfig(image.id));
  SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(config));
  if (document.args_escaped) out["Config"]["ArgsEscaped"] = true;
  return out;
}

// Full id, then name, then prefix of an id (engine.md 1.5).
Result<Json> FindNetwork(engine::Engine& engine, const std::string& ref) {
  SKIFF_ASSIGN(const auto networks, engine.ListNetworks({}));
  const engine::Network* found = nullptr;
  for (const engine::Network& network : networks) {
    if (network.id == ref || network.config.name == ref) found = &network;
  }
  for (const engine::Network& network : networks) {
    if (found == nullptr && network.id.starts_with(ref)) found = &network;
  }
  if (found == nullptr) return Fail(Code::kNotFound, fmt::format("network {} not found", ref));
  SKIFF_ASSIGN(const auto containers, engine.ListContainers({.all = false, .labels = {}}));
  return InspectNetwork(*found, containers);
}

Result<Json> FindVolume(engine::Engine& engine, const std::string& ref) {
  SKIFF_ASSIGN(const auto volumes, engine.ListVolumes({}));
  for (const engine::Volume& volume : volumes) {
    if (volume.config.name == ref) return InspectVolume(volume);
  }
  return Fail(Code::kNotFound, fmt::format("get {}: no such volume", ref));
}

struct Kind {
  std::string_view name;
  Finder find;
};
constexpr Kind kKinds[] = {{"container", FindContainer},
                           {"image", FindImage},
                           {"network", FindNetwork},
                           {"volume", FindVolume}};

Result<Json> FindAny(engine::Engine& engine, const std::string& ref) {
  for (const Kind& kind : kKinds) {
    auto found = kind.find(engine, ref);
    if (found || found.error().code != Code::kNotFound) return found;
  }
  return Fail(Code::kNotFound, fmt::format("no such object: {}", ref));
}

Result<int> Inspect(Context& context, const Arguments& arguments, Finder find) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  std::vector<Json> values;
  std::vector<Error> errors;
  for (const std::string& ref : arguments.operands()) {
    auto value = find(*engine, ref);
    if (value) {
      // Only containers have a state.
      if (arguments.Bool("size") && value->contains("State")) {
        SKIFF_ASSIGN(const engine::Container container, engine->InspectContainer(ref));
        SKIFF_ASSIGN(const ContainerSizes sizes, SizesOf(*engine, container));
        (*value)["SizeRw"] = sizes.written;
        (*value)["SizeRootFs"] = sizes.whole;
      }
      values.push_back(std::move(*value));
    } else {
      errors.push_back(std::move(value.error()));
    }
  }
  // What was found is printed even when something else is missing.
  SKIFF_ASSIGN(const std::string text, RenderInspect(values, arguments.Text("format")));
  SKIFF_TRY(context.Print(text));
  for (const Error& error : errors) context.Report(error, nullptr);
  return errors.empty() ? 0 : kExitFailure;
}

}  // namespace

Result<int> RunDockerInspect(Context& context, const Arguments& arguments) {
  const std::string wanted = arguments.Text("type");
  if (wanted.empty()) return Inspect(context, arguments, FindAny);
  for (const Kind& kind : kKinds) {
    if (kind.name == wanted) return Inspect(context, arguments, kind.find);
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("\"{}\" is not a valid value for --type", wanted));
}

Result<int> RunContainerInspect(Context& context, const Arguments& arguments) {
  return Inspect(context, arguments, FindContainer);
}
Result<int> RunImageInspect(Context& context, const Arguments& arguments) {
  return Inspect(context, arguments, FindImage);
}
Result<int> RunNetworkInspect(Context& context, const Arguments& arguments) {
  return Inspect(context, arguments, FindNetwork);
}
Result<int> RunVolumeInspect(Context& context, const Arguments& arguments) {
  return Inspect(context, arguments, FindVolume);
}

}  // namespace skiff::cli
