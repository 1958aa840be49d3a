#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "engine-core/monitor/health.h"

namespace skiff::engine::monitor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

// Drives the machine with a probe whose outcome is a function of time; probes take no time unless
// said otherwise.
class HealthTest : public ::testing::Test {
 protected:
  HealthTest() {
    config_.test = {"CMD", "check"};
    config_.interval = seconds(10);
    config_.timeout = seconds(3);
    config_.retries = 3;
  }

  void Start() {
    machine_.emplace(config_);
    Apply([&](Actions* out) { machine_->Start(At(), &state_, out); });
  }
  Moment At() const { return {clock_, clock_.count()}; }

  template <typename F>
  void Apply(F call) {
    Actions out;
    call(&out);
    for (const Action& action : out) {
      if (const auto* timer = std::get_if<SetTimer>(&action))
        timers_[timer->kind] = timer->deadline;
      if (const auto* cancel = std::get_if<CancelTimer>(&action)) timers_.erase(cancel->kind);
      if (const auto* probe = std::get_if<RunProbe>(&action)) {
        running_ = probe->probe;
        starts_.push_back(clock_ / milliseconds(1));
      }
      if (const auto* kill = std::get_if<KillProbe>(&action)) killed_.push_back(kill->probe);
      if (const auto* journal = std::get_if<AppendJournal>(&action))
        events_.push_back(journal->action);
    }
  }
  void Finish(int exit_code, std::string output = "") {
    const ProbeDone done = {running_, exit_code, std::move(output)};
    Apply([&](Actions* out) { machine_->OnDone(done, At(), &state_, out); });
  }
  // Goes to the next probe; it starts.
  void Next() {
    clock_ = timers_.at(TimerKind::kNextProbe);
    timers_.erase(TimerKind::kNextProbe);
    Apply([&](Actions* out) { machine_->OnNextProbe(At(), out); });
  }
  // Probes with `exit_code` that start before `end`.
  void FailUntil(BootTime end, int exit_code = 1) {
    for (;;) {
      Finish(exit_code);
      if (timers_.at(TimerKind::kNextProbe) >= end) return;
      Next();
    }
  }

  Healthcheck config_;
  std::optional<HealthMachine> machine_;
  ContainerState state_;
  BootTime clock_{};
  std::map<TimerKind, BootTime> timers_;
  std::vector<int64_t> starts_;
  std::vector<uint64_t> killed_;
  std::vector<std::string> events_;
  uint64_t running_ = 0;
};

TEST_F(HealthTest, TheFirstProbeRunsAtOnce) {
  Start();
  EXPECT_THAT(starts_, ElementsAre(0));
  EXPECT_EQ(state_.health, HealthStatus::kStarting);
  Finish(0);
  EXPECT_EQ(state_.health, HealthStatus::kHealthy);
  EXPECT_THAT(events_, ElementsAre("health_status: healthy"));
  EXPECT_EQ(timers_[TimerKind::kNextProbe], seconds(10));
}

TEST_F(HealthTest, ExtraProbesHaveGrowingPausesUpToTheInterval) {
  Start();
  FailUntil(seconds(20));
  EXPECT_THAT(starts_, ElementsAre(0, 50, 150, 350, 750, 1550, 3150, 6350, 10000, 16400));
}

TEST_F(HealthTest, ItIsUnhealthyExactlyWhenDockerSaysSo) {
  Start();
  FailUntil(seconds(30));
  EXPECT_EQ(state_.health, HealthStatus::kStarting);
  EXPECT_EQ(state_.failing_streak, 2);  // At 10 s and 20 s; extra ones do not count.
  Next();
  EXPECT_EQ(clock_, seconds(30));
  Finish(1);
  EXPECT_EQ(state_.health, HealthStatus::kUnhealthy);
  EXPECT_EQ(state_.failing_streak, 3);
  EXPECT_THAT(events_, ElementsAre("health_status: unhealthy"));
}

TEST_F(HealthTest, AnExtraProbeCanMakeItHealthy) {
  Start();
  Finish(1);
  Next();
  EXPECT_EQ(clock_, milliseconds(50));
  Finish(0);
  EXPECT_EQ(state_.health, HealthStatus::kHealthy);
  EXPECT_EQ(timers_[TimerKind::kNextProbe], seconds(10) + milliseconds(50));
}

TEST_F(HealthTest, FailuresInTheStartPeriodDoNotCount) {
  config_.start_period = seconds(25);
  config_.start_interval = seconds(5);
  config_.retries = 1;
  Start();
  FailUntil(seconds(25));
  EXPECT_EQ(state_.failing_streak, 0);
  EXPECT_EQ(state_.health, HealthStatus::kStarting);
  Next();  // The probe at 25 s is the first that counts.
  EXPECT_EQ(clock_, seconds(25));
  Finish(1);
  EXPECT_EQ(state_.health, HealthStatus::kUnhealthy);
}

TEST_F(HealthTest, AfterTheStartEveryFailureCounts) {
  Start();
  Finish(0);
  for (int streak = 1; streak <= 3; ++streak) {
    Next();
    Finish(1);
    EXPECT_EQ(state_.failing_streak, streak);
  }
  EXPECT_EQ(state_.health, HealthStatus::kUnhealthy);
  EXPECT_THAT(starts_, ElementsAre(0, 10000, 20000, 30000));
  Next();
  Finish(0);
  EXPECT_EQ(state_.health, HealthStatus::kHealthy);
  EXPECT_EQ(state_.failing_streak, 0);
}

TEST_F(HealthTest, TheIntervalCountsFromTheEndOfAProbe) {
  Start();
  Finish(0);
  Next();
  clock_ += seconds(2);
  Finish(0);
  EXPECT_EQ(timers_[TimerKind::kNextProbe], seconds(22));
}

TEST_F(HealthTest, ATimeoutKillsTheProbeAndSaysSo) {
  Start();
  Finish(0);
  Next();
  EXPECT_EQ(timers_[TimerKind::kProbeTimeout], seconds(13));
  clock_ = seconds(13);
  Apply([&](Actions* out) { machine_->OnTimeout(out); });
  EXPECT_THAT(killed_, ElementsAre(running_));
  Finish(137, "half");
  EXPECT_EQ(state_.health_log.back().exit_code, -1);
  EXPECT_EQ(state_.health_log.back().output, "Health check exceeded timeout (3s): half");
  EXPECT_EQ(state_.failing_streak, 1);
}

TEST_F(HealthTest, TheLogKeepsFive) {
  Start();
  for (int i = 0; i < 7; ++i) {
    Finish(0, std::to_string(i));
    Next();
  }
  ASSERT_EQ(state_.health_log.size(), 5u);
  EXPECT_EQ(state_.health_log.front().output, "2");
}

TEST_F(HealthTest, AProbeGivenUpChangesNothing) {
  Start();
  const uint64_t given_up = running_;
  Apply([&](Actions* out) { machine_->Cancel(out); });
  EXPECT_THAT(killed_, ElementsAre(given_up));
  EXPECT_TRUE(timers_.empty());
  Finish(1);
  EXPECT_TRUE(state_.health_log.empty());
  Apply([&](Actions* out) { machine_->Resume(At(), out); });
  EXPECT_EQ(timers_.count(TimerKind::kNextProbe), 1u);
}

TEST_F(HealthTest, NoneDisablesIt) {
  config_.test = {"NONE"};
  Start();
  EXPECT_TRUE(starts_.empty());
  EXPECT_EQ(state_.health, HealthStatus::kNone);
}

}  // namespace
}  // namespace skiff::engine::monitor
