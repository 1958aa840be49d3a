#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/atomic_file.h"
#include "base/diagnostic.h"
#include "base/identity.h"
#include "base/text.h"
#include "cli/listing.h"
#include "cli/registry_config.h"
#include "cli/variables.h"
#include "cli/verbs.h"
#include "engine-core/references.h"
#include "schema/image_pins.h"
#include "schema/tree.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr Column kVariableColumns[] = {{"Name", "NAME"},
                                       {"Required", "REQUIRED"},
                                       {"DefaultValue", "DEFAULT VALUE"},
                                       {"AlternateValue", "ALTERNATE VALUE"}};

// What they print is not in the tree.
constexpr std::string_view kOfTypedModel[] = {"services", "volumes", "networks",
                                              "profiles", "images",  "hash"};

template <typename Values>
std::string Lines(const Values& values) {
  std::string out;
  for (const auto& value : values) out += value + '\n';
  return out;
}

template <typename Map>
std::vector<std::string> Keys(const Map& map) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

std::set<std::string> Profiles(const schema::Project& project) {
  std::set<std::string> profiles;
  for (const auto* services : {&project.services, &project.disabled_services}) {
    for (const auto& [name, service] : *services) {
      profiles.insert(service.profiles.begin(), service.profiles.end());
    }
  }
  return profiles;
}

// "SERVICE HASH", the hash being that of the label of its containers.
Result<std::string> Hashes(const schema::Project& project, const std::string& wanted) {
  std::vector<std::string> names;
  if (wanted == "*") {
    names = Keys(project.services);
  } else {
    for (std::string_view name : Split(wanted, ',')) names.emplace_back(name);
    std::sort(names.begin(), names.end());
  }
  std::string out;
  for (const std::string& name : names) {
    const auto found = project.services.find(name);
    if (found == project.services.end()) {
      return Fail(Code::kNotFound, fmt::format("no such service: {}", name));
    }
    out += fmt::format("{} {}\n", name, Sha256Hex(found->second.hashed_json));
  }
  return out;
}

Result<std::string> Variables(const schema::LoadResult& loaded, const std::string& format) {
  const std::map<std::string, VariableUse> variables = VariablesOf(*loaded.tree);
  if (format == "json") {
    Json out = Json::object();
    for (const auto& [name, use] : variables) {
      out[name] = {{"Name", name},
                   {"DefaultValue", use.fallback},
                   {"PresenceValue", use.alternate},
                   {"Required", use.required}};
    }
    return out.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  }
  std::vector<Json> rows;
  for (const auto& [name, use] : variables) {
    rows.push_back({{"Name", name},
                    {"Required", use.required},
                    {"DefaultValue", use.fallback},
                    {"AlternateValue", use.alternate}});
  }
  return RenderListing(kVariableColumns, rows, {.format = "", .minimum_width = 20});
}

std::string Images(const schema::Project& project) {
  std::vector<std::string> images;
  for (const auto& [name, service] : project.services) {
    // What is built without a name of its own is called project-service (compose.md 1.3).
    images.push_back(service.image.empty() ? project.name + '-' + name : service.image);
  }
  return Lines(images);
}

std::string Models(const schema::Node& tree) {
  std::string out;
  const schema::Node* models = tree.Find("models");
  if (models == nullptr) return out;
  for (const schema::Entry& entry : models->entries) {
    const std::string_view model = entry.value.Text("model");
    if (!model.empty()) out.append(model) += '\n';
  }
  return out;
}

std::string EnvironmentLines(const std::map<std::string, std::string>& environment) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : environment) lines.push_back(name + '=' + value);
  std::sort(lines.begin(), lines.end());
  return Lines(lines);
}

