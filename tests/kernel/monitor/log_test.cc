#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event_loop.h"
#include "tests/kernel/monitor/monitor_fixture.h"

namespace skiff::engine {
namespace {

using ::testing::ElementsAre;

// Private and shared-by-count memory of a process, KiB.
int64_t PssOf(pid_t pid) {
  const Result<std::string> text = ReadFile("/proc/" + std::to_string(pid) + "/smaps_rollup");
  if (!text) return -1;
  const size_t at = text->find("\nPss:");
  return at == text->npos ? -1 : std::atoll(text->c_str() + at + 5);
}

using LogTest = MonitorTest;

TEST_F(LogTest, HundredThousandLinesAreComplete) {
  LaunchedMonitor& monitor = LaunchShell("seq 1 100000; seq 1 1000 >&2");
  AwaitEnd(monitor);
  const std::vector<std::string> lines = Log(monitor, LogStream::kStdout);
  ASSERT_EQ(lines.size(), 100'000u);
  for (size_t i = 0; i < lines.size(); ++i) ASSERT_EQ(lines[i], std::to_string(i + 1) + "\n");
  EXPECT_EQ(Log(monitor, LogStream::kStderr).size(), 1000u);
}

TEST_F(LogTest, TheLastWordsAreKept) {
  // All of it is still in the pipe when init ends.
  for (int i = 0; i < 20; ++i) {
    LaunchedMonitor& monitor = LaunchShell("printf 'a\\nb\\nno end'");
    AwaitEnd(monitor);
    EXPECT_THAT(Log(monitor, LogStream::kStdout), ElementsAre("a\n", "b\n", "no end"));
  }
}

TEST_F(LogTest, RotatesAsAsked) {
  RuntimeSpec spec = ShellSpec("seq 1 20000");
  spec.log.options = {{"max-size", "100k"}, {"max-file", "2"}};
  LaunchedMonitor& monitor = Launch(spec);
  AwaitEnd(monitor);
  struct stat info = {};
  ASSERT_EQ(::stat((monitor.log_path + ".1").c_str(), &info), 0);
  EXPECT_LE(info.st_size, 100'200);
  EXPECT_NE(::stat((monitor.log_path + ".2").c_str(), &info), 0);
  EXPECT_EQ(Log(monitor, LogStream::kStdout).back(), "20000\n");
}

TEST_F(LogTest, NoneWritesNothing) {
  RuntimeSpec spec = ShellSpec("seq 1 10000");
  spec.log.driver = "none";
  LaunchedMonitor& monitor = Launch(spec);
  EXPECT_EQ(AwaitEnd(monitor).exit_code, 0);
  EXPECT_NE(::access(monitor.log_path.c_str(), F_OK), 0);
}

TEST_F(LogTest, AFullDiskDoesNotStopTheContainer) {
  RuntimeSpec spec = ShellSpec("seq 1 200000; exit 8");
  spec.log_path = "/dev/full";
  LaunchedMonitor& monitor = Launch(spec);
  EXPECT_EQ(AwaitEnd(monitor).exit_code, 8);
}

TEST_F(LogTest, FollowEndsWithTheContainer) {
  LaunchedMonitor& monitor = LaunchShell("for i in 1 2 3 4 5; do echo $i; sleep 0.01; done");
  LogOptions options;
  options.follow = true;
  std::vector<std::string> lines;
  EXPECT_TRUE(
      FollowContainerLog(monitor.log_path, monitor.run_dir, options, [&](const LogEntry& entry) {
        lines.emplace_back(entry.text);
        return true;
      }));
  EXPECT_THAT(lines, ElementsAre("1\n", "2\n", "3\n", "4\n", "5\n"));
}

TEST_F(LogTest, OutputIsFast) {
  constexpr int kLines = 1'000'000;
  {
    std::string text;
    for (int i = 0; i < kLines; ++i)
      text += "a line of output as programs write them, 64 bytes long .......\n";
    const Fd file(::open((folder() + "/image/big").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_TRUE(WriteAll(file.get(), text, "big"));
  }
  RuntimeSpec spec = ShellSpec("cat /big");
  const BootTime start = Now();
  LaunchedMonitor& monitor = Launch(spec);
  AwaitEnd(monitor);
  const double taken = std::chrono::duration<double>(Now() - start).count();
  struct stat info = {};
  ASSERT_EQ(::stat((folder() + "/image/big").c_str(), &info), 0);
  const auto rate = static_cast<int>(static_cast<double>(info.st_size) / taken / 1e6);
  RecordProperty("megabytes_per_second", rate);
  const bool emulated = std::getenv("SKIFF_TEST_GUEST") != nullptr;
  EXPECT_GT(rate, emulated ? 3 : 30) << "even a debug build on a busy machine";
}

TEST_F(LogTest, AnIdleMonitorIsSmall) {
  LaunchedMonitor& monitor = LaunchShell("seq 1 200000; echo quiet; exec sleep 1000");
  AwaitLine(monitor, "quiet\n");
  AwaitState(monitor,
             [](const ContainerState& state) { return state.status == ContainerStatus::kRunning; });
  const int64_t pss = PssOf(monitor.process.pid);
  RecordProperty("pss_kib", static_cast<int>(pss));
  ASSERT_GT(pss, 0);
  // A debug build's text alone is larger than a release's whole monitor.
  EXPECT_LT(pss, 3072) << "also right after a lot of output";
}

}  // namespace
}  // namespace skiff::engine
