#include "compose/plan.h"

#include "compose/model_diff.h"
#include "compose/planner/lifecycle_planner.h"
#include "tests/unit/compose/fixture.h"

namespace skiff::compose {
namespace {

using Condition = schema::DependencyCondition;

class PlanTest : public ComposeTest {
 protected:
  // A web that needs a healthy database and a job that has prepared a volume.
  void MakeStack() {
    AddVolume("data");
    schema::Service& db = AddService("db");
    AddHealthcheck(db);
    Mount(db, "data", "/data");
    AddService("job");
    Mount(project_.services["job"], "data", "/data");
    schema::Service& web = AddService("web");
    AddPort(web, 80, "8080");
    Depend("web", "db", Condition::kHealthy);
    Depend("web", "job", Condition::kCompletedSuccessfully);
    engine_.SetBehaviour("p-job-1", {.start_error = {}, .exits_with = 0});
    engine_.SetBehaviour(
        "p-db-1", {.start_error = {}, .exits_with = {}, .health = engine::HealthStatus::kHealthy});
  }
};

TEST_F(PlanTest, FirstUpCreatesEverythingInOrder) {
  MakeStack();
  ExpectGolden("plan_first_up.txt", UpPlanText());
}

TEST_F(PlanTest, HooksStandBetweenAStartAndWhoWaitsForIt) {
  MakeStack();
  schema::Service& db = project_.services["db"];
  db.post_start = {{.command = {"one"}}, {.command = {"two"}}};
  db.pre_stop = {{.command = {"last"}}};
  schema::Service& side = AddService("side");
  side.network_mode = "service:web";
  Depend("side", "web", Condition::kStarted);
  project_.services["web"].post_start = {{.command = {"three"}}};
  ExpectGolden("plan_hooks.txt", UpPlanText());
}

TEST_F(PlanTest, AReplacedContainerHasItsHookBeforeItStops) {
  schema::Service& web = AddService("web");
  web.pre_stop = {{.command = {"one"}}, {.command = {"two"}}};
  ASSERT_TRUE(UpNow());
  project_.services["web"].environment["DEBUG"] = "1";
  ExpectGolden("plan_hooks_recreate.txt", UpPlanText());
}

TEST_F(PlanTest, SecondUpIsEmpty) {
  MakeStack();
  ASSERT_TRUE(UpNow());
  EXPECT_EQ(UpPlanText(), "Project \"p\": nothing to do\n");
}

TEST_F(PlanTest, SecondUpNamesWhatStays) {
  MakeStack();
  ASSERT_TRUE(UpNow());
  EXPECT_THAT(MakeUpPlan()->unchanged, testing::ElementsAre("p-db-1", "p-job-1", "p-web-1"));
}

TEST_F(PlanTest, AChangedKeyRecreatesOnlyItsServiceAndSaysWhy) {
  MakeStack();
  project_.services["web"].environment["DEBUG"] = "0";
  ASSERT_TRUE(UpNow());
  project_.services["web"].environment["DEBUG"] = "1";
  ExpectGolden("plan_changed_key.txt", UpPlanText());
}

TEST_F(PlanTest, RecreationLeavesAProjectThatNeedsNothing) {
  MakeStack();
  ASSERT_TRUE(UpNow());
  project_.services["web"].environment["DEBUG"] = "1";
  ASSERT_TRUE(UpNow());
  EXPECT_EQ(UpPlanText(), "Project \"p\": nothing to do\n");
}

TEST_F(PlanTest, AChangedImageNamesBothDigests) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  engine_.AddImage("busybox");
  ExpectGolden("plan_changed_image.txt", UpPlanText());
}

TEST_F(PlanTest, ScalesUpWithoutTouchingExistingReplicas) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  ExpectGolden("plan_scale_up.txt", UpPlanText({.scale = {{"web", 3}}}));
}

TEST_F(PlanTest, ScalesDownFromTheHighestNumber) {
  AddService("web");
  ASSERT_TRUE(UpNow({.scale = {{"web", 3}}}));
  ExpectGolden("plan_scale_down.txt", UpPlanText());
}

