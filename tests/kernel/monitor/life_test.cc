#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "base/event_loop.h"
#include "engine-core/monitor/liveness.h"
#include "tests/kernel/monitor/monitor_fixture.h"

namespace skiff::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool IsRunning(const ContainerState& state) {
  return state.status == ContainerStatus::kRunning;
}

using LifeTest = MonitorTest;

TEST_F(LifeTest, ExitCodeAndStateOfAShortRun) {
  LaunchedMonitor& monitor = LaunchShell("echo hello; echo oops >&2; exit 7");
  EXPECT_EQ(monitor.report.error, "");
  EXPECT_GT(monitor.report.host_pid, 0);
  const ContainerState state = AwaitEnd(monitor);
  EXPECT_EQ(state.status, ContainerStatus::kExited);
  EXPECT_EQ(state.exit_code, 7);
  EXPECT_EQ(state.pid, 0);
  EXPECT_GT(state.started_at, 0);
  EXPECT_GE(state.finished_at, state.started_at);
  EXPECT_THAT(Log(monitor, LogStream::kStdout), ElementsAre("hello\n"));
  EXPECT_THAT(Log(monitor, LogStream::kStderr), ElementsAre("oops\n"));
  EXPECT_FALSE(monitor.client().Alive());
  EXPECT_THAT(Journal(), HasSubstr("\"action\":\"start\""));
  EXPECT_THAT(Journal(), HasSubstr("\"exitCode\":\"7\""));
  struct stat info = {};
  EXPECT_NE(::stat((monitor.run_dir + "/control.sock").c_str(), &info), 0);
}

TEST_F(LifeTest, ThePidInTheStateIsTheHosts) {
  LaunchedMonitor& monitor = LaunchShell("exec sleep 1000");
  const ContainerState state = AwaitState(monitor, IsRunning);
  EXPECT_EQ(state.pid, monitor.report.host_pid);
  // Descriptors close in the middle of the exec, a moment before the kernel shows the environment.
  const BootTime deadline = Now() + seconds(5);
  Result<std::string> environment;
  do {
    environment = ReadFile("/proc/" + std::to_string(state.pid) + "/environ");
    ASSERT_TRUE(environment);
  } while (environment->empty() && Now() < deadline);
  EXPECT_THAT(*environment, HasSubstr(folder()));
}

TEST_F(LifeTest, AMissingProgramIs127) {
  LaunchedMonitor& monitor = Launch(MakeSpec({"/no/such/program"}));
  EXPECT_EQ(monitor.report.exit_code, 127);
  EXPECT_THAT(monitor.report.error, HasSubstr("no such file"));
  const ContainerState state = AwaitEnd(monitor);
  EXPECT_EQ(state.status, ContainerStatus::kCreated);
  EXPECT_EQ(state.exit_code, 127);
  EXPECT_EQ(state.error, monitor.report.error);
}

TEST_F(LifeTest, StopAsksFirst) {
  LaunchedMonitor& monitor =
      LaunchShell("trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done");
  AwaitLine(monitor, "up\n");
  ASSERT_TRUE(monitor.client().Stop(0, seconds(10)));
  EXPECT_FALSE(monitor.client().Alive());
  EXPECT_EQ(AwaitEnd(monitor).exit_code, 3);
  EXPECT_THAT(Log(monitor, LogStream::kStdout), ElementsAre("up\n", "asked\n"));
}

TEST_F(LifeTest, StopKillsAtTheDeadline) {
  LaunchedMonitor& monitor = LaunchShell("trap '' TERM; echo up; while :; do sleep 0.05; done");
  AwaitLine(monitor, "up\n");
  const BootTime before = Now();
  ASSERT_TRUE(monitor.client().Stop(0, milliseconds(300)));
  EXPECT_GE(Now() - before, milliseconds(300));
  EXPECT_EQ(AwaitEnd(monitor).exit_code, 137);
}

TEST_F(LifeTest, SigtermToTheMonitorStopsTheContainer) {
  LaunchedMonitor& monitor =
      LaunchShell("trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done");
  AwaitLine(monitor, "up\n");
  ::syscall(SYS_pidfd_send_signal, monitor.process.pidfd.get(), SIGTERM, nullptr, 0);
  const ContainerState state = AwaitEnd(monitor);
  EXPECT_EQ(state.status, ContainerStatus::kExited);
  EXPECT_EQ(state.exit_code, 5);
}

