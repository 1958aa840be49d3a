// up, up again, changes, scaling, down: what is created, recreated and left alone.

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class LifecycleTest : public SkiffTest {
 protected:
  // Two services that just live; `debug` is the environment of `web`.
  void WriteTwoServices(const std::string& debug = "0") {
    WriteProject(R"(name: life
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    environment:
      DEBUG: ")" +
                 debug +
                 R"("
  db:
    image: busybox:latest
    command: sleep 1000
    init: true
)");
  }
  std::string Id(const std::string& container) { return Inspect(container, "{{.Id}}"); }
};

TEST_F(LifecycleTest, UpCreatesWhatPsShows) {
  WriteTwoServices();
  Succeed({"up", "-d"});
  EXPECT_THAT(LineSet(Succeed({"ps", "--format", "{{.Name}} {{.Service}} {{.State}}"})),
              ElementsAre("life-db-1 db running", "life-web-1 web running"));
  EXPECT_THAT(LineSet(Succeed({"ps", "--services"})), ElementsAre("db", "web"));
  EXPECT_EQ(Lines(Succeed({"ps", "-q"})).size(), 2U);
  const std::string json = Succeed({"ps", "--format", "json", "web"});
  ASSERT_EQ(Lines(json).size(), 1U);
  EXPECT_THAT(json, HasSubstr(R"("Name":"life-web-1")"));
  EXPECT_THAT(json, HasSubstr(R"("Service":"web")"));
  EXPECT_THAT(json, HasSubstr(R"("State":"running")"));
  const std::vector<std::string> table = Lines(Succeed({"ps"}));
  ASSERT_EQ(table.size(), 3U);
  EXPECT_THAT(table[0],
              ::testing::MatchesRegex("NAME +IMAGE +COMMAND +SERVICE +CREATED +STATUS +PORTS *"));
}

TEST_F(LifecycleTest, ContainersCarryComposesLabels) {
  WriteTwoServices();
  Succeed({"up", "-d"});
  const auto label = [&](const std::string& name) {
    return Inspect("life-web-1", "{{index .Config.Labels \"com.docker.compose." + name + "\"}}");
  };
  EXPECT_EQ(label("project"), "life");
  EXPECT_EQ(label("service"), "web");
  EXPECT_EQ(label("container-number"), "1");
  EXPECT_EQ(label("oneoff"), "False");
  EXPECT_EQ(label("project.working_dir"), project_directory());
  EXPECT_EQ(label("project.config_files"), project_directory() + "/compose.yaml");
  EXPECT_NE(label("config-hash"), "");
}

TEST_F(LifecycleTest, SecondUpChangesNothing) {
  WriteTwoServices();
  Succeed({"up", "-d"});
  const std::string web = Id("life-web-1"), db = Id("life-db-1");
  const std::string started = Inspect("life-web-1", "{{.State.StartedAt}}");
  const std::string plan = Succeed({"plan"});
  EXPECT_THAT(plan, Not(HasSubstr("life-web-1"))) << plan;
  Succeed({"up", "-d"});
  EXPECT_EQ(Id("life-web-1"), web);
  EXPECT_EQ(Id("life-db-1"), db);
  EXPECT_EQ(Inspect("life-web-1", "{{.State.StartedAt}}"), started);
}

TEST_F(LifecycleTest, ChangedKeyRecreatesItsServiceOnlyAndSaysWhy) {
  WriteTwoServices("0");
  Succeed({"up", "-d"});
  const std::string web = Id("life-web-1"), db = Id("life-db-1");

  WriteTwoServices("1");
  const std::string plan = Succeed({"plan"});
  EXPECT_THAT(plan, HasSubstr("life-web-1"));
  EXPECT_THAT(plan, HasSubstr("environment.DEBUG"));
  EXPECT_THAT(plan, Not(HasSubstr("life-db-1")));
  EXPECT_EQ(Id("life-web-1"), web) << "plan changed something";
  const Outcome dry = Skiff({"--dry-run", "up", "-d"});
  EXPECT_THAT(dry, Succeeds());
  EXPECT_THAT(dry.out + dry.err, HasSubstr("environment.DEBUG"));
  EXPECT_EQ(Id("life-web-1"), web) << "a dry run changed something";

  Succeed({"up", "-d"});
  EXPECT_NE(Id("life-web-1"), web);
  EXPECT_EQ(Id("life-db-1"), db);
  EXPECT_EQ(Succeed({"exec", "-T", "web", "sh", "-c", "echo $DEBUG"}), "1\n");
}

