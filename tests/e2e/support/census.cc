#include "tests/e2e/support/census.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>

#include "base/fd.h"
#include "tests/e2e/support/kernel_snapshot.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;

// Kinds whose entries have one number each in `counts`: the first word of a snapshot's entry.
std::string KindOf(const std::string& thing) {
  return thing.substr(0, thing.find(' '));
}

void CountProcess(const std::string& pid, std::set<std::string>& networks, Census& census) {
  const std::string folder = "/proc/" + pid;
  std::error_code error;
  const std::string network = fs::read_symlink(folder + "/ns/net", error).string();
  if (!network.empty()) networks.insert(network);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder + "/fd", error)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(entry.path(), gone).string();
    if (gone) continue;
    ++census.counts["descriptors"];
    census.things.insert("descriptor " + target.substr(0, target.find(':')));
    if (target.starts_with("net:")) networks.insert(target);
    if (target != "anon_inode:inotify") continue;
    const auto watches = ReadFile(folder + "/fdinfo/" + entry.path().filename().string());
    if (!watches) continue;
    for (size_t at = watches->find("inotify "); at != std::string::npos;
         at = watches->find("inotify ", at + 1)) {
      ++census.counts["inotify watches"];
    }
  }
}

// Keyrings live as long as a process that has them, unless something links them where they last.
void CountKeys(Census& census) {
  for (const int ring : {KEY_SPEC_USER_KEYRING, KEY_SPEC_USER_SESSION_KEYRING}) {
    int32_t keys[1024];
    const long size = ::syscall(SYS_keyctl, KEYCTL_READ, ring, keys, sizeof keys, 0);
    if (size > 0) census.counts["keys"] += size / static_cast<long>(sizeof(int32_t));
  }
}

// The database keeps pages it has once needed, and
// what a container's folder in the volatile root says differs by pids and times.
bool HasSteadyBytes(const std::string& path) {
  for (const char* part : {"/skiff.db", "/run/containers/", "/run/networks/"}) {
    if (path.find(part) != std::string::npos) return false;
  }
  for (const char* name : {"/hosts", "/hostname", "/resolv.conf"}) {
    if (path.ends_with(name)) return false;
  }
  return true;
}

void CountFiles(const std::string& directory, Census& census) {
  std::error_code error;
  for (const fs::directory_entry& top : fs::directory_iterator(directory, error)) {
    const std::string name = top.path().filename();
    if (!name.ends_with("root") && !name.ends_with("run")) continue;
    auto walk = fs::recursive_directory_iterator(top.path(), error);
    for (; walk != fs::recursive_directory_iterator(); walk.increment(error)) {
      if (error) break;
      std::error_code gone;
      const std::string path = walk->path().string();
      // The journal of events is capped, not kept. Removing an image does not remove its blobs yet.
      if (path.find("/run/events.") != std::string::npos) continue;
      if (path.find("/blobs/") != std::string::npos) continue;
      const bool folder = walk->is_directory(gone);
      ++census.counts[folder ? "folders" : "files"];
      census.things.insert((folder ? "folder " : "file ") + path);
      if (!walk->is_regular_file(gone) || walk->is_symlink(gone) || !HasSteadyBytes(path)) continue;
      const auto size = static_cast<int64_t>(walk->file_size(gone));
      if (gone) continue;
      census.counts["bytes"] += size;
      census.things.insert("bytes " + path + " " + std::to_string(size));
    }
  }
}

// Ids, pids, ports and addresses differ from one time to the next: they are left out of messages.
std::multiset<std::string> WithoutNumbers(const std::multiset<std::string>& things) {
  std::multiset<std::string> shown;
  for (const std::string& thing : things) {
    std::string text;
    for (size_t i = 0; i < thing.size();) {
      size_t end = i;
      bool digit = false;
      while (end < thing.size() && std::isxdigit(static_cast<unsigned char>(thing[end])) != 0) {
        digit = digit || thing[end] <= '9';
        ++end;
      }
      text += digit ? "#" : thing.substr(i, end - i);
      if (end == i) text += thing[end++];
      i = end;
    }
    shown.insert(std::move(text));
  }
  return shown;
}

}  // namespace

Census TakeCensus(const std::string& directory, const std::vector<std::string>& marks) {
  Census census;
  for (const char* kind : {"mount", "link", "nftables", "cgroup", "process", "descriptors",
                           "inotify watches", "network namespaces", "keys"}) {
    census.counts[kind] = 0;
  }
  std::set<std::string> networks;
  for (const std::string& thing : TakeSnapshot(directory, marks)) {
    const std::string kind = KindOf(thing);
    if (kind == "file") continue;  // All of them are counted below.
    ++census.counts[kind];
    census.things.insert(thing);
    if (kind != "process") continue;
    const size_t begin = kind.size() + 1;
    CountProcess(thing.substr(begin, thing.find(' ', begin) - begin), networks, census);
  }
  census.counts["network namespaces"] = static_cast<int64_t>(networks.size());
  CountKeys(census);
  CountFiles(directory, census);
  return census;
}

std::string Difference(const Census& before, const Census& after) {
  if (before.counts == after.counts) return "";
  std::string text;
  for (const auto& [kind, count] : after.counts) {
    const auto was = before.counts.find(kind);
    const int64_t then = was == before.counts.end() ? 0 : was->second;
    if (then == count) continue;
    text += kind + ": " + std::to_string(then) + " before, " + std::to_string(count) + " after\n";
  }
  return text + Difference(WithoutNumbers(before.things), WithoutNumbers(after.things));
}

}  // namespace skiff::e2e