TEST_F(LifeTest, AKillFromOutsideRestarts) {
  RuntimeSpec spec =
      ShellSpec("test -e /mark && echo again; mkdir /mark && echo first; exec sleep 1000");
  spec.restart.mode = RestartMode::kAlways;
  LaunchedMonitor& monitor = Launch(spec);
  const ContainerState first = AwaitState(monitor, IsRunning);
  AwaitLine(monitor, "first\n");
  ASSERT_EQ(::kill(static_cast<pid_t>(first.pid), SIGKILL), 0);
  const ContainerState second = AwaitState(monitor, [&](const ContainerState& state) {
    return IsRunning(state) && state.pid != first.pid;
  });
  EXPECT_EQ(second.restart_count, 1);
  EXPECT_GT(second.started_at, first.started_at);
  AwaitLine(monitor, "again\n");
  // What Skiff itself kills stays dead.
  ASSERT_TRUE(monitor.client().Kill(SIGKILL));
  const ContainerState last = AwaitEnd(monitor);
  EXPECT_EQ(last.status, ContainerStatus::kExited);
  EXPECT_EQ(last.exit_code, 137);
  EXPECT_FALSE(last.oom_killed);
  EXPECT_THAT(Log(monitor, LogStream::kStdout), ElementsAre("first\n", "again\n"));
}

TEST_F(LifeTest, OnFailureGivesUp) {
  RuntimeSpec spec = ShellSpec("exit 4");
  spec.restart = {RestartMode::kOnFailure, 2};
  LaunchedMonitor& monitor = Launch(spec);
  const ContainerState state = AwaitEnd(monitor);
  EXPECT_EQ(state.restart_count, 2);
  EXPECT_EQ(state.exit_code, 4);
}

TEST_F(LifeTest, StopDuringTheBackOffEndsIt) {
  RuntimeSpec spec = ShellSpec("exit 1");
  spec.restart.mode = RestartMode::kAlways;
  LaunchedMonitor& monitor = Launch(spec);
  AwaitState(monitor, [](const ContainerState& state) {
    return state.status == ContainerStatus::kRestarting && state.restart_count >= 2;
  });
  ASSERT_TRUE(monitor.client().Stop(0, std::nullopt));
  EXPECT_EQ(AwaitEnd(monitor).status, ContainerStatus::kExited);
}

TEST_F(LifeTest, RestartKeepsTheMonitor) {
  LaunchedMonitor& monitor = LaunchShell("echo run; exec sleep 1000");
  const ContainerState first = AwaitState(monitor, IsRunning);
  ASSERT_TRUE(monitor.client().Restart(SIGKILL, seconds(0)));
  const ContainerState second = AwaitState(monitor, IsRunning);
  EXPECT_NE(second.pid, first.pid);
  EXPECT_EQ(second.restart_count, 0);
  pollfd watched = {monitor.process.pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&watched, 1, 0), 0) << "the monitor has ended";
}

TEST_F(LifeTest, DeathOfTheMonitorEndsTheContainer) {
  LaunchedMonitor& monitor =
      LaunchShell("setsid sleep 1000 & (trap '' TERM HUP; sleep 1000) & exec sleep 1000");
  const ContainerState state = AwaitState(monitor, IsRunning);
  const Fd init(monitor::OpenPidfd(static_cast<pid_t>(state.pid)));
  ASSERT_TRUE(init);
  ::syscall(SYS_pidfd_send_signal, monitor.process.pidfd.get(), SIGKILL, nullptr, 0);
  pollfd watched = {init.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&watched, 1, 5000), 1) << "the container outlives its monitor";
  ASSERT_TRUE(AwaitMonitorExit(monitor.run_dir, -1));
  EXPECT_FALSE(monitor.client().Alive());
  EXPECT_EQ(monitor.client().ReadState()->status, ContainerStatus::kRunning)
      << "the next command sees that nobody holds the lock";
}

TEST_F(LifeTest, EverythingBelowItIsReaped) {
  LaunchedMonitor& monitor = LaunchShell(
      "for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.01 & sleep 0.02 & exit 0); done; wait; echo done;"
      " exit 0");
  EXPECT_EQ(AwaitEnd(monitor).exit_code, 0);
}

TEST_F(LifeTest, WithTheHostsPidsTheWholeCgroupEnds) {
  RuntimeSpec spec = ShellSpec("(trap '' TERM; sleep 1000) & setsid sleep 1000 & exit 3");
  spec.pid.mode = NamespaceMode::kHost;
  UseCgroups(&spec, {});
  if (IsSkipped()) return;
  LaunchedMonitor& monitor = Launch(spec);
  const ContainerState state = AwaitEnd(monitor);
  EXPECT_EQ(state.exit_code, 3);
  EXPECT_TRUE(CgroupIsEmpty(spec.cgroups).value());
}

