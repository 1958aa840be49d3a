#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "engine-core/monitor/core.h"

namespace skiff::engine::monitor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Describe {
  std::string operator()(const StartInit&) const { return "start"; }
  std::string operator()(const ReleaseInit&) const { return "release"; }
  std::string operator()(const SignalInit& a) const { return "signal " + std::to_string(a.signal); }
  std::string operator()(const KillContainer&) const { return "kill"; }
  std::string operator()(const SetFrozen& a) const { return a.frozen ? "freeze" : "thaw"; }
  std::string operator()(const SetTimer& a) const {
    const int64_t ms = a.deadline / milliseconds(1);
    return "timer " + std::to_string(static_cast<int>(a.kind)) + " at " + std::to_string(ms);
  }
  std::string operator()(const CancelTimer& a) const {
    return "cancel " + std::to_string(static_cast<int>(a.kind));
  }
  std::string operator()(const WriteState&) const { return "state"; }
  std::string operator()(const RunProbe& a) const { return "probe " + std::to_string(a.probe); }
  std::string operator()(const KillProbe& a) const {
    return "kill probe " + std::to_string(a.probe);
  }
  std::string operator()(const AppendJournal& a) const { return "journal " + a.action; }
  std::string operator()(const ReportStart& a) const {
    return a.error.empty() ? "report " + std::to_string(a.host_pid)
                           : "report " + std::to_string(a.exit_code) + " " + a.error;
  }
  std::string operator()(const Reply& a) const {
    const std::string to = "reply " + std::to_string(a.client);
    return a.error ? to + ": " + a.error->message : to;
  }
  std::string operator()(const EndRun&) const { return "end run"; }
  std::string operator()(const RemoveNames&) const { return "remove names"; }
  std::string operator()(const Exit&) const { return "exit"; }
};

constexpr int64_t kStart = 1'700'000'000'000'000'000;

// A core with a clock that only the test moves.
class CoreTest : public ::testing::Test {
 protected:
  CoreTest() {
    spec_.id = "c0ffee";
    spec_.name = "web";
  }

  Core& core() {
    if (!core_) core_.emplace(spec_);
    return *core_;
  }
  static std::vector<std::string> Text(const Actions& actions) {
    std::vector<std::string> out;
    for (const Action& action : actions) out.push_back(std::visit(Describe(), action));
    return out;
  }
  std::vector<std::string> Send(const Event& event) {
    return Text(core().Handle(event, {clock_, kStart + clock_.count()}));
  }
  std::vector<std::string> Begin() { return Text(core().Begin({clock_, kStart + clock_.count()})); }
  void Run() {
    Begin();
    Send(InitReady{});
    Send(InitExeced{4711});
  }
  std::vector<std::string> End(int exit_code) {
    Send(InitExited{exit_code, false});
    return Send(RunEnded{});
  }
  ContainerStatus status() { return core().state().status; }

  RuntimeSpec spec_;
  std::optional<Core> core_;
  BootTime clock_{};
};

