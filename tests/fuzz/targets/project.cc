// One Compose file to a project, with every way of loading, and `config` of it once more.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "schema/load.h"
#include "tests/fuzz/memory_files.h"
#include "tests/fuzz/target.h"

namespace {

using skiff::fuzz::MemoryFiles;
using skiff::fuzz::Require;
using skiff::fuzz::RequireEqual;
using skiff::schema::LoadOptions;
using skiff::schema::LoadProject;

LoadOptions OptionsOf(const MemoryFiles& files) {
  LoadOptions options;
  options.files_seen = &files;
  options.files = {"/p/compose.yaml"};
  options.working_dir = "/p";
  options.environment = {{"HOME", "/home/u"}, {"NAME", "value"}, {"EMPTY", ""}, {"PORT", "8080"}};
  return options;
}

// Printed dollar signs are doubled, also those of keys, which no reading interpolates.
bool HasKeyWithDollar(const nlohmann::json& tree) {
  for (const auto& [key, value] : tree.items()) {
    if (tree.is_object() && key.find('$') != key.npos) return true;
    if (value.is_structured() && HasKeyWithDollar(value)) return true;
  }
  return false;
}

// `context: ""` and `network_mode: ""` are not printed, as in the reference; read again, there is none,
// which means a default.
bool HasEmptyChoice(const nlohmann::json& project) {
  const auto services = project.find("services");
  if (services == project.end() || !services->is_object()) return false;
  return std::any_of(services->begin(), services->end(), [](const nlohmann::json& service) {
    const auto build = service.find("build");
    const bool built = build != service.end() && build->is_object();
    return (built && !build->contains("context")) ||
           (!service.contains("networks") && !service.contains("network_mode"));
  });
}

}  // namespace

SKIFF_FUZZ(project) {
  const uint8_t choice = skiff::fuzz::TakeByte(input);
  MemoryFiles files;
  files.files["/p/compose.yaml"] = std::string(input);
  files.files["/p/one.env"] = "A=1\nB=${NAME}\n";
  LoadOptions options = OptionsOf(files);
  options.interpolate = (choice & 1) == 0;
  options.normalize = (choice & 2) == 0;
  options.resolve_paths = (choice & 4) == 0;
  options.check_consistency = (choice & 8) == 0;
  options.resolve_environment = (choice & 16) == 0;
  if ((choice & 32) != 0) options.profiles = {"*"};
  const auto loaded = LoadProject(options);
  FormatDiagnostics(loaded.diagnostics, *loaded.sources);
  if (!loaded.ok()) {
    Require(!loaded.diagnostics.empty(), "a refusal has a reason");
    return;
  }
  Require(loaded.tree != nullptr, "a good file has a tree");
  const std::string json = RenderJson(*loaded.tree);
  Require(nlohmann::json::accept(json), "config prints JSON");
  // An empty Dockerfile inside is not printed, as in the reference.
  if (input.find("dockerfile_inline") != input.npos) return;
  const auto printed = nlohmann::json::parse(json);
  if ((choice & 31) != 0 || HasKeyWithDollar(printed) || HasEmptyChoice(printed)) return;

  files.files["/p/compose.yaml"] = RenderYaml(*loaded.tree);
  LoadOptions again = OptionsOf(files);
  again.profiles = options.profiles;
  const auto second = LoadProject(again);
  if (!second.ok()) {
    RequireEqual(files.files["/p/compose.yaml"],
                 FormatDiagnostics(second.diagnostics, *second.sources), "config can be loaded");
  }
  RequireEqual(json, RenderJson(*second.tree), "config of config is the same");
}
