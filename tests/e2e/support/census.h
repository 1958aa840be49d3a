#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace skiff::e2e {

// How many there are of everything that could be left behind, for "as many before as after" where
// names change from one time to the next: mounts, links, lines of the ruleset, cgroups, processes
// with their descriptors, inotify watches and network namespaces, keys, files and folders below
// both roots and, of what does not carry addresses, pids or times, their bytes.
struct Census {
  std::map<std::string, int64_t> counts;
  std::multiset<std::string> things;  // What was counted, for the message.
};

// `directory`: with the roots in it. `marks`: as of TakeSnapshot().
Census TakeCensus(const std::string& directory, const std::vector<std::string>& marks);

// "" when all counts are the same; else the counts that differ and what is there more or less.
std::string Difference(const Census& before, const Census& after);

}  // namespace skiff::e2e
