#include "cli/process_table.h"

#include <dirent.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/fd.h"
#include "base/text.h"

namespace skiff::cli {
namespace {

constexpr int64_t kDay = 24 * 3600;

// Names by user id, as the machine's own file has them.
std::map<std::string, std::string> UserNames() {
  std::map<std::string, std::string> names;
  const auto text = ReadFile("/etc/passwd");
  if (!text) return names;
  for (const std::string_view line : Split(*text, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ':');
    if (fields.size() > 2) names.emplace(fields[2], fields[0]);
  }
  return names;
}

std::string TerminalName(uint64_t device) {
  if (device == 0) return "?";
  constexpr unsigned kFirstPts = 136;
  constexpr unsigned kLastPts = 143;
  const unsigned number = major(device);
  if (number >= kFirstPts && number <= kLastPts) {
    return fmt::format("pts/{}", (number - kFirstPts) * 256 + minor(device));
  }
  if (number == 4) return fmt::format("tty{}", minor(device));
  return "?";
}

struct Clock {
  int64_t ticks = ::sysconf(_SC_CLK_TCK);  // In a second.
  int64_t uptime = 0;                      // Seconds.
  int64_t now = 0;                         // Seconds since the epoch.
};

// proc(5): fields of /proc/PID/stat behind the name, which may have anything in it.
std::vector<std::string> Row(int64_t pid, const Clock& clock,
                             const std::map<std::string, std::string>& users) {
  const std::string folder = fmt::format("/proc/{}", pid);
  const auto stat = ReadFile(folder + "/stat");
  const auto status = ReadFile(folder + "/status");
  auto command = ReadFile(folder + "/cmdline");
  if (!stat || !status || !command) return {};  // It has ended meanwhile.
  const size_t name = stat->find('(');
  const size_t end = stat->rfind(')');
  if (name == std::string::npos || end == std::string::npos) return {};
  const std::vector<std::string_view> fields = SplitWords(std::string_view(*stat).substr(end + 1));
  const auto number = [&](size_t field) {  // As proc(5) counts them.
    return field - 3 < fields.size() ? ParseNumber<int64_t>(fields[field - 3]).value_or(0) : 0;
  };
  std::string user;
  for (const std::string_view line : Split(*status, '\n')) {
    const std::vector<std::string_view> words = SplitWords(line);
    if (words.size() > 1 && words[0] == "Uid:") user = words[1];
  }
  if (const auto found = users.find(user); found != users.end()) user = found->second;
  const int64_t used = (number(14) + number(15)) / clock.ticks;
  const int64_t age = std::max<int64_t>(clock.uptime - number(22) / clock.ticks, 0);
  const time_t started = clock.now - age;
  tm local = {};
  ::localtime_r(&started, &local);
  std::replace(command->begin(), command->end(), '\0', ' ');
  std::string text(Trim(*command));
  // A thread of the kernel, or one that is dying.
  if (text.empty()) text = fmt::format("[{}]", stat->substr(name + 1, end - name - 1));
  return {user,
          std::to_string(pid),
          std::to_string(number(4)),
          std::to_string(age == 0 ? 0 : std::min<int64_t>(used * 100 / age, 99)),
          age < kDay ? fmt::format("{:%H:%M}", local) : fmt::format("{:%b%d}", local),
          TerminalName(static_cast<uint64_t>(number(7))),
          fmt::format("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
          text};
}

}  // namespace

Result<std::vector<std::vector<std::string>>> ProcessesOf(std::string_view container_id,
                                                          int64_t now) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), ::closedir);
  if (!folder) return FailErrno("cannot read '/proc'");
  std::vector<int64_t> processes;
  while (const dirent* entry = ::readdir(folder.get())) {
    const auto pid = ParseNumber<int64_t>(entry->d_name);
    if (!pid) continue;
    const auto cgroups = ReadFile(fmt::format("/proc/{}/cgroup", *pid));
    if (cgroups && cgroups->find(container_id) != std::string::npos) processes.push_back(*pid);
  }
  std::ranges::sort(processes);
  Clock clock;
  clock.now = now / 1'000'000'000;
  SKIFF_ASSIGN(const std::string uptime, ReadFile("/proc/uptime"));
  clock.uptime = ParseNumber<int64_t>(uptime.substr(0, uptime.find('.'))).value_or(0);
  const std::map<std::string, std::string> users = UserNames();
  std::vector<std::vector<std::string>> rows;
  for (const int64_t pid : processes) {
    if (auto row = Row(pid, clock, users); !row.empty()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace skiff::cli
