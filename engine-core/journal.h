#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace skiff::engine {

// The event journal of one volatile root (<run root>/events.jsonl): JSON lines in the order of
// arrival, appended by commands and monitors. It is capped: past kJournalLimit it is renamed to
// events.jsonl.1, replacing the one before, by whoever gets a flock on events.lock; nobody waits
// for it. An entry that was written meanwhile is in one of the two.
//
//   {"time":1700000000000000000,"type":"container","action":"die","actor":"<id>",
//    "attributes":{"exitCode":"1","name":"web"}}
inline constexpr int64_t kJournalLimit = 1 << 20;

using JournalAttributes = std::vector<std::pair<std::string, std::string>>;

// One line with its "\n". Pure; no JSON library.
std::string FormatJournalEntry(int64_t time_ns, std::string_view type, std::string_view action,
                               std::string_view actor, const JournalAttributes& attributes);

// Appends one formatted line to <folder>/events.jsonl. One write: lines never mix.
Status AppendJournalEntry(const std::string& folder, std::string_view line);

std::string JournalPath(const std::string& folder);

}  // namespace skiff::engine