TEST_F(LifeTest, SignalsAreAsAProgramExpectsThem) {
  LaunchedMonitor& monitor = Launch(MakeSpec({"cat", "/proc/self/status"}));
  AwaitEnd(monitor);
  const std::vector<std::string> lines = Log(monitor, LogStream::kStdout);
  EXPECT_THAT(lines, ::testing::Contains("SigBlk:\t0000000000000000\n"));
  EXPECT_THAT(lines, ::testing::Contains("SigIgn:\t0000000000000000\n"));
}

TEST_F(LifeTest, OomIsToldApart) {
  RuntimeSpec spec = ShellSpec("x=$(yes | head -c 200000000); echo ${#x}");
  Resources resources;
  resources.memory = 16 << 20;
  resources.memory_swap = 16 << 20;
  UseCgroups(&spec, resources);
  if (IsSkipped()) return;
  LaunchedMonitor& monitor = Launch(spec);
  const ContainerState state = AwaitEnd(monitor);
  EXPECT_TRUE(state.oom_killed);
  EXPECT_THAT(Journal(), HasSubstr("\"action\":\"die\""));
}

TEST_F(LifeTest, PauseFreezesAndStopThaws) {
  RuntimeSpec spec = ShellSpec("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done");
  UseCgroups(&spec, {});
  if (IsSkipped()) return;
  LaunchedMonitor& monitor = Launch(spec);
  AwaitLine(monitor, "up\n");
  ASSERT_TRUE(monitor.client().Pause());
  EXPECT_EQ(monitor.client().ReadState()->status, ContainerStatus::kPaused);
  EXPECT_EQ(monitor.client().Pause().error().code, Code::kFailedPrecondition);
  const auto refused = monitor.client().Exec({{"true"}, {}, "", "", false, false}, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("is paused, unpause the container before exec"));
  ASSERT_TRUE(monitor.client().Unpause());
  EXPECT_EQ(monitor.client().ReadState()->status, ContainerStatus::kRunning);
  ASSERT_TRUE(monitor.client().Pause());
  ASSERT_TRUE(monitor.client().Stop(0, seconds(10)));
  EXPECT_EQ(AwaitEnd(monitor).exit_code, 0);
}

TEST_F(LifeTest, HealthFollowsItsProbe) {
  RuntimeSpec spec = ShellSpec("exec sleep 1000");
  spec.healthcheck.test = {"CMD-SHELL", "echo looked; test -e /tmp/well"};
  spec.healthcheck.interval = milliseconds(200);
  spec.healthcheck.timeout = seconds(5);
  spec.healthcheck.retries = 2;
  LaunchedMonitor& monitor = Launch(spec);
  const auto is = [](HealthStatus health) {
    return [health](const ContainerState& state) { return state.health == health; };
  };
  AwaitState(monitor, is(HealthStatus::kStarting));
  const ContainerState bad = AwaitState(monitor, is(HealthStatus::kUnhealthy));
  EXPECT_EQ(bad.failing_streak, 2);
  EXPECT_EQ(bad.health_log.back().exit_code, 1);
  EXPECT_EQ(bad.health_log.back().output, "looked\n");
  EXPECT_EQ(Exec(monitor, {{"touch", "/tmp/well"}, {}, "", "", false, false}).exit_code, 0);
  const ContainerState good = AwaitState(monitor, is(HealthStatus::kHealthy));
  EXPECT_EQ(good.failing_streak, 0);
  ASSERT_TRUE(monitor.client().Stop(SIGKILL, seconds(0)));
  AwaitEnd(monitor);
  EXPECT_THAT(Journal(), HasSubstr("health_status: healthy"));
}

TEST_F(LifeTest, AProbeThatHangsIsKilled) {
  RuntimeSpec spec = ShellSpec("exec sleep 1000");
  spec.healthcheck.test = {"CMD", "sleep", "1000"};
  spec.healthcheck.interval = milliseconds(100);
  spec.healthcheck.timeout = milliseconds(100);
  spec.healthcheck.retries = 1;
  LaunchedMonitor& monitor = Launch(spec);
  const ContainerState state = AwaitState(
      monitor, [](const ContainerState& now) { return now.health == HealthStatus::kUnhealthy; });
  EXPECT_EQ(state.health_log.back().exit_code, -1);
  EXPECT_THAT(state.health_log.back().output, HasSubstr("Health check exceeded timeout (100ms)"));
}

}  // namespace
}  // namespace skiff::engine
