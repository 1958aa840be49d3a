// Whole command lines against an engine in memory.

#include "tests/unit/cli/command_line.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

namespace skiff::cli {
namespace {

using Words = std::vector<std::string>;
using Setup = std::function<void(engine::FakeEngine&)>;

CommandLine Command(Words words, const Setup& setup = {}) {
  Surroundings surroundings;
  surroundings.open_engine =
      [setup](const engine::EmbeddedOptions&) -> Result<std::unique_ptr<engine::Engine>> {
    auto engine = std::make_unique<engine::FakeEngine>();
    engine->AddImage("busybox:latest");
    engine->SetClock(1'800'000'000'000'000'000 - 300'000'000'000);
    if (setup) setup(*engine);
    return std::unique_ptr<engine::Engine>(std::move(engine));
  };
  surroundings.system_check = [](const engine::EmbeddedOptions&, bool repair) {
    engine::SystemReport report;
    report.checked = 4;
    report.problems.push_back({"layer", "1234", "layer 1234 has no row", repair});
    return Result<engine::SystemReport>(report);
  };
  return RunLine(std::move(words), std::move(surroundings));
}

void AddWeb(engine::FakeEngine& engine) {
  engine::ContainerConfig config;
  config.name = "web";
  config.image = "busybox:latest";
  config.command = Words{"sleep", "1000"};
  config.labels = {{"tier", "front"}};
  const auto created = engine.CreateContainer(config);
  ASSERT_TRUE(created);
  ASSERT_TRUE(engine.StartContainer(created->id));
}

TEST(CommandLine, TellsUnknownCommandsAndTheNearestOne) {
  const CommandLine line = Command({"skiff", "pus"});
  EXPECT_EQ(line.status, 1);
  EXPECT_EQ(line.out, "");
  EXPECT_EQ(line.err,
            "error: unknown command: skiff pus\n  note: did you mean 'skiff ps'?\n\n"
            "Usage:  skiff [OPTIONS] COMMAND\n\nRun 'skiff --help' for more information\n");
  EXPECT_EQ(Command({"skiff", "image", "sl"}).status, 1);
  EXPECT_EQ(Command({"docker", "bogus"}).status, 1);
}

TEST(CommandLine, TellsUnknownFlags) {
  const CommandLine line = Command({"skiff", "up", "--detatch"});
  EXPECT_EQ(line.status, 1);
  EXPECT_EQ(
      line.err,
      "error: unknown flag: --detatch\n  note: did you mean --detach?\n\n"
      "Usage:  skiff up [OPTIONS] [SERVICE...]\n\nRun 'skiff up --help' for more information\n");
  EXPECT_EQ(Command({"docker", "run", "--bogus", "x"}).status, 125);
  EXPECT_EQ(Command({"skiff", "--bogus", "up"}).status, 1);
}

TEST(CommandLine, PointsAtGlobalFlagsBehindTheVerb) {
  const CommandLine line = Command({"skiff", "up", "-f", "x.yaml"});
  EXPECT_EQ(line.status, 1);
  EXPECT_NE(line.err.find("--file is a global flag: write it before 'up'"), std::string::npos);
}

TEST(CommandLine, WritesErrorsAsJson) {
  const CommandLine line = Command({"skiff", "--progress", "json", "up", "--bogus"});
  EXPECT_EQ(
      line.err,
      "{\"error\":true,\"code\":\"invalid-argument\",\"message\":\"unknown flag: --bogus\"}\n");
}

TEST(CommandLine, SpeaksEveryGrammar) {
  for (const Words& words : {Words{"skiff", "ls", "--help"},
                             {"skiff", "compose", "ls", "--help"},
                             {"/usr/bin/docker-compose", "ls", "--help"},
                             {"docker", "compose", "ls", "--help"},
                             {"skiff", "docker", "compose", "ls", "--help"},
                             {"skiff", "help", "ls"},
                             {"skiff", "ls", "-h"}}) {
    const CommandLine line = Command(words);
    EXPECT_EQ(line.status, 0) << testing::PrintToString(words) << line.err;
    EXPECT_NE(line.out.find("List running compose projects"), std::string::npos);
  }
  for (const Words& words : {Words{"skiff", "docker", "ps"},
                             {"docker", "ps"},
                             {"docker", "container", "ls"},
                             {"skiff", "container", "ls"},
                             {"skiff", "container", "ps"}}) {
    EXPECT_EQ(Command(words).out,
              "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n");
  }
}

TEST(CommandLine, KnowsItsVersion) {
  EXPECT_EQ(Command({"skiff", "version"}).out.substr(0, 15), "Skiff version v");
  EXPECT_EQ(Command({"skiff", "--version"}).out, Command({"skiff", "version"}).out);
  EXPECT_EQ(Command({"docker-compose", "version"}).out, "Docker Compose version v5.0.0\n");
  EXPECT_EQ(Command({"docker", "compose", "version", "--short"}).out, "5.0.0\n");
  EXPECT_EQ(Command({"skiff", "compose", "version", "--format", "json"}).status, 0);
}

TEST(DockerPs, ListsContainers) {
  const CommandLine line = Command({"docker", "ps", "--format",
                                    "{{.Names}}|{{.Image}}|{{.Command}}|"
                                    "{{.State}}|{{.Label \"tier\"}}"},
                                   AddWeb);
  EXPECT_EQ(line.out, "web|busybox:latest|\"sleep 1000\"|running|front\n") << line.err;
  EXPECT_EQ(Command({"docker", "ps", "-q", "-f", "label=tier=back"}, AddWeb).out, "");
  EXPECT_EQ(Command({"docker", "ps", "-f", "name=^we", "--format", "{{.Names}}"}, AddWeb).out,
            "web\n");
  EXPECT_EQ(Command({"docker", "ps", "-f", "typo=x"}, AddWeb).err,
            "error: invalid filter 'typo'\n");
  const CommandLine json = Command({"docker", "ps", "--format", "json"}, AddWeb);
  const auto row = nlohmann::json::parse(json.out);
  EXPECT_EQ(row["Names"], "web");
  EXPECT_EQ(row["Labels"], "tier=front");
  EXPECT_FALSE(row.contains("Label"));
}

TEST(DockerInspect, GivesDockersShape) {
  const CommandLine line = Command({"docker", "inspect", "web"}, AddWeb);
  EXPECT_EQ(line.status, 0);
  const auto value = nlohmann::json::parse(line.out);
  ASSERT_EQ(value.size(), 1u);
  EXPECT_EQ(value[0]["Name"], "/web");
  EXPECT_EQ(value[0]["State"]["Status"], "running");
  EXPECT_EQ(value[0]["Config"]["Labels"]["tier"], "front");
  EXPECT_EQ(value[0]["HostConfig"]["ShmSize"], 64 << 20);
  EXPECT_TRUE(value[0]["Config"]["Volumes"].is_null());
  EXPECT_EQ(Command({"docker", "inspect", "-f", "{{.State.Running}}", "web"}, AddWeb).out,
            "true\n");
  const CommandLine missing = Command({"docker", "inspect", "nope"}, AddWeb);
  EXPECT_EQ(missing.status, 1);
  EXPECT_EQ(missing.out, "[]\n");
  EXPECT_EQ(missing.err, "error: no such object: nope\n");
}

TEST(DockerRun, PassesTheExitCodeOn) {
  const auto exits = [](int code) {
    return [code](engine::FakeEngine& engine) {
      engine::FakeEngine::Behaviour behaviour;
      behaviour.exits_with = code;
      engine.SetBehaviour("job", behaviour);
    };
  };
  EXPECT_EQ(Command({"docker", "run", "--name", "job", "busybox", "false"}, exits(3)).status, 3);
  EXPECT_EQ(Command({"docker", "run", "--rm", "--name", "job", "busybox", "x"}, exits(0)).status,
            0);
}

TEST(DockerRun, TellsDockersStatusesWhenItFails) {
  const auto fails = [](engine::FakeEngine& engine) {
    engine::FakeEngine::Behaviour behaviour;
    behaviour.start_error =
        Error(Code::kNotFound, "exec: \"nope\": executable file not found in $PATH");
    engine.SetBehaviour("job", behaviour);
  };
  const CommandLine line = Command({"docker", "run", "--name", "job", "busybox", "nope"}, fails);
  EXPECT_EQ(line.status, 127);
  EXPECT_EQ(line.err, "error: exec: \"nope\": executable file not found in $PATH\n");
  EXPECT_EQ(Command({"docker", "run", "missing"}).status, 125);
  EXPECT_EQ(Command({"docker", "run", "-m", "x", "busybox"}).status, 125);
}

TEST(DockerRun, PrintsTheIdWhenDetached) {
  const CommandLine line = Command({"docker", "run", "-d", "busybox", "sleep", "9"});
  EXPECT_EQ(line.status, 0) << line.err;
  EXPECT_EQ(line.out.size(), 65u);
}

TEST(DockerRm, GoesOnAfterAFailure) {
  const CommandLine line = Command({"docker", "rm", "-f", "-v", "web"}, AddWeb);
  EXPECT_EQ(line.status, 0);
  EXPECT_EQ(line.out, "web\n");
  const CommandLine mixed = Command({"docker", "stop", "nope", "web"}, AddWeb);
  EXPECT_EQ(mixed.status, 1);
  EXPECT_EQ(mixed.out, "web\n");
}

TEST(Volumes, AreListedAndInspected) {
  const auto add = [](engine::FakeEngine& engine) {
    engine::VolumeConfig config;
    config.name = "data";
    ASSERT_TRUE(engine.CreateVolume(config));
  };
  EXPECT_EQ(Command({"docker", "volume", "ls"}, add).out,
            "DRIVER    VOLUME NAME\nlocal     data\n");
  EXPECT_EQ(Command({"docker", "volume", "ls", "-q"}, add).out, "data\n");
  EXPECT_EQ(Command({"docker", "volume", "inspect", "-f", "{{.Name}}", "data"}, add).out, "data\n");
  EXPECT_EQ(Command({"docker", "volume", "rm", "nope"}).status, 1);
  EXPECT_EQ(Command({"docker", "volume", "rm", "-f", "nope"}).status, 0);
}

TEST(Images, AreListed) {
  EXPECT_EQ(Command({"docker", "images", "--format", "{{.Repository}}:{{.Tag}}"}).out,
            "busybox:latest\n");
  EXPECT_EQ(Command({"skiff", "image", "ls", "nope", "-q"}).out, "");
}

TEST(SystemCheck, FailsOnWhatIsNotRepaired) {
  CommandLine line = Command({"skiff", "system", "check"});
  EXPECT_EQ(line.status, 1);
  EXPECT_EQ(
      line.out,
      "layer 1234: layer 1234 has no row\n4 objects checked, 1 problem found; run with --repair\n");
  line = Command({"skiff", "system", "check", "--repair"});
  EXPECT_EQ(line.status, 0);
  EXPECT_EQ(line.out,
            "layer 1234: layer 1234 has no row (repaired)\n4 objects checked, 1 problem found\n");
}

TEST(Up, RefusesFlagsThatContradict) {
  const std::pair<Words, std::string> rows[] = {
      {{"up", "-d", "--abort-on-container-exit"},
       "error: --detach and --abort-on-container-exit are incompatible\n"},
      {{"up", "--wait", "--attach", "web"}, "error: --wait and --attach are incompatible\n"},
      {{"up", "--force-recreate", "--no-recreate"},
       "error: --force-recreate and --no-recreate are incompatible\n"},
      {{"up", "-V", "--no-recreate"},
       "error: --renew-anon-volumes and --no-recreate are incompatible\n"},
      {{"up", "--always-recreate-deps", "--no-recreate"},
       "error: --always-recreate-deps and --no-recreate are incompatible\n"},
      {{"up", "--build", "--no-build"}, "error: --build and --no-build are incompatible\n"},
      {{"up", "--scale", "web"}, "error: invalid --scale option 'web': should be SERVICE=NUM\n"},
      {{"ps", "--status", "bogus"}, "error: unknown status 'bogus'\n"},
      {{"down", "--rmi", "some"},
       "error: invalid value 'some' for --rmi\n  note: use one of local, all\n"},
  };
  for (const auto& [words, message] : rows) {
    Words all = {"skiff"};
    all.insert(all.end(), words.begin(), words.end());
    const CommandLine line = Command(all);
    EXPECT_EQ(line.status, 1) << message;
    EXPECT_EQ(line.err, message);
  }
}

}  // namespace
}  // namespace skiff::cli
