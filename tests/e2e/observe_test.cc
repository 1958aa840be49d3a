// events and stats: what happens to containers and what they use.

#include <signal.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ObserveTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteProject(R"(name: seen
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
  side:
    image: busybox:latest
    command: sleep 1000
    init: true
)");
  }
};

TEST_F(ObserveTest, EventsOfContainersThatHaveGoneAreRemembered) {
  Succeed({"up", "-d"});
  Succeed({"exec", "-T", "web", "true"});
  Succeed({"down", "-t", "0"});
  std::vector<std::string> actions;
  for (const std::string& line :
       Lines(Succeed({"events", "--json", "--since", "10m", "--until", "0s", "web"}))) {
    const auto event = nlohmann::json::parse(line);
    EXPECT_EQ(event["service"], "web");
    EXPECT_EQ(event["attributes"]["name"], "seen-web-1");
    EXPECT_EQ(event["attributes"]["image"], "busybox:latest");
    actions.push_back(event["action"]);
  }
  EXPECT_THAT(actions, ElementsAre("create", "start", "exec_start: true", "exec_die", "die", "stop",
                                   "destroy"));
  const std::string died = Succeed({"docker", "events", "--since", "10m", "--until", "0s", "-f",
                                    "event=die", "-f", "label=com.docker.compose.service=side",
                                    "--format", "{{.Action}} {{.Actor.Attributes.name}}"});
  EXPECT_EQ(died, "die seen-side-1\n");
  EXPECT_THAT(Skiff({"docker", "events", "-f", "colour=red"}).err,
              HasSubstr("invalid filter 'colour'"));
}

TEST_F(ObserveTest, EventsComeAsTheyHappen) {
  Process events = StartSkiff({"docker", "events", "-f", "type=container", "--format",
                               "{{.Action}} {{.Actor.Attributes.name}};"});
  // Whether it listens already only an event tells.
  while (!events.AwaitOutput("create probe;", milliseconds(200))) {
    Succeed({"docker", "create", "--name", "probe", "--network", "none", "busybox:latest", "true"});
    Succeed({"docker", "rm", "probe"});
  }
  Succeed({"up", "-d", "web"});
  EXPECT_TRUE(events.AwaitOutput("start seen-web-1;"));
  Succeed({"down", "-t", "0"});
  EXPECT_TRUE(events.AwaitOutput("destroy seen-web-1;"));
  events.Signal(SIGINT);
  events.Finish();
}

TEST_F(ObserveTest, StatsTellWhatAContainerUses) {
  Succeed({"up", "-d"});
  Process busy = StartSkiff(
      {"exec", "-T", "web", "sh", "-c", "echo busy; while [ ! -e /stop ]; do :; done"});
  ASSERT_TRUE(busy.AwaitOutput("busy"));
  const std::string table = Succeed({"stats", "--no-stream", "web"});
  EXPECT_THAT(Lines(table),
              ElementsAre(AllOf(StartsWith("CONTAINER ID   NAME"), HasSubstr("MEM USAGE / LIMIT")),
                          HasSubstr("seen-web-1")));
  const auto web = nlohmann::json::parse(
      Succeed({"docker", "stats", "--no-stream", "--format", "json", "seen-web-1"}));
  EXPECT_EQ(web["Container"], "seen-web-1");
  EXPECT_GT(std::stod(web["CPUPerc"].get<std::string>()), 1.0) << web;
  EXPECT_EQ(web["PIDs"], "3") << "init, sleep and the loop";
  EXPECT_EQ(Lines(Succeed({"stats", "--no-stream", "--format", "{{.Name}}"})),
            (std::vector<std::string>{"seen-side-1", "seen-web-1"}));
  Succeed({"exec", "-T", "web", "touch", "/stop"});
  busy.Finish();
  Succeed({"stop", "-t", "0", "side"});
  EXPECT_EQ(Lines(Succeed({"stats", "--no-stream", "--format", "{{.Name}}"})),
            std::vector<std::string>{"seen-web-1"});
  EXPECT_THAT(Skiff({"docker", "stats", "--no-stream", "none"}).err,
              HasSubstr("No such container: none"));
}

}  // namespace
}  // namespace skiff::e2e