// What the registries have by the names of the images, in place of the names.
Result<schema::Node> WithDigests(Context& context, const schema::Node& tree) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  std::map<std::string, std::string> pins;
  for (const std::string& image : schema::ImagesIn(tree)) {
    SKIFF_ASSIGN(engine::Reference reference, engine::ParseReference(image));
    if (reference.digest.empty()) {
      SKIFF_ASSIGN(const engine::RegistryAccess access, AccessToImage(context, image));
      auto digest = engine->ResolveImage(image, access);
      if (!digest) {
        Error error = std::move(digest.error());
        error.message = "failed to resolve digest for " + reference.Canonical() + ": " + error.message;
        return Fail(std::move(error));
      }
      reference.digest = std::move(*digest);
    } else {
      reference.tag.clear();  // As the reference: what has a digest needs no tag.
    }
    pins[image] = reference.Canonical();
  }
  schema::Node pinned = tree;
  schema::PinImages(pinned, pins);
  return pinned;
}

std::string Format(const schema::Node& tree, const Arguments& arguments) {
  if (arguments.Text("format") != "json") return schema::RenderYaml(tree);
  std::string text = schema::RenderJson(tree);
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

Result<std::string> Pinned(Context& context, const schema::LoadResult& loaded,
                           const Arguments& arguments) {
  SKIFF_ASSIGN(schema::Node tree, WithDigests(context, *loaded.tree));
  if (!arguments.Bool("lock-image-digests")) return Format(tree, arguments);
  for (const std::string& service : schema::KeepOnlyImages(tree)) {
    context.PrintError(fmt::format("warning: service \"{}\": the images of pre_start hooks are not pinned by "
                             "--lock-image-digests, since hooks of several files add up; "
                             "--resolve-image-digests pins them\n",
                             service));
  }
  return Format(tree, arguments);
}

Result<std::string> Render(const schema::LoadResult& loaded, const Arguments& arguments) {
  const schema::Project& project = loaded.project;
  if (arguments.Bool("models")) return Models(*loaded.tree);
  if (arguments.Bool("environment")) return EnvironmentLines(loaded.environment);
  if (arguments.Bool("services")) return Lines(Keys(project.services));
  if (arguments.Bool("volumes")) return Lines(Keys(project.volumes));
  if (arguments.Bool("networks")) return Lines(Keys(project.networks));
  if (arguments.Bool("profiles")) return Lines(Profiles(project));
  if (arguments.Bool("images")) return Images(project);
  if (arguments.Has("hash")) return Hashes(project, arguments.Text("hash"));
  if (arguments.Bool("variables")) return Variables(loaded, arguments.Text("format"));
  return Format(*loaded.tree, arguments);
}

Result<int> Deliver(Context& context, const Arguments& arguments, const std::string& text) {
  if (arguments.Has("output")) {
    SKIFF_TRY(WriteFileAtomically(arguments.Text("output"), text, 0644, Durability::kVolatile));
  } else {
    SKIFF_TRY(context.Print(text));
  }
  return 0;
}

}  // namespace

Result<int> RunConfig(Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckChoice(arguments, "format", {"yaml", "json"}));
  if (arguments.Bool("schema")) return Deliver(context, arguments, schema::RenderJsonSchema());
  schema::LoadOptions options = context.LoadOptions();
  options.services = arguments.operands();
  options.restrict_to_services = !options.services.empty();
  options.interpolate = !arguments.Bool("no-interpolate") && !arguments.Bool("variables");
  options.normalize = !arguments.Bool("no-normalize");
  options.resolve_paths = !arguments.Bool("no-path-resolution");
  options.check_consistency = !arguments.Bool("no-consistency");
  options.resolve_environment = !arguments.Bool("no-env-resolution");
  if (arguments.Bool("variables")) {
    // Values that are still variables are neither paths nor numbers.
    options.check_consistency = false;
    options.resolve_environment = false;
    options.resolve_paths = false;
  }
  options.typed = std::ranges::any_of(kOfTypedModel, [&](std::string_view flag) {
    return arguments.Has(std::string(flag));
  });
  SKIFF_ASSIGN(const schema::LoadResult* loaded,
               context.LoadProject(options, Context::Warnings::kOfFile));
  if (arguments.Bool("quiet")) return 0;
  const bool pinned =
      arguments.Bool("lock-image-digests") || arguments.Bool("resolve-image-digests");
  SKIFF_ASSIGN(const std::string text,
               pinned ? Pinned(context, *loaded, arguments) : Render(*loaded, arguments));
  return Deliver(context, arguments, text);
}

}  // namespace skiff::cli