TEST_F(LifecycleTest, ForceRecreateAndNoDeps) {
  WriteProject(R"(name: life
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    depends_on: [db]
  db:
    image: busybox:latest
    command: sleep 1000
    init: true
)");
  Succeed({"up", "-d"});
  const std::string web = Id("life-web-1"), db = Id("life-db-1");
  Succeed({"up", "-d", "--no-deps", "--force-recreate", "web"});
  EXPECT_NE(Id("life-web-1"), web);
  EXPECT_EQ(Id("life-db-1"), db);
}

TEST_F(LifecycleTest, ScalesUpAndDown) {
  WriteTwoServices();
  Succeed({"up", "-d", "--scale", "web=3"});
  const std::string first = Id("life-web-1");
  EXPECT_THAT(LineSet(Succeed({"ps", "--format", "{{.Name}}", "web"})),
              ElementsAre("life-web-1", "life-web-2", "life-web-3"));
  Succeed({"scale", "web=1"});
  EXPECT_THAT(LineSet(Succeed({"ps", "-a", "--format", "{{.Name}}", "web"})),
              ElementsAre("life-web-1"));
  EXPECT_EQ(Id("life-web-1"), first);
  Succeed({"scale", "web=0"});
  EXPECT_THAT(LineSet(Succeed({"ps", "-a", "--format", "{{.Name}}"})), ElementsAre("life-db-1"));
}

TEST_F(LifecycleTest, ScalingAFixedPortFailsBeforeAnythingStarts) {
  WriteProject(R"(name: life
services:
  web:
    image: busybox:latest
    command: sleep 1000
    ports: ["18090:80"]
)");
  const Outcome outcome = Skiff({"up", "-d", "--scale", "web=2"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("18090"));
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "");
  EXPECT_EQ(Lines(Succeed({"network", "ls", "-q", "--filter", "name=life"})).size(), 0U);
}

TEST_F(LifecycleTest, OneShotGatesItsDependent) {
  WriteProject(R"(name: life
services:
  first:
    image: busybox:latest
    command: sh -c 'echo done > /data/mark'
    volumes: ["data:/data"]
  second:
    image: busybox:latest
    command: sh -c 'cat /data/mark; sleep 1000'
    init: true
    volumes: ["data:/data"]
    depends_on:
      first:
        condition: service_completed_successfully
volumes:
  data:
)");
  Succeed({"up", "-d"});
  EXPECT_TRUE(Eventually([&] {
    return Succeed({"logs", "--no-log-prefix", "second"}) == "done\n";
  }));
}

