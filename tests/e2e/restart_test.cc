// Restart policies, stop and kill, exit codes: who may end a container, and what follows.

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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

// As a power cut and a boot leave a machine: nothing runs, and what was kept in memory is gone. (The
// guest's tests really do it.)
class RebootTest : public SkiffTest {
 protected:
  void Reboot() {
    for (const std::string& id : Lines(Succeed({"docker", "ps", "-q", "--no-trunc"}))) {
      const int pid = std::stoi(Inspect(id, "{{.State.Pid}}"));
      std::ifstream status("/proc/" + std::to_string(pid) + "/status");
      for (std::string text; std::getline(status, text);) {
        if (!text.starts_with("PPid:")) continue;
        ASSERT_EQ(::kill(std::stoi(text.substr(5)), SIGKILL), 0);
      }
      ASSERT_TRUE(Eventually([&] { return ::kill(pid, 0) != 0; }));
      ASSERT_TRUE(Eventually([&] { return RemoveCgroups(id); }));
    }
    std::filesystem::remove_all(environment().at("SKIFF_RUN"));
    environment()["SKIFF_TEST_BOOT_ID"] = "boot " + std::to_string(++boots_);
  }
  static bool RemoveCgroups(const std::string& id) {
    namespace fs = std::filesystem;
    std::vector<fs::path> found;
    std::error_code gone_meanwhile;  // Other tests make and remove folders, too.
    fs::recursive_directory_iterator it("/sys/fs/cgroup", gone_meanwhile);
    for (; it != fs::recursive_directory_iterator(); it.increment(gone_meanwhile)) {
      if (it.depth() > 4) it.disable_recursion_pending();
      if (it->path().filename() == id) found.push_back(it->path());
    }
    bool gone = true;
    for (const fs::path& folder : found) {
      for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.is_directory()) ::rmdir(entry.path().c_str());
      }
      gone = ::rmdir(folder.c_str()) == 0 && gone;
    }
    return gone;
  }
  std::string State(const std::string& service) {
    return Inspect("back-" + service + "-1", "{{.State.Status}} {{.State.ExitCode}}");
  }
  // A service for each policy and state before the boot.
  void StartServices() {
    WriteProject(
        "name: back\n"
        "x-base: &base {image: \"busybox:latest\", init: true, command: sleep 1000}\n"
        "services:\n"
        "  always: {<<: *base, restart: always}\n"
        "  always-stopped: {<<: *base, restart: always}\n"
        "  unless: {<<: *base, restart: unless-stopped}\n"
        "  unless-stopped: {<<: *base, restart: unless-stopped}\n"
        "  failing: {<<: *base, restart: on-failure}\n"
        "  succeeded: {<<: *base, command: \"true\", restart: on-failure}\n"
        "  failed: {<<: *base, command: \"sh -c 'exit 3'\", restart: \"on-failure:1\"}\n"
        "  never: {<<: *base}\n"
        "  never-ended: {<<: *base, command: \"sh -c 'exit 4'\"}\n"
        "  guest: {<<: *base, restart: always, network_mode: \"service:zz-host\"}\n"
        "  zz-host: {<<: *base, restart: always}\n");
    Succeed({"up", "-d"});
    Succeed({"stop", "always-stopped", "unless-stopped"});
    ASSERT_TRUE(Eventually([&] {
      return State("succeeded") == "exited 0" && State("failed") == "exited 3" &&
             State("never-ended") == "exited 4";
    }));
  }

 private:
  int boots_ = 0;
};

TEST_F(RebootTest, RestartPoliciesBringContainersBack) {
  StartServices();
  Reboot();
  // Looking changes nothing, and knows how those ended that had.
  EXPECT_EQ(Succeed({"docker", "ps", "-q"}), "");
  EXPECT_EQ(State("never-ended"), "exited 4");
  EXPECT_EQ(State("unless-stopped"), "exited 143");
  EXPECT_EQ(State("never"), "exited 255");
  EXPECT_EQ(LineSet(Succeed({"system", "start"})),
            LineSet("back-always-1\nback-always-stopped-1\nback-failed-1\nback-failing-1\n"
                    "back-guest-1\nback-unless-1\nback-zz-host-1\n"));
  for (const char* running : {"always", "always-stopped", "unless", "failing", "guest", "zz-host"}) {
    EXPECT_EQ(State(running), "running 0") << running;
  }
  EXPECT_EQ(State("succeeded"), "exited 0");
  EXPECT_EQ(State("unless-stopped"), "exited 143");
  EXPECT_EQ(State("never"), "exited 255");
  EXPECT_TRUE(Eventually([&] { return State("failed") == "exited 3"; }));
  EXPECT_EQ(Succeed({"system", "start"}), "back-failed-1\n");
  Succeed({"system", "check"});
}

TEST_F(RebootTest, TheFirstCommandThatChangesSomethingBringsThemBackToo) {
  WriteProject(
      "name: back\nservices:\n"
      "  web: {image: \"busybox:latest\", command: sleep 1000, restart: always}\n");
  Succeed({"up", "-d"});
  Reboot();
  Succeed({"ps", "-a"});
  EXPECT_EQ(State("web"), "exited 255");
  const Outcome made = Skiff({"docker", "volume", "create", "other"});
  EXPECT_THAT(made, Succeeds());
  EXPECT_THAT(made.err, ::testing::HasSubstr(
                            "container back-web-1 was started again by its restart policy"));
  EXPECT_EQ(State("web"), "running 0");
  Succeed({"docker", "volume", "rm", "other"});
}

TEST_F(RebootTest, OneThatCannotStartKeepsNobodyElseFromIt) {
  WriteFile("a/file", "x");
  WriteProject(
      "name: back\nservices:\n"
      "  a-broken:\n"
      "    image: busybox:latest\n    command: sleep 1000\n    restart: always\n"
      "    volumes: [{type: bind, source: ./a, target: /a, bind: {create_host_path: false}}]\n"
      "  web: {image: \"busybox:latest\", command: sleep 1000, restart: always}\n");
  Succeed({"up", "-d"});
  Reboot();
  std::filesystem::remove_all(project_directory() + "/a");
  const Outcome started = Skiff({"system", "start"});
  EXPECT_THAT(started, ExitsWith(1));
  EXPECT_EQ(started.out, "back-web-1\n");
  EXPECT_THAT(started.err, ::testing::HasSubstr("error: container back-a-broken-1 could not be started: "));
  EXPECT_THAT(Skiff({"docker", "volume", "create", "other"}).err, "");
  Succeed({"docker", "volume", "rm", "other"});
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