TEST_F(PlanTest, ScaleDownRemovesObsoleteReplicasFirst) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  project_.services["web"].environment["A"] = "1";
  ASSERT_TRUE(UpNow({.scale = {{"web", 2}}, .no_recreate = true}));
  // Number 1 is of the old model, number 2 of the new one.
  ExpectGolden("plan_scale_down_obsolete.txt", UpPlanText());
}

TEST_F(PlanTest, ReusesNumbersAfterScalingDown) {
  AddService("web");
  ASSERT_TRUE(UpNow({.scale = {{"web", 2}}}));
  ASSERT_TRUE(UpNow({.scale = {{"web", 1}}}));
  const auto plan = MakeUpPlan({.scale = {{"web", 2}}});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->operations[0].name, "p-web-2");
}

TEST_F(PlanTest, ScalesToZero) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  ExpectGolden("plan_scale_zero.txt", UpPlanText({.scale = {{"web", 0}}}));
}

TEST_F(PlanTest, CarriesAnonymousVolumesOver) {
  Mount(AddService("db"), "", "/data");
  ASSERT_TRUE(UpNow());
  const auto before = engine_.InspectContainer("p-db-1");
  const auto plan = MakeUpPlan({.force_recreate = true});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->operations[0].container_config.mounts[0].source, before->mounts[0].name);
}

TEST_F(PlanTest, CarriesAnonymousVolumesOverMoreThanOnce) {
  Mount(AddService("db"), "", "/data");
  ASSERT_TRUE(UpNow());
  const std::string volume = engine_.InspectContainer("p-db-1")->mounts[0].name;
  ASSERT_TRUE(UpNow({.force_recreate = true}));
  const auto plan = MakeUpPlan({.force_recreate = true});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->operations[0].container_config.mounts[0].source, volume);
}

TEST_F(PlanTest, RenewsAnonymousVolumesWhenAsked) {
  Mount(AddService("db"), "", "/data");
  ASSERT_TRUE(UpNow());
  const auto plan = MakeUpPlan({.force_recreate = true, .renew_anon_volumes = true});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->operations[0].container_config.mounts[0].source, "");
}

TEST_F(PlanTest, WarnsAboutOrphans) {
  AddService("old");
  AddService("web");
  ASSERT_TRUE(UpNow());
  project_.services.erase("old");
  EXPECT_EQ(UpPlanText(),
            "Project \"p\": nothing to do\n"
            "warning: Found orphan containers (p-old-1) for this project. If you removed or "
            "renamed this service in your compose file, you can run this command with the "
            "--remove-orphans flag to clean it up.\n");
  EXPECT_EQ(UpPlanText({.ignore_orphans = true}), "Project \"p\": nothing to do\n");
}

TEST_F(PlanTest, RemovesOrphansWhenAsked) {
  AddService("old");
  AddService("web");
  ASSERT_TRUE(UpNow());
  project_.services.erase("old");
  ExpectGolden("plan_remove_orphans.txt", UpPlanText({.remove_orphans = true}));
}

TEST_F(PlanTest, ServicesOffByProfileAreNoOrphans) {
  AddService("debug");
  AddService("web");
  ASSERT_TRUE(UpNow());
  project_.disabled_services["debug"] = project_.services["debug"];
  project_.services.erase("debug");
  EXPECT_EQ(UpPlanText(), "Project \"p\": nothing to do\n");
}

TEST_F(PlanTest, ChainsStartInOrder) {
  AddService("a");
  AddService("b");
  AddService("c");
  Depend("a", "b");
  Depend("b", "c");
  ExpectGolden("plan_chain.txt", UpPlanText());
}

TEST_F(PlanTest, SelectionBringsDependencies) {
  AddService("a");
  AddService("b");
  AddService("other");
  Depend("a", "b");
  ExpectGolden("plan_selected.txt", UpPlanText({.services = {"a"}}));
}

TEST_F(PlanTest, NoDepsLeavesThemOut) {
  AddService("a");
  AddHealthcheck(AddService("b"));
  Depend("a", "b", Condition::kHealthy);
  ExpectGolden("plan_no_deps.txt", UpPlanText({.services = {"a"}, .no_deps = true}));
}

TEST_F(PlanTest, ForceRecreatesTheSelectedOnly) {
  AddService("a");
  AddService("b");
  Depend("a", "b");
  ASSERT_TRUE(UpNow());
  ExpectGolden("plan_force.txt", UpPlanText({.services = {"a"}, .force_recreate = true}));
}

