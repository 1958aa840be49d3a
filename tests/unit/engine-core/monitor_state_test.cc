#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "engine-core/journal.h"
#include "engine-core/monitor/liveness.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine {
namespace {

TEST(StateJson, ComesBackAsItWas) {
  ContainerState state;
  state.status = ContainerStatus::kRestarting;
  state.pid = 0;
  state.exit_code = 137;
  state.oom_killed = true;
  state.error = "quote \" and\nline";
  state.started_at = 1'700'000'000'123'456'789;
  state.finished_at = 1'700'000'001'000'000'000;
  state.restart_count = 4;
  state.health = HealthStatus::kUnhealthy;
  state.failing_streak = 3;
  state.health_log.push_back({1, 2, -1, "timed \x01 out"});
  state.health_log.push_back({3, 4, 0, ""});
  const Result<ContainerState> back = StateFromJson(StateToJson(state));
  ASSERT_TRUE(back) << back.error().Text();
  EXPECT_EQ(StateToJson(*back), StateToJson(state));
  EXPECT_EQ(back->status, ContainerStatus::kRestarting);
  EXPECT_EQ(back->health_log.size(), 2u);
  EXPECT_EQ(back->health_log[0].output, "timed \x01 out");
}

TEST(StateJson, AnotherReleasesFieldsAreSkipped) {
  const Result<ContainerState> state =
      StateFromJson("{\"version\":9,\"status\":\"running\",\"pid\":5,\"new\":{\"a\":[1]}}");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->pid, 5);
}

TEST(StateJson, NonsenseIsRefused) {
  for (const char* text : {"", "[]", "{", "{\"status\":\"flying\"}", "{\"status\":7}"}) {
    EXPECT_FALSE(StateFromJson(text)) << text;
  }
}

class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    char name[] = "/tmp/skiff-monitor-test-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~FolderTest() override { EXPECT_TRUE(RemoveTree(folder_)); }
  std::string folder_;
};

using JournalTest = FolderTest;

TEST_F(JournalTest, EntriesAreJsonLines) {
  EXPECT_EQ(
      FormatJournalEntry(12, "container", "die", "abc", {{"exitCode", "1"}, {"name", "a\"b"}}),
      "{\"time\":12,\"type\":\"container\",\"action\":\"die\",\"actor\":\"abc\","
      "\"attributes\":{\"exitCode\":\"1\",\"name\":\"a\\\"b\"}}\n");
}

TEST_F(JournalTest, IsCappedByRotation) {
  const std::string line = FormatJournalEntry(1, "container", std::string(1000, 'x'), "abc", {});
  for (int64_t written = 0; written < 3 * kJournalLimit;
       written += static_cast<int64_t>(line.size())) {
    ASSERT_TRUE(AppendJournalEntry(folder_, line));
  }
  struct stat info = {};
  ASSERT_EQ(::stat((JournalPath(folder_) + ".1").c_str(), &info), 0);
  EXPECT_LT(info.st_size, kJournalLimit + 2000);
  if (::stat(JournalPath(folder_).c_str(), &info) == 0) {
    EXPECT_LT(info.st_size, kJournalLimit + 2000);
  }
}

using LivenessTest = FolderTest;

TEST_F(LivenessTest, TheLockTellsWhoLives) {
  EXPECT_FALSE(monitor::LockIsHeld(folder_));
  EXPECT_EQ(monitor::OpenMonitor(folder_).error().code, Code::kNotFound);
  {
    const Result<Fd> lock = monitor::HoldLock(folder_, ::getpid());
    ASSERT_TRUE(lock);
    EXPECT_TRUE(monitor::LockIsHeld(folder_));
    EXPECT_EQ(monitor::HoldLock(folder_, 1).error().code, Code::kFailedPrecondition);
    const Result<Fd> pidfd = monitor::OpenMonitor(folder_);
    ASSERT_TRUE(pidfd) << pidfd.error().Text();
    EXPECT_EQ(monitor::HostPid(pidfd->get()).value(), ::getpid());
  }
  EXPECT_FALSE(monitor::LockIsHeld(folder_));
  EXPECT_TRUE(AwaitMonitorExit(folder_, -1));
}

TEST_F(LivenessTest, WaitingCanBeCancelled) {
  const Result<Fd> lock = monitor::HoldLock(folder_, ::getpid());
  ASSERT_TRUE(lock);
  Result<Pipe> pipe = MakePipe();
  ASSERT_TRUE(pipe);
  pipe->write.Reset();
  EXPECT_EQ(AwaitMonitorExit(folder_, pipe->read.get()).error().code, Code::kCancelled);
}

TEST_F(LivenessTest, NobodyAnswersWithoutAMonitor) {
  const MonitorClient client(folder_);
  EXPECT_FALSE(client.Alive());
  EXPECT_EQ(client.Kill(9).error().code, Code::kUnavailable);
  EXPECT_EQ(client.Stop(0, std::nullopt).error().code, Code::kUnavailable);
  EXPECT_EQ(client.ReadState().error().code, Code::kNotFound);
}

}  // namespace
}  // namespace skiff::engine
