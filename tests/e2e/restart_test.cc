// Restart policies, stop and kill, exit codes: who may end a container, and what follows.

#include <signal.h>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

class RestartTest : public SkiffTest {
 protected:
  void WriteService(const std::string& keys) {
    WriteProject("name: back\nservices:\n  web:\n    image: busybox:latest\n" + keys);
  }
  std::string State() { return Inspect("back-web-1", "{{.State.Status}} {{.State.ExitCode}}"); }
  std::string Pid() { return Inspect("back-web-1", "{{.State.Pid}}"); }
  void KillFromOutside() { ASSERT_EQ(kill(std::stoi(Pid()), SIGKILL), 0); }
};

TEST_F(RestartTest, KilledFromOutsideComesBack) {
  WriteService("    command: sleep 1000\n    restart: unless-stopped\n");
  Succeed({"up", "-d"});
  const std::string pid = Pid();
  KillFromOutside();
  EXPECT_TRUE(Eventually([&] { return State() == "running 0" && Pid() != pid; }, 10s)) << State();
  EXPECT_EQ(Inspect("back-web-1", "{{.RestartCount}}"), "1");
}

TEST_F(RestartTest, KilledFromOutsideWithoutPolicyStaysDown) {
  WriteService("    command: sleep 1000\n");
  Succeed({"up", "-d"});
  KillFromOutside();
  EXPECT_TRUE(Eventually([&] { return State() == "exited 137"; })) << State();
}

TEST_F(RestartTest, StopAndKillSuppressThePolicy) {
  WriteService("    command: sleep 1000\n    init: true\n    restart: always\n");
  Succeed({"up", "-d"});
  Succeed({"stop"});
  EXPECT_EQ(State(), "exited 143");
  Succeed({"start"});
  EXPECT_EQ(State(), "running 0");
  Succeed({"kill"});
  EXPECT_TRUE(Eventually([&] { return State() == "exited 137"; })) << State();
  // The policy had its chance: still down when everything pending has been processed.
  Succeed({"ps", "-a"});
  EXPECT_EQ(State(), "exited 137");
}

TEST_F(RestartTest, OnFailureGivesUpAfterItsRetries) {
  WriteService("    command: sh -c 'exit 3'\n    restart: on-failure:2\n");
  Succeed({"up", "-d"});
  EXPECT_TRUE(Eventually(
      [&] { return State() == "exited 3" && Inspect("back-web-1", "{{.RestartCount}}") == "2"; },
      20s))
      << State();
}

TEST_F(RestartTest, OnFailureAcceptsSuccess) {
  WriteService("    command: 'true'\n    restart: on-failure\n");
  Succeed({"up", "-d"});
  EXPECT_TRUE(Eventually([&] { return State() == "exited 0"; })) << State();
  EXPECT_EQ(Inspect("back-web-1", "{{.RestartCount}}"), "0");
}

TEST_F(RestartTest, StopSendsTheStopSignalAndWaitsItsGracePeriod) {
  WriteService(
      "    command: sh -c 'trap \"exit 12\" USR1; while :; do sleep 0.1; done'\n"
      "    stop_signal: SIGUSR1\n");
  Succeed({"up", "-d"});
  const Outcome polite = Skiff({"stop"});
  EXPECT_THAT(polite, Succeeds());
  EXPECT_EQ(State(), "exited 12");
  EXPECT_LT(polite.elapsed, 9s);

  WriteService("    command: sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\n");
  Succeed({"up", "-d"});
  EXPECT_THAT(Skiff({"stop", "-t", "1"}), Succeeds());
  EXPECT_EQ(State(), "exited 137");
}

TEST_F(RestartTest, KillSendsAnySignal) {
  WriteService(
      "    command: sh -c 'trap \"echo hup\" HUP; echo ready; while :; do sleep 0.1; done'\n");
  Succeed({"up", "-d"});
  ASSERT_TRUE(Eventually([&] { return Succeed({"logs", "--no-log-prefix"}) == "ready\n"; }));
  Succeed({"kill", "-s", "HUP"});
  EXPECT_TRUE(Eventually([&] { return Succeed({"logs", "--no-log-prefix"}) == "ready\nhup\n"; }));
  EXPECT_EQ(State(), "running 0");
}

TEST_F(RestartTest, DeathOfTheMonitorEndsItsContainer) {
  WriteService("    command: sleep 1000\n");
  Succeed({"up", "-d"});
  const pid_t init = std::stoi(Pid());
  const Result<std::string> status = ReadFile("/proc/" + std::to_string(init) + "/status");
  ASSERT_TRUE(status.has_value());
  const size_t at = status->find("PPid:");
  ASSERT_NE(at, std::string::npos);
  const pid_t monitor = std::stoi(status->substr(at + 5));
  ASSERT_GT(monitor, 1);
  ASSERT_EQ(kill(monitor, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return kill(init, 0) != 0; }));
  EXPECT_EQ(Inspect("back-web-1", "{{.State.Running}}"), "false");
  Succeed({"up", "-d"});
  EXPECT_EQ(State(), "running 0");
}

TEST_F(RestartTest, MemoryLimitIsToldApart) {
  WriteService(
      "    command: sh -c 'x=$$(head -c 100000000 /dev/zero | tr \"\\\\0\" a); echo survived'\n"
      "    mem_limit: 20m\n    memswap_limit: 20m\n");
  const Outcome up = Skiff({"up", "-d"});
  EXPECT_THAT(up, Succeeds());
  EXPECT_TRUE(
      Eventually([&] { return Inspect("back-web-1", "{{.State.Running}}") == "false"; }, 20s));
  if (up.err.find("mem_limit") != std::string::npos) GTEST_SKIP() << "no memory controller";
  EXPECT_EQ(Inspect("back-web-1", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
}

}  // namespace
}  // namespace skiff::e2e
