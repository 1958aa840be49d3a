// Commands that services run in their containers: post_start and pre_stop.

#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class HooksTest : public SkiffTest {
 protected:
  // Service "web" that others may see write to ./log.
  void WriteHooks(const std::string& hooks, const std::string& more = "") {
    std::filesystem::create_directories(project_directory() + "/log");
    WriteProject(
        "name: p\nservices:\n  web:\n    image: busybox\n    init: true\n    network_mode: none\n"
        "    stop_grace_period: 0s\n    volumes: ['./log:/log']\n"
        "    command: [sh, -c, 'echo begun >> /log/order; sleep 1000']\n" +
        hooks + more);
  }
  // The same file, which somebody may write to.
  void Clear() { std::ofstream(project_directory() + "/log/order", std::ios::trunc); }
  std::string Order() { return ReadProjectFile("log/order"); }
};

TEST_F(HooksTest, TheyRunInTheirOrderAndOthersWait) {
  WriteHooks(
      "    post_start:\n"
      "      - command: [sh, -c, 'sleep 0.3; echo \"$$WHO $(id -u) $(pwd)\" >> /log/order']\n"
      "        user: '123'\n        working_dir: /tmp\n        environment: [WHO=first]\n"
      "      - command: [sh, -c, 'echo second >> /log/order']\n"
      "    pre_stop:\n"
      "      - command: [sh, -c, 'echo stopping >> /log/order']\n",
      "  later:\n    image: busybox\n    init: true\n    network_mode: none\n    depends_on: [web]\n"
      "    stop_grace_period: 0s\n    volumes: ['./log:/log']\n"
      "    command: [sh, -c, 'echo later >> /log/order; sleep 1000']\n");
  std::filesystem::permissions(project_directory(), std::filesystem::perms::all);
  Clear();
  std::filesystem::permissions(project_directory() + "/log/order", std::filesystem::perms::all);
  Succeed({"up", "-d"});
  ASSERT_TRUE(Eventually([&] { return Order().ends_with("later\n"); }, 10s)) << Order();
  EXPECT_EQ(Order(), "begun\nfirst 123 /tmp\nsecond\nlater\n");
  // What runs already has had them.
  Succeed({"up", "-d"});
  EXPECT_EQ(Order(), "begun\nfirst 123 /tmp\nsecond\nlater\n");
  Succeed({"stop", "web"});
  EXPECT_THAT(Order(), ::testing::EndsWith("later\nstopping\n"));
  Clear();
  Succeed({"start", "web"});
  EXPECT_EQ(Order(), "begun\nfirst 123 /tmp\nsecond\n");
  Clear();
  Succeed({"restart", "--no-deps", "web"});
  EXPECT_EQ(Order(), "stopping\nbegun\nfirst 123 /tmp\nsecond\n");
  Clear();
  Succeed({"up", "-d", "--force-recreate", "--no-deps", "web"});
  EXPECT_EQ(Order(), "stopping\nbegun\nfirst 123 /tmp\nsecond\n");
  Clear();
  Succeed({"down", "-t", "0"});
  EXPECT_EQ(Order(), "stopping\n");
}

TEST_F(HooksTest, TheirOutputStandsAmongThatOfContainers) {
  WriteHooks(
      "    post_start: [{command: [sh, -c, 'echo hello; echo oops >&2']}]\n"
      "    pre_stop: [{command: [echo, bye]}]\n");
  Process up = StartSkiff({"up"});
  ASSERT_TRUE(up.AwaitOutput("web-1 ->  | hello\n")) << up.out() << up.err();
  ASSERT_TRUE(up.AwaitOutput("web-1 ->  | oops\n"));
  up.Signal(SIGINT);
  const Outcome ended = up.Finish();
  EXPECT_THAT(ended, ExitsWith(130));
  EXPECT_THAT(ended.out, HasSubstr("web-1 ->  | bye\n"));
  // In the background nobody asked for it.
  const Outcome quiet = Skiff({"up", "-d"});
  EXPECT_THAT(quiet.out + quiet.err, Not(HasSubstr("hello")));
  Succeed({"down", "-t", "0"});
}

TEST_F(HooksTest, AFailureIsToldWithTheEndOfItsOutput) {
  WriteHooks(
      "    post_start: [{command: [sh, -c, 'echo noise; echo the reason >&2; exit 7']}]\n",
      "  later:\n    image: busybox\n    command: [sleep, '1000']\n    network_mode: none\n"
      "    depends_on: [web]\n");
  const Outcome up = Skiff({"up", "-d"});
  EXPECT_THAT(up, ExitsWith(1));
  EXPECT_THAT(up.err, HasSubstr("compose.yaml:3:3: error: web hook exited with status 7: the reason\n"));
  EXPECT_THAT(up.err, HasSubstr("while: run hook in p-web-1 (post_start[0])"));
  EXPECT_EQ(Inspect("p-later-1", "{{.State.Status}}"), "created");
  Succeed({"down", "-t", "0"});
  WriteHooks("    post_start: [{command: [no-such-program]}]\n");
  EXPECT_THAT(Skiff({"up", "-d"}), ExitsWith(1));
  Succeed({"down", "-t", "0"});
  WriteHooks("    pre_stop: [{command: [sh, -c, 'exit 3']}]\n");
  Succeed({"up", "-d"});
  const Outcome down = Skiff({"down", "-t", "0"});
  EXPECT_THAT(down, ExitsWith(1));
  EXPECT_THAT(down.err, HasSubstr("web hook exited with status 3"));
  EXPECT_EQ(Inspect("p-web-1", "{{.State.Status}}"), "running");
  Succeed({"kill"});
  // What runs no more needs nothing before it is stopped.
  Succeed({"down", "-t", "0"});
}

TEST_F(HooksTest, OneThatHangsIsInterrupted) {
  WriteHooks("    post_start: [{command: [sleep, '1000']}]\n");
  Process up = StartSkiff({"up", "-d"});
  ASSERT_TRUE(Eventually([&] {
    return Skiff({"docker", "top", "p-web-1"}).out.find("sleep 1000") != std::string::npos;
  }, 10s));
  up.Signal(SIGINT);
  EXPECT_THAT(up.Finish(), ExitsWith(130));
  Succeed({"down", "-t", "0"});
}

TEST_F(HooksTest, PlansSayThem) {
  WriteHooks("    post_start: [{command: [first]}, {command: [second]}]\n"
             "    pre_stop: [{command: [last]}]\n");
  const std::string plan = Succeed({"plan"});
  EXPECT_THAT(plan, HasSubstr(" 3  run hook in p-web-1       post_start[0]  after 2\n"
                              " 4  run hook in p-web-1       post_start[1]  after 3\n"));
}

}  // namespace
}  // namespace skiff::e2e
