#include "tests/kernel/monitor/monitor_fixture.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/atomic_file.h"
#include "base/event_loop.h"
#include "base/identity.h"
#include "engine-core/capabilities.h"
#include "engine-core/journal.h"
#include "engine-core/runtime_defaults.h"

namespace skiff::engine {
namespace {

using std::chrono::seconds;

constexpr BootTime kPatience = seconds(20);
constexpr const char* kApplets[] = {"sh",   "cat",    "echo", "true",  "false", "sleep", "seq",
                                    "kill", "head",   "wc",   "test",  "tty",   "stty",  "env",
                                    "id",   "ls",     "dd",   "touch", "rm",    "mkdir", "trap",
                                    "tail", "printf", "yes",  "pwd",   "nohup", "setsid"};

int LeftMilliseconds(BootTime deadline) {
  return static_cast<int>(std::max<int64_t>(0, (deadline - Now()) / std::chrono::milliseconds(1)));
}

// Processes whose root or environment is below `folder`: what a test may have left.
std::vector<std::string> ProcessesOf(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    const Result<std::string> environment = ReadFile(entry.path().string() + "/environ");
    if (environment && environment->find(folder) != std::string::npos &&
        name != std::to_string(::getpid())) {
      found.push_back(name);
    }
  }
  return found;
}

}  // namespace

std::string ReadUntil(int fd, const std::function<bool(const std::string&)>& enough) {
  std::string text;
  const BootTime deadline = Now() + kPatience;
  while (!enough(text)) {
    pollfd watched = {fd, POLLIN, 0};
    if (::poll(&watched, 1, LeftMilliseconds(deadline)) <= 0) {
      ADD_FAILURE() << "nothing more came after: " << text.substr(0, 1000);
      return text;
    }
    char buffer[65536];
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

void MonitorTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: it makes namespaces and mounts";
  if (::access("/bin/busybox", X_OK) != 0) GTEST_SKIP() << "needs /bin/busybox (busybox-static)";
  char name[] = "/tmp/skiff-monitor-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  root_ = name;
  for (const char* path : {"/image/bin", "/image/etc", "/image/tmp", "/image/proc", "/image/sys",
                           "/image/dev", "/run/containers"}) {
    std::filesystem::create_directories(root_ + path);
  }
  std::filesystem::copy_file("/bin/busybox", root_ + "/image/bin/busybox");
  for (const char* applet : kApplets) {
    std::filesystem::create_symlink("busybox", root_ + "/image/bin/" + applet);
  }
  std::ofstream(root_ + "/image/etc/passwd") << "root:x:0:0:root:/:/bin/sh\n"
                                                "alice:x:1000:1000::/:/bin/sh\n";
  std::ofstream(root_ + "/image/etc/group") << "root:x:0:\nalice:x:1000:\n";
  // Another build's program: to look at the release's size and speed.
  const char* program = ::getenv("SKIFF_TEST_MONITOR");
  auto launcher = Launcher::Create(program != nullptr ? program : SKIFF_MONITOR_PROGRAM);
  ASSERT_TRUE(launcher) << launcher.error().Text();
  launcher_ = std::move(*launcher);
}

void MonitorTest::TearDown() {
  if (root_.empty()) return;
  for (const auto& monitor : monitors_) {
    if (!monitor->process.pidfd) continue;
    ::syscall(SYS_pidfd_send_signal, monitor->process.pidfd.get(), SIGKILL, nullptr, 0);
    siginfo_t info = {};
    ::waitid(P_PIDFD, static_cast<id_t>(monitor->process.pidfd.get()), &info, WEXITED);
  }
  for (const std::string& id : cgroup_ids_) {
    const Status removed = cgroups_->RemoveContainer(id);
    EXPECT_TRUE(removed) << removed.error().Text();
  }
  if (cgroups_) {
    EXPECT_TRUE(cgroups_->RemoveRoot());
  }
  EXPECT_THAT(ProcessesOf(root_), ::testing::IsEmpty());
  const Result<std::string> mounts = ReadFile("/proc/self/mountinfo");
  EXPECT_EQ(mounts->find(root_), std::string::npos) << "the host carries a mount of ours";
  EXPECT_TRUE(RemoveTree(root_));
}

RuntimeSpec MonitorTest::MakeSpec(std::vector<std::string> args) {
  const std::string number = std::to_string(next_id_++);
  RuntimeSpec spec;
  spec.id = "c" + number + RandomHex(8);
  spec.name = "test-" + number;
  spec.run_dir = root_ + "/run/containers/" + spec.id;
  spec.log_path = root_ + "/" + spec.id + "-json.log";
  spec.hostname = "box";
  spec.args = std::move(args);
  // The mark makes the container's processes findable.
  spec.environment = {"PATH=/bin", "TEST_MARK=" + root_};
  spec.capabilities = kDefaultCapabilities;
  spec.root.lower = {root_ + "/image"};
  for (const char* part : {"upper", "work"}) {
    std::filesystem::create_directories(root_ + "/" + spec.id + "/" + part);
  }
  spec.root.upper = root_ + "/" + spec.id + "/upper";
  spec.root.work = root_ + "/" + spec.id + "/work";
  spec.mounts = DefaultMounts({});
  spec.masked_paths = DefaultMaskedPaths();
  spec.read_only_paths = DefaultReadOnlyPaths();
  spec.network.mode = NamespaceMode::kHost;
  std::filesystem::create_directories(spec.run_dir);
  ::chmod(spec.run_dir.c_str(), 0700);
  return spec;
}

void MonitorTest::UseCgroups(RuntimeSpec* spec, const Resources& resources) {
  if (!cgroups_) {
    auto manager = CgroupManager::Create({RandomHex(4), ""});
    if (!manager) GTEST_SKIP() << "no cgroups can be made: " << manager.error().Text();
    cgroups_ = std::move(*manager);
  }
  auto made = cgroups_->CreateContainer(spec->id, resources, DefaultDeviceRules(), false);
  if (!made) GTEST_SKIP() << "no cgroups can be made: " << made.error().Text();
  cgroup_ids_.push_back(spec->id);
  made->ApplyTo(*spec);
}

LaunchedMonitor& MonitorTest::Launch(const RuntimeSpec& spec, Launcher::Request request) {
  monitors_.push_back(std::make_unique<LaunchedMonitor>());
  LaunchedMonitor& monitor = *monitors_.back();
  monitor.run_dir = spec.run_dir;
  monitor.log_path = spec.log_path;
  request.spec = EncodeRuntimeSpec(spec);
  auto launched = launcher_->Launch(request);
  EXPECT_TRUE(launched) << launched.error().Text();
  if (!launched) return monitor;
  monitor.process = std::move(*launched);
  auto report = Launcher::AwaitStart(monitor.process);
  EXPECT_TRUE(report) << report.error().Text();
  if (report) monitor.report = std::move(*report);
  return monitor;
}

ContainerState MonitorTest::AwaitEnd(LaunchedMonitor& monitor) {
  pollfd watched = {monitor.process.pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&watched, 1, static_cast<int>(kPatience / std::chrono::milliseconds(1))), 1)
      << "the monitor still lives";
  if (watched.revents != 0) {
    EXPECT_TRUE(AwaitMonitorExit(monitor.run_dir, -1));
  }
  const Result<ContainerState> state = monitor.client().ReadState();
  EXPECT_TRUE(state) << state.error().Text();
  return state.value_or(ContainerState());
}

