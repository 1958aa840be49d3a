#include "tests/e2e/support/kernel_snapshot.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <regex>
#include <sstream>

#include "base/fd.h"
#include "tests/e2e/support/process.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;
using Things = std::multiset<std::string>;

std::string Content(const std::string& path) {
  Result<std::string> text = ReadFile(path);
  return text ? *text : std::string();
}

std::string LinkTarget(const std::string& path) {
  std::error_code error;
  return fs::read_symlink(path, error).string();
}

bool ContainsAny(std::string_view text, const std::vector<std::string>& marks) {
  return std::any_of(marks.begin(), marks.end(), [&](const std::string& mark) {
    return text.find(mark) != std::string_view::npos;
  });
}

void AddMounts(const std::vector<std::string>& marks, Things& things) {
  std::istringstream lines(Content("/proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    if (ContainsAny(line, marks)) things.insert("mount " + line);
  }
}

void AddLinks(Things& things) {
  struct if_nameindex* links = if_nameindex();
  for (struct if_nameindex* link = links; link != nullptr && link->if_index != 0; ++link) {
    things.insert(std::string("link ") + link->if_name);
  }
  if (links != nullptr) if_freenameindex(links);
}

void AddRules(Things& things) {
  std::istringstream lines(RunCommand({"nft", "list", "ruleset"}).out);
  std::string table;
  bool seen = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("table ")) table = line.substr(0, line.find(" {"));
    // The record of addresses that had connections goes with the network, not with a container.
    if (line.find("set ") != std::string::npos) seen = line.find("set seen") != std::string::npos;
    if (line == "\t}") seen = false;
    if (seen) continue;
    // What somebody else's rules have counted meanwhile is no matter of ours.
    static const std::regex kCounts("counter packets [0-9]+ bytes [0-9]+");
    line = std::regex_replace(line, kCounts, "counter");
    if (!line.empty()) things.insert("nftables " + table + ": " + line);
  }
}

void AddCgroups(const std::vector<std::string>& marks, Things& things) {
  std::error_code error;
  auto walk = fs::recursive_directory_iterator("/sys/fs/cgroup", error);
  for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    if (error) break;  // A folder went away under the walk: it is not there.
    if (walk->is_symlink(error) || !walk->is_directory(error)) continue;
    const std::string path = walk->path().string();
    if (ContainsAny(path, marks)) things.insert("cgroup " + path);
  }
}

// Processes of the test: they live in a cgroup of its root, were started with its paths, or, when
// the network is its own, are in that network. Not those that this program has started itself.
void AddProcesses(const std::vector<std::string>& marks, Things& things) {
  const std::string own_network = LinkTarget("/proc/self/ns/net");
  const std::string self = std::to_string(getpid());
  const std::string own_program = LinkTarget("/proc/self/exe");
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos || pid == self) continue;
    const std::string folder = "/proc/" + pid;
    if (LinkTarget(folder + "/exe") == own_program) continue;
    const std::string stat = Content(folder + "/stat");
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos || name_end + 2 >= stat.size()) continue;
    // Dead, and somebody else's to collect.
    if (stat[name_end + 2] == 'Z' || stat[name_end + 2] == 'X') continue;
    const std::string words = Content(folder + "/cmdline");
    const bool in_network = !UsesHostNetwork() && LinkTarget(folder + "/ns/net") == own_network;
    if (!in_network && !ContainsAny(words, marks) &&
        !ContainsAny(Content(folder + "/environ"), marks) &&
        !ContainsAny(Content(folder + "/cgroup"), marks)) {
      continue;
    }
    std::string shown = words;
    std::replace(shown.begin(), shown.end(), '\0', ' ');
    things.insert("process " + pid + " " + stat.substr(0, name_end + 1) + " " + shown);
  }
}

// Entries, not contents, of the folders whose entries belong to something that lives.
void AddFiles(const std::string& directory, Things& things) {
  for (const char* folder : {"root/containers", "root/volumes", "root/tmp", "root/trash",
                             "run/containers", "run/rows", "run/networks", "run/intents"}) {
    std::error_code error;
    for (const fs::directory_entry& entry :
         fs::directory_iterator(directory + "/" + folder, error)) {
      things.insert("file " + entry.path().string());
    }
  }
}

}  // namespace

bool UsesHostNetwork() {
  return std::getenv("SKIFF_TEST_GUEST") != nullptr ||
         std::getenv("SKIFF_E2E_HOST_NETWORK") != nullptr;
}

bool EnterTestNetwork(std::string* reason) {
  static bool entered = false;
  if (entered || UsesHostNetwork()) return true;
  if (unshare(CLONE_NEWNET) != 0) {
    *reason = std::string("cannot make a network namespace: ") + std::strerror(errno);
    return false;
  }
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  struct ifreq request = {};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
    *reason = std::string("cannot set lo up: ") + std::strerror(errno);
    return false;
  }
  entered = true;
  return true;
}

std::multiset<std::string> TakeSnapshot(const std::string& directory,
                                        const std::vector<std::string>& marks) {
  std::vector<std::string> all_marks = marks;
  all_marks.push_back(directory);
  Things things;
  AddMounts(all_marks, things);
  AddLinks(things);
  AddRules(things);
  AddCgroups(all_marks, things);
  AddProcesses(all_marks, things);
  AddFiles(directory, things);
  return things;
}

std::string Difference(const std::multiset<std::string>& before,
                       const std::multiset<std::string>& after) {
  Things left, lost;
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::inserter(left, left.end()));
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::inserter(lost, lost.end()));
  std::string text;
  for (const std::string& thing : left) text += "left behind: " + thing + "\n";
  for (const std::string& thing : lost) text += "lost: " + thing + "\n";
  return text;
}

}  // namespace skiff::e2e
