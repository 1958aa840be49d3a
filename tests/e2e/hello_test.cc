// samples/hello as a user runs it (issue: "samples/hello").

#include <signal.h>

#include <filesystem>
#include <regex>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

class HelloTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::filesystem::copy(SourceDirectory() + "/samples/hello", project_directory(),
                          std::filesystem::copy_options::recursive);
    environment()["HELLO_PORT"] = std::to_string(kPort);
  }

  struct Answer {
    int visits = -1;
    std::string backend;
  };
  static Answer Visit() {
    const std::string page = HttpGet("127.0.0.1", kPort);
    std::smatch match;
    static const std::regex form(
        "Hello! This page has been visited ([0-9]+) times.\\s+"
        "<p>The backend that answered is ([^.]+)\\.");
    if (!std::regex_search(page, match, form)) {
      ADD_FAILURE() << "not the page: '" << page << "'";
      return {};
    }
    return {std::stoi(match[1]), match[2]};
  }
  std::set<std::string> Hostnames(int replicas) {
    std::set<std::string> names;
    for (int i = 1; i <= replicas; ++i) {
      names.insert(Inspect("hello-backend-" + std::to_string(i), "{{.Config.Hostname}}"));
    }
    return names;
  }
  // The backends that answer a number of visits.
  static std::set<std::string> BackendsSeen(int visits) {
    std::set<std::string> seen;
    for (int i = 0; i < visits; ++i) seen.insert(Visit().backend);
    return seen;
  }

  static constexpr int kPort = 8088;
};

TEST_F(HelloTest, AnswersAndEveryReplicaTakesPart) {
  Succeed({"up", "-d", "--wait"});
  const Answer first = Visit();
  EXPECT_EQ(first.visits, 1);
  EXPECT_EQ(Hostnames(2).count(first.backend), 1U) << first.backend;
  EXPECT_EQ(Visit().visits, 2);
  EXPECT_EQ(BackendsSeen(30), Hostnames(2));

  EXPECT_EQ(Inspect("hello-web-1", "{{.State.Health.Status}}"), "healthy");
  EXPECT_EQ(Inspect("hello-prepare-1", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0");
  EXPECT_EQ(Inspect("hello-web-1", "{{.HostConfig.RestartPolicy.Name}}"), "always");
}

TEST_F(HelloTest, BackendScales) {
  Succeed({"up", "-d", "--wait"});
  Succeed({"up", "-d", "--wait", "--scale", "backend=4"});
  EXPECT_EQ(BackendsSeen(80), Hostnames(4));
  Succeed({"scale", "backend=1"});
  EXPECT_EQ(BackendsSeen(10), Hostnames(1));
}

TEST_F(HelloTest, CountSurvivesDownAndIsGoneWithVolumes) {
  Succeed({"up", "-d", "--wait"});
  EXPECT_EQ(Visit().visits, 1);
  EXPECT_EQ(Visit().visits, 2);
  Succeed({"down"});
  EXPECT_EQ(HttpGet("127.0.0.1", kPort), "");

  Succeed({"up", "-d", "--wait"});
  EXPECT_EQ(Visit().visits, 3);
  Succeed({"down", "-v"});
  ExpectNothingLeft();

  Succeed({"up", "-d", "--wait"});
  EXPECT_EQ(Visit().visits, 1);
}

TEST_F(HelloTest, KilledServiceComesBack) {
  Succeed({"up", "-d", "--wait"});
  EXPECT_EQ(Visit().visits, 1);
  const std::string id = Inspect("hello-web-1", "{{.Id}}");
  const std::string pid = Inspect("hello-web-1", "{{.State.Pid}}");
  ASSERT_GT(std::stoi(pid), 1);
  ASSERT_EQ(kill(std::stoi(pid), SIGKILL), 0);
  EXPECT_TRUE(Eventually(
      [&] {
        return Inspect("hello-web-1", "{{.State.Running}} {{.RestartCount}}") == "true 1" &&
               !HttpGet("127.0.0.1", kPort).empty();
      },
      10s));
  EXPECT_NE(Inspect("hello-web-1", "{{.State.Pid}}"), pid);
  EXPECT_EQ(Inspect("hello-web-1", "{{.Id}}"), id);
}

TEST_F(HelloTest, SecondUpChangesNothing) {
  Succeed({"up", "-d", "--wait"});
  const std::string before = Succeed({"docker", "ps", "-aq", "--no-trunc"});
  Succeed({"up", "-d", "--wait"});
  EXPECT_EQ(LineSet(Succeed({"docker", "ps", "-aq", "--no-trunc"})), LineSet(before));
}

TEST_F(HelloTest, DownLeavesNothing) {
  Succeed({"up", "-d", "--wait"});
  Visit();
  Succeed({"down", "-v"});
  ExpectNothingLeft();
}

}  // namespace
}  // namespace skiff::e2e
