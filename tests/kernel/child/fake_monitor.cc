// Stands in for skiff-monitor in tests of the launcher: reports in what context it finds itself.

#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/fd.h"
#include "base/text.h"
#include "engine-core/launch_protocol.h"

namespace {

std::string Field(const std::string& text, const std::string& name) {
  for (const std::string_view line : skiff::Split(text, '\n')) {
    if (line.rfind(name, 0) == 0) return std::string(skiff::Trim(line.substr(name.size())));
  }
  return "";
}

std::string Descriptors() {
  std::vector<int> numbers;
  DIR* directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    const int number = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && number != dirfd(directory)) numbers.push_back(number);
  }
  closedir(directory);
  std::sort(numbers.begin(), numbers.end());
  std::string text;
  for (const int number : numbers) text += std::to_string(number) + " ";
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  using skiff::engine::StartReport;
  const std::string descriptors = Descriptors();
  auto message = skiff::engine::ReceiveLaunchMessage(skiff::engine::kLaunchChannel);
  if (!message) return 1;
  const std::string status = skiff::ReadFile("/proc/self/status").value_or("");
  StartReport report;
  report.host_pid = getpid();
  const auto say = [&](const std::string& name, const std::string& value) {
    report.warnings.push_back(name + "=" + value);
  };
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  cpu_set_t processors;
  CPU_ZERO(&processors);
  sched_getaffinity(0, sizeof processors, &processors);
  char folder[256] = "";
  say("args", std::to_string(argc) + " " + argv[0] + " " + (argc > 1 ? argv[1] : ""));
  say("fds", descriptors);
  say("cwd", getcwd(folder, sizeof folder) ? folder : "?");
  say("blocked", Field(status, "SigBlk:"));
  say("ignored", Field(status, "SigIgn:"));
  say("groups", Field(status, "Groups:"));
  say("umask", Field(status, "Umask:"));
  say("nice", std::to_string(getpriority(PRIO_PROCESS, 0)));
  say("soft", std::to_string(files.rlim_cur));
  say("session", getsid(0) == getpid() ? "own" : "foreign");
  say("cpus", std::to_string(CPU_COUNT(&processors)));
  say("memory", skiff::ReadFile("/proc/self/cgroup").value_or(""));
  say("writable", access("/proc/self/exe", W_OK) == 0 ? "yes" : "no");
  say("spec", message->spec.id + " " + std::to_string(message->spec.environment.size()));
  say("ports", std::to_string(message->ports.size()));
  say("network", message->network_namespace ? "there" : "none");
  struct stat file = {};
  if (message->attach_output && fstat(message->attach_output.get(), &file) == 0)
    say("output", S_ISFIFO(file.st_mode) ? "pipe" : "other");
  return skiff::engine::SendStartReport(skiff::engine::kLaunchChannel, report) ? 0 : 1;
}