TEST_F(LifecycleTest, FailedDependencyStopsUpAndIsNamed) {
  WriteProject(R"(name: life
services:
  first:
    image: busybox:latest
    command: sh -c 'exit 3'
  second:
    image: busybox:latest
    command: sleep 1000
    depends_on:
      first:
        condition: service_completed_successfully
)");
  const Outcome outcome = Skiff({"up", "-d"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("first"));
  EXPECT_THAT(outcome.err, HasSubstr("3"));
  EXPECT_EQ(Inspect("life-second-1", "{{.State.Status}}"), "created");
}

TEST_F(LifecycleTest, UnhealthyDependencyStopsUp) {
  WriteProject(R"(name: life
services:
  first:
    image: busybox:latest
    command: sleep 1000
    init: true
    healthcheck:
      test: "false"
      interval: 50ms
      retries: 2
  second:
    image: busybox:latest
    command: sleep 1000
    depends_on:
      first:
        condition: service_healthy
)");
  const Outcome outcome = Skiff({"up", "-d"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("life-first-1 is unhealthy"));
  EXPECT_EQ(Inspect("life-second-1", "{{.State.Status}}"), "created");
}

TEST_F(LifecycleTest, HealthIsSeenAtOnce) {
  WriteProject(R"(name: life
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    healthcheck:
      test: "true"
      interval: 60s
)");
  const Outcome outcome = Skiff({"up", "-d", "--wait"});
  EXPECT_THAT(outcome, Succeeds());
  EXPECT_LT(outcome.elapsed, 10s) << "the first probe waited for its interval";
  EXPECT_THAT(Succeed({"ps"}), HasSubstr("(healthy)"));
}

TEST_F(LifecycleTest, ProfilesAndOrphans) {
  WriteProject(R"(name: life
services:
  web: {image: "busybox:latest", command: sleep 1000, init: true}
  tool: {image: "busybox:latest", command: sleep 1000, init: true, profiles: [tools]}
)");
  Succeed({"up", "-d"});
  EXPECT_THAT(LineSet(Succeed({"ps", "--format", "{{.Name}}"})), ElementsAre("life-web-1"));
  Succeed({"--profile", "tools", "up", "-d"});
  EXPECT_THAT(LineSet(Succeed({"ps", "--format", "{{.Name}}"})),
              ElementsAre("life-tool-1", "life-web-1"));

  WriteProject(R"(name: life
services:
  other: {image: "busybox:latest", command: sleep 1000, init: true}
)");
  const Outcome warned = Skiff({"up", "-d"});
  EXPECT_THAT(warned, Succeeds());
  EXPECT_THAT(warned.err, HasSubstr("orphan"));
  Succeed({"up", "-d", "--remove-orphans"});
  EXPECT_THAT(LineSet(Succeed({"ps", "-a", "--format", "{{.Name}}"})), ElementsAre("life-other-1"));
}

TEST_F(LifecycleTest, StopStartRestartKeepTheContainer) {
  WriteTwoServices();
  Succeed({"up", "-d"});
  const std::string id = Id("life-web-1");
  const std::string address =
      Inspect("life-web-1", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
  Succeed({"stop", "web"});
  EXPECT_EQ(Inspect("life-web-1", "{{.State.Status}}"), "exited");
  EXPECT_EQ(Inspect("life-db-1", "{{.State.Status}}"), "running");
  Succeed({"start", "web"});
  EXPECT_EQ(Inspect("life-web-1", "{{.State.Status}}"), "running");
  const std::string pid = Inspect("life-web-1", "{{.State.Pid}}");
  Succeed({"restart", "-t", "0", "web"});
  EXPECT_NE(Inspect("life-web-1", "{{.State.Pid}}"), pid);
  EXPECT_EQ(Id("life-web-1"), id);
  EXPECT_EQ(Inspect("life-web-1", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"),
            address);
}

TEST_F(LifecycleTest, RmRemovesStoppedContainers) {
  WriteTwoServices();
  Succeed({"up", "-d"});
  Succeed({"stop", "web"});
  Succeed({"rm", "-f"});
  EXPECT_THAT(LineSet(Succeed({"ps", "-a", "--format", "{{.Name}}"})), ElementsAre("life-db-1"));
  Succeed({"rm", "-f", "-s", "db"});
  EXPECT_EQ(Succeed({"ps", "-aq"}), "");
}

TEST_F(LifecycleTest, DownTwiceIsNoError) {
  WriteTwoServices();
  Succeed({"up", "-d"});
  Succeed({"down"});
  ExpectNothingLeft();
  Succeed({"down"});
}

TEST_F(LifecycleTest, LsListsProjects) {
  WriteTwoServices();
  Succeed({"up", "-d"});
  const std::vector<std::string> table = Lines(Succeed({"ls"}));
  ASSERT_EQ(table.size(), 2U);
  EXPECT_THAT(table[1], HasSubstr("life"));
  EXPECT_THAT(table[1], HasSubstr("running(2)"));
  Succeed({"stop"});
  EXPECT_EQ(Lines(Succeed({"ls"})).size(), 1U);
  EXPECT_EQ(Lines(Succeed({"ls", "-a"})).size(), 2U);
}

TEST_F(LifecycleTest, SystemCheckFindsNothingWrong) {
  WriteTwoServices();
  Succeed({"up", "-d"});
  Succeed({"system", "check"});
  Succeed({"down"});
  Succeed({"system", "check"});
}

}  // namespace
}  // namespace skiff::e2e