TEST_F(PlanTest, AlwaysRecreateDepsRecreatesThem) {
  AddService("a");
  AddService("b");
  Depend("a", "b");
  ASSERT_TRUE(UpNow());
  ExpectGolden("plan_recreate_deps.txt",
               UpPlanText({.services = {"a"}, .always_recreate_deps = true}));
}

TEST_F(PlanTest, NoRecreateLeavesDivergedContainers) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  project_.services["web"].environment["A"] = "1";
  EXPECT_EQ(UpPlanText({.no_recreate = true}), "Project \"p\": nothing to do\n");
}

TEST_F(PlanTest, RestartTrueDependentsStopAndStart) {
  AddService("db");
  AddService("web");
  Depend("web", "db", Condition::kStarted, true);
  ASSERT_TRUE(UpNow());
  project_.services["db"].environment["A"] = "1";
  ExpectGolden("plan_restart_true.txt", UpPlanText());
}

TEST_F(PlanTest, ExitedContainersStartAgain) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  engine_.Exit("p-web-1", 3);
  ExpectGolden("plan_exited.txt", UpPlanText());
}

TEST_F(PlanTest, AFailedJobRunsAgain) {
  MakeStack();
  ASSERT_TRUE(UpNow());
  engine_.ClearCalls();
  engine::ContainerState failed = engine_.InspectContainer("p-job-1")->state;
  failed.exit_code = 1;
  engine_.SetState("p-job-1", failed);
  ExpectGolden("plan_failed_job.txt", UpPlanText());
}

TEST_F(PlanTest, ChangedNetworkIsReplacedAndContainersReconnected) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  project_.networks["default"].hashed_json = R"({"internal":true})";
  ExpectGolden("plan_changed_network.txt", UpPlanText());
  ASSERT_TRUE(UpNow());
  EXPECT_EQ(UpPlanText(), "Project \"p\": nothing to do\n");
}

TEST_F(PlanTest, AChangedVolumeIsAWarningAndKeepsItsData) {
  AddVolume("data");
  Mount(AddService("db"), "data", "/data");
  ASSERT_TRUE(UpNow());
  project_.volumes["data"].hashed_json = R"({"driver":"other"})";
  ExpectGolden("plan_changed_volume.txt", UpPlanText());
}

TEST_F(PlanTest, SharedNamespacesFollowTheirOwner) {
  AddService("app");
  schema::Service& side = AddService("side");
  side.networks.clear();
  side.network_mode = "service:app";
  Depend("side", "app");
  ASSERT_TRUE(UpNow());
  const std::string app = engine_.InspectContainer("p-app-1")->id;
  EXPECT_EQ(engine_.InspectContainer("p-side-1")->config.network_mode, "container:" + app);
  project_.services["app"].environment["A"] = "1";
  ExpectGolden("plan_shared_namespace.txt", UpPlanText());
}

TEST_F(PlanTest, PortsMoveAfterTheirHolderIsGone) {
  AddPort(AddService("a"), 80, "8080");
  AddService("b");
  ASSERT_TRUE(UpNow());
  project_.services["a"].ports.clear();
  AddPort(project_.services["b"], 80, "8080");
  ExpectGolden("plan_port_moves.txt", UpPlanText());
}

TEST_F(PlanTest, WaitAddsOneWaitPerService) {
  AddHealthcheck(AddService("db"));
  AddService("web");
  ExpectGolden("plan_wait.txt", UpPlanText({.wait = true}));
}

TEST_F(PlanTest, CreateOnlyDoesNotStart) {
  AddService("web");
  ExpectGolden("plan_no_start.txt", UpPlanText({.start = false}));
}

TEST_F(PlanTest, FixedHostPortCannotBeScaled) {
  AddPort(AddService("web"), 80, "8080");
  EXPECT_EQ(ErrorOf(MakeUpPlan({.scale = {{"web", 3}}})),
            "cannot scale service 'web' to 3: host port 8080 can be published by one replica "
            "only\nnote: publish a range of at least 3 host ports, such as '8080-8082:80', or the "
            "container port alone");
}

