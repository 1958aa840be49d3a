#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "engine-core/cgroup.h"

namespace skiff::engine {
namespace {

constexpr std::string_view kV1Controllers[] = {
    "cpu",  "cpuacct", "cpuset",  "memory",     "devices",  "freezer", "blkio",
    "pids", "net_cls", "hugetlb", "perf_event", "net_prio", "rdma",    "misc"};

// "\040" in mountinfo.
std::string Unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      if (const auto byte = ParseNumber<unsigned>(text.substr(i + 1, 3), 8)) {
        result += static_cast<char>(*byte);
        i += 3;
        continue;
      }
    }
    result += text[i];
  }
  return result;
}

bool IsV1Controller(std::string_view option) {
  return option.substr(0, 5) == "name=" ||
         std::find(std::begin(kV1Controllers), std::end(kV1Controllers), option) !=
             std::end(kV1Controllers);
}

struct MountLine {
  std::string root;
  CgroupHierarchy hierarchy;
};

// One line of mountinfo, when it is a cgroup hierarchy.
bool ParseMountLine(std::string_view line, MountLine* result) {
  const std::vector<std::string_view> words = SplitWords(line);
  const auto dash = std::find(words.begin(), words.end(), "-");
  if (words.size() < 10 || words.end() - dash < 4) return false;
  const std::string_view type = dash[1];
  if (type != "cgroup" && type != "cgroup2") return false;
  result->root = Unescape(words[3]);
  result->hierarchy.mount_point = Unescape(words[4]);
  result->hierarchy.unified = type == "cgroup2";
  for (const std::string_view option : Split(dash[3], ',')) {
    if (!result->hierarchy.unified && IsV1Controller(option))
      result->hierarchy.controllers.emplace_back(option);
  }
  return result->hierarchy.unified || !result->hierarchy.controllers.empty();
}

// This process's folder in a hierarchy, from /proc/self/cgroup.
std::string OwnPath(std::string_view self_cgroup, const CgroupHierarchy& hierarchy) {
  for (const std::string_view line : Split(self_cgroup, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    const std::vector<std::string_view> parts = Split(names, ',');
    const bool matches =
        hierarchy.unified
            ? names.empty()
            : std::find(parts.begin(), parts.end(), hierarchy.controllers.front()) != parts.end();
    if (matches) return std::string(line.substr(second + 1));
  }
  return "/";
}

}  // namespace

bool CgroupHierarchy::Has(std::string_view controller) const {
  return std::find(controllers.begin(), controllers.end(), controller) != controllers.end();
}

const CgroupHierarchy* CgroupLayout::Find(std::string_view controller) const {
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    if (hierarchy.Has(controller)) return &hierarchy;
  }
  return nullptr;
}

const CgroupHierarchy* CgroupLayout::Unified() const {
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    if (hierarchy.unified) return &hierarchy;
  }
  return nullptr;
}

CgroupLayout ParseCgroupLayout(std::string_view mountinfo, std::string_view self_cgroup) {
  CgroupLayout layout;
  bool v1 = false, v2 = false;
  for (const std::string_view line : Split(mountinfo, '\n')) {
    MountLine mount;
    if (!ParseMountLine(line, &mount)) continue;
    const bool known = std::any_of(layout.hierarchies.begin(), layout.hierarchies.end(),
                                   [&](const CgroupHierarchy& other) {
                                     return other.unified == mount.hierarchy.unified &&
                                            other.controllers == mount.hierarchy.controllers;
                                   });
    if (known) continue;
    std::string own = OwnPath(self_cgroup, mount.hierarchy);
    // Inside a container the mount shows a part of the hierarchy only.
    if (mount.root != "/" && own.rfind(mount.root, 0) == 0) own.erase(0, mount.root.size());
    mount.hierarchy.own_path = own.empty() ? "/" : own;
    (mount.hierarchy.unified ? v2 : v1) = true;
    layout.hierarchies.push_back(std::move(mount.hierarchy));
  }
  layout.mode = v1 && v2 ? CgroupMode::kHybrid
                : v1     ? CgroupMode::kV1
                : v2     ? CgroupMode::kV2
                         : CgroupMode::kNone;
  return layout;
}

Result<CgroupLayout> DetectCgroupLayout() {
  SKIFF_ASSIGN(const std::string mountinfo, ReadFile("/proc/self/mountinfo"));
  SKIFF_ASSIGN(const std::string own, ReadFile("/proc/self/cgroup"));
  CgroupLayout layout = ParseCgroupLayout(mountinfo, own);
  for (CgroupHierarchy& hierarchy : layout.hierarchies) {
    if (!hierarchy.unified) continue;
    SKIFF_ASSIGN(const std::string text, ReadFile(hierarchy.mount_point + "/cgroup.controllers"));
    for (const std::string_view name : SplitWords(text)) hierarchy.controllers.emplace_back(name);
  }
  return layout;
}

}  // namespace skiff::engine
