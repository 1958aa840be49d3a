#include "cli/prune_filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace skiff::cli {
namespace {

// docker's `until`: a duration before now, or a time.
Result<int64_t> UntilTime(const std::string& text, int64_t now) {
  if (const auto duration = ParseDuration(text)) return now - duration->count();
  return ParseTimestamp(text);
}

bool HasLabel(const engine::Labels& labels, const std::string& wanted) {
  const size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  return found != labels.end() &&
         (equals == std::string::npos || found->second == wanted.substr(equals + 1));
}

}  // namespace

bool PruneFilter::Fits(const engine::Labels& labels_of, int64_t created_at) const {
  const auto has = [&](const std::string& wanted) { return HasLabel(labels_of, wanted); };
  return (!until || created_at <= *until) && std::ranges::all_of(labels, has) &&
         std::ranges::none_of(without_labels, has);
}

Result<PruneFilter> ReadPruneFilter(const Context& context, const Arguments& arguments,
                                    const std::vector<std::string_view>& keys) {
  PruneFilter filter;
  for (const std::string& word : arguments.List("filter")) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (std::ranges::count(keys, key) == 0) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid filter '{}'", key));
    }
    if (key == "until") {
      SKIFF_ASSIGN(filter.until, UntilTime(value, context.now()));
    } else if (key == "label") {
      filter.labels.push_back(std::move(value));
    } else if (key == "label!") {
      filter.without_labels.push_back(std::move(value));
    } else if (key == "dangling") {
      filter.all = !ParseBool(value).value_or(true);
    } else {
      filter.all = ParseBool(value).value_or(false);
    }
  }
  return filter;
}

Result<bool> PruneConfirmed(Context& context, const Arguments& arguments,
                            std::string_view warning) {
  if (arguments.Bool("force")) return true;
  SKIFF_TRY(context.Print(fmt::format("{}\nAre you sure you want to continue? [y/N] ", warning)));
  return context.ReadYes();
}

}  // namespace skiff::cli
