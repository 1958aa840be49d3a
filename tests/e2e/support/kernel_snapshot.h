#pragma once

#include <set>
#include <string>
#include <vector>

// What skiff may leave behind on a machine, counted before and after a test.
namespace skiff::e2e {

// Network namespace of its own for this test program, with lo up: its links, ports and rules are
// nobody else's. With SKIFF_TEST_GUEST or SKIFF_E2E_HOST_NETWORK set, the machine's own is used.
// False with a reason when that needs a privilege this process lacks.
bool EnterTestNetwork(std::string* reason);
bool UsesHostNetwork();

// `directory` holds both roots of the test; `marks` are words in names of cgroups of its own.
std::multiset<std::string> TakeSnapshot(const std::string& directory,
                                        const std::vector<std::string>& marks);

// One line for each thing that is in `after` and not in `before`, or the other way round.
std::string Difference(const std::multiset<std::string>& before,
                       const std::multiset<std::string>& after);

}  // namespace skiff::e2e
