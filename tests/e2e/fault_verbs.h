#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {

// One command under which every failpoint it passes is made to fail and to kill.
struct FaultVerb {
  const char* name;
  // What stands before it: the project, or nothing.
  bool project_stands;
  std::vector<Words> before;  // Makes what the verb works on.
  Words words;
  // The next command after the fault: repairs, and leaves what stood before.
  Words next = {"up", "-d", "-t", "0", "--remove-orphans"};
  std::vector<Words> after = {};  // Takes away what is no part of the project; may find nothing.
  // SKIFF_FAILPOINTS of the last command of `before`: damage for the verb to find.
  const char* damage = "";
  std::map<std::string, std::string> environment = {};      // Of the verb alone.
  void (*arrange)(const std::string& directory) = nullptr;  // The last thing before the verb.
  // One of those whose failpoints are all tried, also those that a verb before it passes.
  bool everyday = false;
};

// The six verbs of everyday work come first; the others are here for the failpoints those do not
// pass. `directory`: of the test, with extra.tar, an image that is not in the store.
std::vector<FaultVerb> FaultVerbs(const std::string& directory);

// What FaultVerbs() works on.
extern const char* const kFaultProject;

}  // namespace skiff::e2e
