// `builder prune`: the build cache, given back.
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "builder/build.h"
#include "cli/build_settings.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

constexpr std::string_view kUntil = "until=";
constexpr std::string_view kUnusedFor = "unused-for=";

Result<int64_t> UnusedSince(const Context& context, const std::string& filter) {
  for (const std::string_view key : {kUntil, kUnusedFor}) {
    if (!filter.starts_with(key)) continue;
    SKIFF_ASSIGN(const auto span, ParseDuration(filter.substr(key.size())));
    return context.now() - span.count();
  }
  return Fail(Error(Code::kInvalidArgument, "invalid filter '" + filter + "'")
                  .With("until=DURATION is the only one"));
}

bool Confirmed(Context& context, bool all) {
  context.PrintError(
      fmt::format("WARNING! This will remove all {}build cache. Are you sure you "
                  "want to continue? [y/N] ",
                  all ? "" : "dangling "));
  return context.ReadYes();
}

}  // namespace

Result<int> RunBuilderPrune(Context& context, const Arguments& arguments) {
  builder::PruneOptions options;
  options.all = arguments.Bool("all");
  for (const std::string& filter : arguments.List("filter")) {
    SKIFF_ASSIGN(options.unused_since, UnusedSince(context, filter));
  }
  for (const char* flag : {"keep-storage", "max-used-space", "reserved-space"}) {
    const std::string size = arguments.Text(flag);
    if (size.empty()) continue;
    SKIFF_ASSIGN(options.keep_size, ParseBytes(size));
  }
  if (!arguments.Bool("force")) {
    const bool confirmed = Confirmed(context, options.all);
    if (!confirmed) return 0;
  }
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const builder::PrunedCache pruned,
               builder::PruneCache(*engine, BuildCacheFolder(context), options));
  SKIFF_TRY(engine->Commit());
  std::string text;
  if (!pruned.entries.empty()) text = "ID\n";
  for (const std::string& entry : pruned.entries) text += entry.substr(0, 25) + "\n";
  if (!text.empty()) text += "\n";
  SKIFF_TRY(context.Print(text + fmt::format("Total:\t{}\n", FormatSize(pruned.bytes))));
  return 0;
}

}  // namespace skiff::cli
