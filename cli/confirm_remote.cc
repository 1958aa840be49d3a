#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/listing.h"
#include "cli/remote_files.h"
#include "cli/terminal.h"
#include "cli/variables.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

constexpr Column kConfirmedColumns[] = {{"Name", "VARIABLE"},
                               {"Value", "VALUE"},
                               {"Source", "SOURCE"},
                               {"Required", "REQUIRED"},
                               {"DefaultValue", "DEFAULT"}};

Status Cancelled() {
  return Fail(Error(Code::kCancelled, "the project was not confirmed").With("--yes confirms it"));
}

Status ConfirmIncludes(Context& context, const std::vector<std::string>& named) {
  std::string further;
  for (const auto& [address, path] : context.remote_files().known()) {
    if (std::ranges::find(named, address) == named.end()) further += "  - " + address + "\n";
  }
  if (further.empty()) return {};
  context.PrintError("The project includes files from further addresses:\n" + further +
                     "Do you want to continue? [y/N] ");
  // Input that is no person's is the container's.
  return IsTerminal(context.around().in) && context.ReadYes() ? Status() : Cancelled();
}

// Whoever wrote the file gets to see what its variables are replaced by.
Status ConfirmVariables(Context& context, const schema::LoadResult& model) {
  schema::LoadOptions options = context.LoadOptions();
  options.interpolate = options.check_consistency = options.resolve_environment = false;
  options.resolve_paths = false;
  const schema::LoadResult raw = schema::LoadProject(options);
  if (raw.tree == nullptr) return {};  // It loads with interpolation only: nothing to be shown.
  std::vector<nlohmann::ordered_json> rows;
  for (const auto& [name, use] : VariablesOf(*raw.tree)) {
    const bool own = context.around().environment.contains(name);
    const auto value = model.environment.find(name);
    const bool set = value != model.environment.end();
    rows.push_back({{"Name", name},
                    {"Value", set ? value->second : use.fallback},
                    {"Source", own   ? "environment"
                               : set ? "env file"
                               : use.fallback.empty() ? "unset" : "compose file"},
                    {"Required", use.required},
                    {"DefaultValue", use.fallback}});
  }
  if (rows.empty()) return {};
  SKIFF_ASSIGN(const std::string table, RenderListing(kConfirmedColumns, rows, {}));
  context.PrintError("The project uses these variables:\n" + table +
                     "Do you want to proceed with them? [Y/n] ");
  return context.ReadYes(true) ? Status() : Cancelled();
}

}  // namespace

Status ConfirmRemoteProject(Context& context, const schema::LoadResult& model, bool yes) {
  const std::vector<std::string>& named = model.named_files;
  const std::string first = named.empty() ? "" : named.front();
  if (!schema::IsRemoteAddress(first) || context.globals.dry_run) return {};
  if (!context.json_progress() && context.globals.progress != "quiet") {
    context.PrintError(
        fmt::format("Project \"{}\" is stored in \"{}\"\n", first, model.project.working_dir));
  }
  if (yes) return {};
  SKIFF_TRY(ConfirmIncludes(context, named));
  // docker compose: without an answer the variables are taken as they are.
  if (!IsTerminal(context.around().in)) return {};
  return ConfirmVariables(context, model);
}

}  // namespace skiff::cli