TEST_F(PlanTest, TheErrorOfAFixedHostPortHasItsPlace) {
  AddPort(AddService("web"), 80, "8080");
  project_.services["web"].ports[0].span = {0, 42, 9};
  EXPECT_EQ(MakeUpPlan({.scale = {{"web", 2}}}).error().span, (SourceSpan{0, 42, 9}));
}

TEST_F(PlanTest, PortRangesCanBeScaledWhenLargeEnough) {
  AddPort(AddService("web"), 80, "8080-8082");
  EXPECT_TRUE(MakeUpPlan({.scale = {{"web", 3}}}));
  EXPECT_FALSE(MakeUpPlan({.scale = {{"web", 4}}}));
}

TEST_F(PlanTest, ContainerNamesCannotBeScaled) {
  AddService("web").container_name = "site";
  EXPECT_EQ(ErrorOf(MakeUpPlan({.scale = {{"web", 2}}})),
            "cannot scale service 'web' to 2: it is using the custom container name 'site', and "
            "each container needs a unique name\nnote: remove the custom name to scale the "
            "service");
}

TEST_F(PlanTest, TwoServicesCannotPublishOnePort) {
  AddPort(AddService("a"), 80, "8080");
  AddPort(AddService("b"), 81, "8080");
  EXPECT_EQ(ErrorOf(MakeUpPlan()),
            "host port 8080/tcp of service 'b' is also published by service 'a'\n"
            "note: published here, too");
}

TEST_F(PlanTest, DifferentAddressesOrProtocolsDoNotClash) {
  AddPort(AddService("a"), 80, "8080");
  project_.services["a"].ports[0].host_ip = "127.0.0.1";
  AddPort(AddService("b"), 80, "8080");
  project_.services["b"].ports[0].host_ip = "127.0.0.2";
  AddPort(AddService("c"), 80, "8080");
  project_.services["c"].ports[0].host_ip = "127.0.0.1";
  project_.services["c"].ports[0].protocol = "udp";
  EXPECT_TRUE(MakeUpPlan());
}

TEST_F(PlanTest, ExternalResourcesMustExist) {
  AddVolume("data");
  project_.volumes["data"].external = true;
  project_.volumes["data"].name = "shared";
  project_.networks["default"].external = true;
  project_.networks["default"].name = "outside";
  Mount(AddService("web"), "data", "/data");
  EXPECT_EQ(ErrorOf(MakeUpPlan()),
            "network outside declared as external, but could not be found\n"
            "note: create it with: skiff network create outside\n"
            "note: external volume \"shared\" not found\n"
            "note: create it with: skiff volume create shared");
}

TEST_F(PlanTest, MissingImagesAreNamedAllAtOnce) {
  AddService("a").image = "nginx:1";
  AddService("b").image.clear();
  project_.services["b"].build.emplace();
  EXPECT_EQ(ErrorOf(MakeUpPlan()),
            "no such image: 'nginx:1', which service 'a' runs\n"
            "note: get it with: skiff pull a\n"
            "note: no such image: 'p-b', which service 'b' runs and builds\n"
            "note: make it with: skiff build b");
}

TEST_F(PlanTest, WaitingForHealthNeedsAHealthcheck) {
  AddService("db");
  AddService("web");
  Depend("web", "db", Condition::kHealthy);
  EXPECT_EQ(ErrorOf(MakeUpPlan()),
            "dependency failed to start: container p-db-1 has no healthcheck configured\n"
            "note: service 'web' waits for 'db' to be healthy; it needs a healthcheck, or another "
            "condition");
}

TEST_F(PlanTest, UnknownServicesAreErrors) {
  AddService("backend");
  EXPECT_EQ(ErrorOf(MakeUpPlan({.services = {"backnd"}})),
            "no such service: backnd\nnote: did you mean 'backend'?");
}

TEST_F(PlanTest, DownStopsDependentsFirst) {
  MakeStack();
  ASSERT_TRUE(UpNow());
  const auto observed = Observe(engine_, "p");
  const auto plan = MakeDownPlan("p", &project_, *observed, {.volumes = true});
  ASSERT_TRUE(plan);
  ExpectGolden("plan_down.txt", PlanToText(*plan));
}