TEST_F(CoreTest, StartsReportsAndExits) {
  EXPECT_THAT(Begin(), ElementsAre("start"));
  EXPECT_EQ(status(), ContainerStatus::kCreated);
  EXPECT_THAT(Send(InitReady{}), ElementsAre("release"));
  EXPECT_THAT(Send(InitExeced{4711}), ElementsAre("state", "report 4711", "journal start"));
  EXPECT_EQ(status(), ContainerStatus::kRunning);
  EXPECT_EQ(core().state().pid, 4711);
  clock_ += seconds(3);
  EXPECT_THAT(Send(InitExited{7, false}), ElementsAre("cancel 0", "end run"));
  EXPECT_EQ(status(), ContainerStatus::kRunning) << "its output is not in the log yet";
  EXPECT_THAT(Send(RunEnded{}), ElementsAre("journal die", "remove names", "state", "exit"));
  EXPECT_EQ(status(), ContainerStatus::kExited);
  EXPECT_EQ(core().state().exit_code, 7);
  EXPECT_EQ(core().state().pid, 0);
  EXPECT_EQ(core().state().finished_at - core().state().started_at, 3'000'000'000);
}

TEST_F(CoreTest, FailedFirstStartLeavesItCreated) {
  spec_.restart.mode = RestartMode::kAlways;
  Begin();
  EXPECT_THAT(Send(InitFailed{127, "not found"}),
              ElementsAre("remove names", "state", "report 127 not found", "exit"));
  EXPECT_EQ(status(), ContainerStatus::kCreated);
  EXPECT_EQ(core().state().exit_code, 127);
  EXPECT_EQ(core().state().error, "not found");
}

TEST_F(CoreTest, OomIsToldApart) {
  Run();
  Send(InitExited{137, true});
  Send(RunEnded{});
  EXPECT_TRUE(core().state().oom_killed);
}

TEST_F(CoreTest, OomOfAChildIsKnownWhileItRuns) {
  Run();
  EXPECT_THAT(Send(OomHappened{}), ElementsAre("state", "journal oom"));
  EXPECT_THAT(Send(OomHappened{}), IsEmpty());
  Send(InitExited{1, false});
  EXPECT_TRUE(core().state().oom_killed);
}

// ---- Restart policy ----------------------------------------------------------------------------

struct PolicyCase {
  RestartMode mode;
  int maximum;
  int count;
  int exit_code;
  bool restarts;
};
class PolicyTest : public ::testing::TestWithParam<PolicyCase> {};
TEST_P(PolicyTest, Restarts) {
  const PolicyCase& c = GetParam();
  EXPECT_EQ(PolicyRestarts({c.mode, c.maximum}, c.count, c.exit_code), c.restarts);
}
INSTANTIATE_TEST_SUITE_P(Docker, PolicyTest,
                         ::testing::Values(PolicyCase{RestartMode::kNo, 0, 0, 1, false},
                                           PolicyCase{RestartMode::kAlways, 0, 99, 0, true},
                                           PolicyCase{RestartMode::kUnlessStopped, 0, 0, 0, true},
                                           PolicyCase{RestartMode::kOnFailure, 0, 1000, 1, true},
                                           PolicyCase{RestartMode::kOnFailure, 0, 0, 0, false},
                                           PolicyCase{RestartMode::kOnFailure, 3, 2, 1, true},
                                           PolicyCase{RestartMode::kOnFailure, 3, 3, 1, false}));

TEST(RestartPause, DoublesToAMinuteAndBeginsAnewAfterAGoodRun) {
  BootTime pause{};
  std::vector<int64_t> ms;
  for (int i = 0; i < 12; ++i) {
    pause = NextRestartPause(pause, seconds(1));
    ms.push_back(pause / milliseconds(1));
  }
  EXPECT_THAT(ms,
              ElementsAre(100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000));
  EXPECT_EQ(NextRestartPause(pause, seconds(10)), milliseconds(100));
}

TEST_F(CoreTest, AKillFromOutsideTriggersThePolicy) {
  spec_.restart.mode = RestartMode::kAlways;
  Run();
  clock_ += seconds(1);
  EXPECT_THAT(End(137), ElementsAre("journal die", "state", "timer 1 at 1100"));
  EXPECT_EQ(status(), ContainerStatus::kRestarting);
  EXPECT_EQ(core().state().restart_count, 1);
  clock_ += milliseconds(100);
  EXPECT_THAT(Send(TimerFired{TimerKind::kRestart}), ElementsAre("start"));
  Send(InitReady{});
  EXPECT_THAT(Send(InitExeced{4712}), ElementsAre("state", "journal start"));
  EXPECT_EQ(status(), ContainerStatus::kRunning);
  EXPECT_EQ(core().state().exit_code, 0);
}

TEST_F(CoreTest, KillOfSkiffSuppressesThePolicy) {
  for (const int signal : {SIGKILL, SIGTERM}) {
    core_.reset();
    spec_.restart.mode = RestartMode::kAlways;
    Run();
    EXPECT_EQ(Send(KillRequest{5, signal}).back(), "reply 5");
    EXPECT_THAT(End(128 + signal),
                ElementsAre("journal die", "journal stop", "remove names", "state", "exit"));
    EXPECT_EQ(status(), ContainerStatus::kExited);
  }
}

TEST_F(CoreTest, AnotherSignalDoesNotSuppressThePolicy) {
  spec_.restart.mode = RestartMode::kAlways;
  Run();
  EXPECT_THAT(Send(KillRequest{5, SIGUSR1}), ElementsAre("journal kill", "signal 10", "reply 5"));
  End(138);
  EXPECT_EQ(status(), ContainerStatus::kRestarting);
}

TEST_F(CoreTest, ARestartThatFailsEndsIt) {
  spec_.restart.mode = RestartMode::kAlways;
  Run();
  End(1);
  Send(TimerFired{TimerKind::kRestart});
  EXPECT_THAT(Send(InitFailed{126, "denied"}), ElementsAre("remove names", "state", "exit"));
  EXPECT_EQ(status(), ContainerStatus::kExited);
  EXPECT_EQ(core().state().exit_code, 126);
}

// ---- Stop --------------------------------------------------------------------------------------

TEST_F(CoreTest, StopSendsTheSignalThenKillsAtTheDeadline) {
  spec_.stop_signal = SIGQUIT;
  spec_.stop_timeout_ns = 2'000'000'000;
  spec_.restart.mode = RestartMode::kAlways;
  Run();
  EXPECT_THAT(Send(StopRequest{9, 0, std::nullopt}), ElementsAre("signal 3", "timer 0 at 2000"));
  clock_ += seconds(2);
  EXPECT_THAT(Send(TimerFired{TimerKind::kStop}), ElementsAre("kill"));
  EXPECT_THAT(End(137), ElementsAre("journal die", "journal stop", "remove names", "state",
                                    "reply 9", "exit"));
}

TEST_F(CoreTest, ALaterStopCanOnlyBringTheDeadlineForward) {
  Run();
  Send(StopRequest{1, 0, seconds(10)});
  EXPECT_THAT(Send(StopRequest{2, 0, seconds(20)}), ElementsAre("signal 15"));
  EXPECT_THAT(Send(StopRequest{3, 0, seconds(1)}), ElementsAre("signal 15", "timer 0 at 1000"));
  const std::vector<std::string> end = End(143);
  EXPECT_THAT(end, ElementsAre("journal die", "journal stop", "remove names", "state", "reply 1",
                               "reply 2", "reply 3", "exit"));
}

TEST_F(CoreTest, ANegativeTimeoutNeverKills) {
  Run();
  EXPECT_THAT(Send(StopRequest{1, 0, seconds(-1)}), ElementsAre("signal 15"));
}

TEST_F(CoreTest, AZeroTimeoutKillsAtOnce) {
  Run();
  EXPECT_THAT(Send(StopRequest{1, 0, seconds(0)}), ElementsAre("kill"));
}

TEST_F(CoreTest, StopOfAPausedContainerThawsIt) {
  Run();
  EXPECT_THAT(Send(PauseRequest{1, true}), ElementsAre("freeze"));
  EXPECT_THAT(Send(FreezeDone{true, ""}), ElementsAre("state", "journal pause", "reply 1"));
  EXPECT_EQ(status(), ContainerStatus::kPaused);
  EXPECT_THAT(Send(StopRequest{2, 0, seconds(1)}),
              ElementsAre("signal 15", "thaw", "timer 0 at 1000"));
}

TEST_F(CoreTest, StopWhileWaitingForARestartEndsIt) {
  spec_.restart.mode = RestartMode::kAlways;
  Run();
  End(1);
  EXPECT_THAT(Send(StopRequest{1, 0, std::nullopt}),
              ElementsAre("cancel 1", "remove names", "state", "reply 1", "exit"));
  EXPECT_EQ(status(), ContainerStatus::kExited);
}

TEST_F(CoreTest, StopDuringTheStartKills) {
  Begin();
  EXPECT_THAT(Send(StopRequest{1, 0, seconds(10)}), ElementsAre("kill", "timer 0 at 10000"));
}

// ---- Restart by hand, pause --------------------------------------------------------------------

TEST_F(CoreTest, RestartByHandStartsAgainWhateverThePolicy) {
  Run();
  EXPECT_THAT(Send(RestartRequest{4, 0, seconds(1)}), ElementsAre("signal 15", "timer 0 at 1000"));
  EXPECT_THAT(End(143), ElementsAre("journal die", "state", "start"));
  EXPECT_EQ(core().state().restart_count, 0);
  Send(InitReady{});
  EXPECT_THAT(Send(InitExeced{99}),
              ElementsAre("state", "journal start", "journal restart", "reply 4"));
  // The next end is not by hand.
  EXPECT_THAT(End(0), ElementsAre("journal die", "remove names", "state", "exit"));
}

// The next command must not find one that is restarting.
TEST_F(CoreTest, ARestartByHandThatFailsIsToldOnceTheStateIsWritten) {
  Run();
  Send(RestartRequest{4, 0, seconds(1)});
  End(143);
  EXPECT_THAT(Send(InitFailed{126, "denied"}),
              ElementsAre("remove names", "state", "reply 4: denied", "exit"));
  EXPECT_EQ(status(), ContainerStatus::kExited);
}

TEST_F(CoreTest, AStopOvertakesARestart) {
  Run();
  Send(RestartRequest{4, 0, seconds(1)});
  Send(StopRequest{5, 0, seconds(1)});
  EXPECT_THAT(End(143),
              ElementsAre("journal die", "journal stop", "remove names", "state",
                          "reply 4: container c0ffee was stopped meanwhile", "reply 5", "exit"));
}

TEST_F(CoreTest, PauseIsRefusedWhereItMakesNoSense) {
  Run();
  EXPECT_THAT(Send(PauseRequest{1, false}), ElementsAre("reply 1: Container c0ffee is not paused"));
  Send(PauseRequest{1, true});
  Send(FreezeDone{true, ""});
  EXPECT_THAT(Send(PauseRequest{2, true}),
              ElementsAre("reply 2: Container c0ffee is already paused"));
  Send(PauseRequest{3, false});
  EXPECT_THAT(Send(FreezeDone{false, ""}), ElementsAre("state", "journal unpause", "reply 3"));
}

TEST_F(CoreTest, RenameChangesTheJournal) {
  Run();
  EXPECT_THAT(Send(RenameRequest{1, "new"}), ElementsAre("state", "reply 1"));
  EXPECT_EQ(core().name(), "new");
}

}  // namespace
}  // namespace skiff::engine::monitor
