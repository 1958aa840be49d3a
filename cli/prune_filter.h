#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/context.h"
#include "engine-core/types.h"

namespace skiff::cli {

// --filter, and --all, of the commands that remove what is not used (docker's words and meanings).
struct PruneFilter {
  bool all = false;
  std::optional<int64_t> until;  // Nanoseconds since the epoch: made by then.
  std::vector<std::string> labels;
  std::vector<std::string> without_labels;

  bool Fits(const engine::Labels& labels_of, int64_t created_at) const;
};

// `keys`: those of --filter that the command knows, of until, label, label!, dangling and all.
Result<PruneFilter> ReadPruneFilter(const Context& context, const Arguments& arguments,
                                    const std::vector<std::string_view>& keys);
// Asks unless --force was given.
Result<bool> PruneConfirmed(Context& context, const Arguments& arguments, std::string_view warning);

}  // namespace skiff::cli