TEST_F(PlanTest, DownWorksFromLabelsAlone) {
  MakeStack();
  ASSERT_TRUE(UpNow());
  const auto observed = Observe(engine_, "p");
  const auto with_model = MakeDownPlan("p", &project_, *observed, {.volumes = true});
  const auto from_labels = MakeDownPlan("p", nullptr, *observed, {.volumes = true});
  ASSERT_TRUE(from_labels);
  EXPECT_EQ(PlanToText(*from_labels), PlanToText(*with_model));
}

TEST_F(PlanTest, DownOfAServiceTakesItsDependents) {
  AddService("a");
  AddService("b");
  AddService("c");
  Depend("a", "b");
  ASSERT_TRUE(UpNow());
  const auto observed = Observe(engine_, "p");
  const auto plan = MakeDownPlan("p", &project_, *observed, {.services = {"b"}});
  ASSERT_TRUE(plan);
  ExpectGolden("plan_down_service.txt", PlanToText(*plan));
}

TEST_F(PlanTest, DownLeavesOrphansUnlessAsked) {
  AddService("old");
  AddService("web");
  ASSERT_TRUE(UpNow());
  project_.services.erase("old");
  const auto observed = Observe(engine_, "p");
  ExpectGolden("plan_down_orphan.txt", PlanToText(*MakeDownPlan("p", &project_, *observed, {})));
  ExpectGolden("plan_down_remove_orphans.txt",
               PlanToText(*MakeDownPlan("p", &project_, *observed, {.remove_orphans = true})));
}

TEST_F(PlanTest, RestartTakesDependentsThatAsk) {
  AddService("db");
  AddService("web");
  AddService("other");
  Depend("web", "db", Condition::kStarted, true);
  Depend("other", "db");
  ASSERT_TRUE(UpNow());
  const auto observed = Observe(engine_, "p");
  const LifecycleInput input{"p", &project_, &observed->containers, {"db"}};
  ExpectGolden("plan_restart.txt", PlanToText(*MakeRestartPlan(input, {}, false)));
  EXPECT_EQ(MakeRestartPlan(input, {}, true)->operations.size(), 1u);
}

TEST_F(PlanTest, StopAndStartKeepTheOrder) {
  MakeStack();
  ASSERT_TRUE(UpNow());
  auto observed = Observe(engine_, "p");
  const auto stop = MakeStopPlan({"p", nullptr, &observed->containers, {}}, {});
  ASSERT_TRUE(stop);
  ExpectGolden("plan_stop.txt", PlanToText(*stop));
  ASSERT_TRUE(Execute(*stop, engine_, progress_, {}));
  observed = Observe(engine_, "p");
  const auto start = MakeStartPlan({"p", nullptr, &observed->containers, {}}, {});
  ASSERT_TRUE(start);
  ExpectGolden("plan_start.txt", PlanToText(*start));
}

TEST_F(PlanTest, PrintsJson) {
  MakeStack();
  Seal();
  ExpectGolden("plan_first_up.json", PlanToJson(*MakeUpPlan()));
}

TEST(ModelDiffTest, NamesChangedAddedAndRemovedKeys) {
  EXPECT_EQ(DescribeModelChange(R"({"environment":{"DEBUG":"0","OLD":"x"}})",
                                R"({"environment":{"DEBUG":"1","NEW":"y"}})"),
            "environment.DEBUG: '0' -> '1'; environment.NEW: added 'y'; environment.OLD: removed "
            "'x'");
}

TEST(ModelDiffTest, NamesThreeDifferencesAtMost) {
  EXPECT_EQ(DescribeModelChange(R"({"a":1,"b":1,"c":1,"d":1,"e":1})",
                                R"({"a":2,"b":2,"c":2,"d":2,"e":2})"),
            "a: '1' -> '2'; b: '1' -> '2'; c: '1' -> '2'; and 2 more");
}

TEST(ModelDiffTest, ComparesListsOfOneLengthByItem) {
  EXPECT_EQ(DescribeModelChange(R"({"command":["a","b"]})", R"({"command":["a","c"]})"),
            "command.1: 'b' -> 'c'");
  EXPECT_EQ(DescribeModelChange(R"({"command":["a"]})", R"({"command":["a","c"]})"),
            R"(command: '["a"]' -> '["a","c"]')");
}

}  // namespace
}  // namespace skiff::compose