ContainerState MonitorTest::AwaitState(const LaunchedMonitor& monitor,
                                       const std::function<bool(const ContainerState&)>& wanted) {
  const Fd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  EXPECT_GE(::inotify_add_watch(changes.get(), monitor.run_dir.c_str(), IN_MOVED_TO), 0);
  const BootTime deadline = Now() + kPatience;
  for (;;) {
    const Result<ContainerState> state = monitor.client().ReadState();
    if (state && wanted(*state)) return *state;
    pollfd watched = {changes.get(), POLLIN, 0};
    if (::poll(&watched, 1, LeftMilliseconds(deadline)) <= 0) {
      ADD_FAILURE() << "the state never came; it is " << (state ? StateToJson(*state) : "missing");
      return state.value_or(ContainerState());
    }
    char events[4096];
    while (::read(changes.get(), events, sizeof events) > 0) {
    }
  }
}

std::vector<std::string> MonitorTest::Log(const LaunchedMonitor& monitor, LogStream stream) const {
  std::vector<std::string> lines;
  EXPECT_TRUE(ReadLogFile(monitor.log_path, {}, nullptr, -1, [&](const LogEntry& entry) {
    if (entry.stream == stream) lines.emplace_back(entry.text);
    return true;
  }));
  return lines;
}

void MonitorTest::AwaitLine(const LaunchedMonitor& monitor, const std::string& line) {
  LogOptions options;
  options.follow = true;
  bool found = false;
  EXPECT_TRUE(
      FollowContainerLog(monitor.log_path, monitor.run_dir, options, [&](const LogEntry& entry) {
        found = entry.text == line;
        return !found;
      }));
  EXPECT_TRUE(found) << "the container ended without '" << line << "'";
}

MonitorTest::ExecResult MonitorTest::Exec(const LaunchedMonitor& monitor, const ExecConfig& config,
                                          std::string_view input) {
  Pipe in = std::move(*MakePipe());
  Pipe out = std::move(*MakePipe());
  Pipe error = std::move(*MakePipe());
  auto session =
      monitor.client().Exec(config, {in.read.get(), out.write.get(), error.write.get()}, {});
  EXPECT_TRUE(session) << session.error().Text();
  if (!session) return {};
  in.read.Reset();
  out.write.Reset();
  error.write.Reset();
  EXPECT_TRUE(WriteAll(in.write.get(), input, "input"));
  in.write.Reset();
  ExecResult result;
  const auto never = [](const std::string&) { return false; };
  result.output = ReadUntil(out.read.get(), never);
  result.error = ReadUntil(error.read.get(), never);
  const Result<int> exit_code = (*session)->Wait();
  EXPECT_TRUE(exit_code) << exit_code.error().Text();
  result.exit_code = exit_code.value_or(-1);
  return result;
}

std::string MonitorTest::Journal() const {
  return ReadFile(JournalPath(root_ + "/run")).value_or("");
}

}  // namespace skiff::engine
