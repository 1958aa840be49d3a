#include <fmt/format.h>

#include <algorithm>

#include "base/diagnostic.h"
#include "cli/verbs.h"

namespace skiff::cli {

Result<ChosenProject> ChooseProject(Context& context, const std::vector<std::string>& services) {
  schema::LoadOptions options = context.LoadOptions();
  ChosenProject chosen;
  const bool has_file = !options.files.empty() || !context.Variable("COMPOSE_FILE").empty();
  if (!has_file && !options.project_name.empty()) {
    SKIFF_ASSIGN(chosen.ref.name, schema::ProjectNameOf(options));
    return chosen;
  }
  options.services = services;
  // Files of variables matter to who creates containers only.
  options.resolve_environment = false;
  SKIFF_ASSIGN(schema::LoadResult * loaded, context.LoadProject(options, Context::Warnings::kNone));
  chosen.ref.name = loaded->project.name;
  chosen.ref.model = &loaded->project;
  chosen.sources = loaded->sources.get();
  return chosen;
}

Result<const schema::LoadResult*> LoadModel(Context& context,
                                            const std::vector<std::string>& services, bool fetch) {
  schema::LoadOptions options = context.LoadOptions();
  options.services = services;
  if (fetch && !context.globals.dry_run) context.FetchRemoteFiles();
  SKIFF_ASSIGN(const schema::LoadResult* loaded,
               context.LoadProject(options, Context::Warnings::kOfFileAndEngine));
  return loaded;
}

std::optional<compose::Seconds> SecondsOf(const Arguments& arguments, std::string_view flag) {
  if (!arguments.Has(flag)) return std::nullopt;
  const auto seconds = arguments.Number(flag);
  if (!seconds) return std::nullopt;
  return compose::Seconds(*seconds);
}

Status RefuseFlags(const Arguments& arguments, std::initializer_list<std::string_view> flags) {
  for (std::string_view flag : flags) {
    if (!arguments.Has(flag)) continue;
    return Fail(Code::kUnsupported, fmt::format("--{} is not supported by this version", flag));
  }
  return {};
}

Status RefuseTogether(const Arguments& arguments, std::string_view one, std::string_view other) {
  if (!arguments.Has(one) || !arguments.Has(other)) return {};
  return Fail(Code::kInvalidArgument, fmt::format("--{} and --{} are incompatible", one, other));
}

Status CheckChoice(const Arguments& arguments, std::string_view flag,
                   std::initializer_list<std::string_view> choices) {
  const std::string value = arguments.Text(flag);
  if (value.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  std::string known;
  for (std::string_view choice : choices) {
    if (!known.empty()) known += ", ";
    known += choice;
  }
  Error error(Code::kInvalidArgument, fmt::format("invalid value '{}' for --{}", value, flag));
  return Fail(std::move(error).With(fmt::format("use one of {}", known)));
}

}  // namespace skiff::cli
