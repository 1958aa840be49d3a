// Files that change on this machine are carried over to containers: watch and up --watch.

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t CountOf(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

class WatchTest : public SkiffTest {
 protected:
  // Service "web" with the rules of `develop.watch`, and what else is said of it.
  void WriteWatched(const std::string& rules, const std::string& more = "    image: busybox\n") {
    WriteProject(
        "name: p\nservices:\n  web:\n" + more +
        "    command: [sleep, '1000']\n    init: true\n    stop_grace_period: 0s\n"
        "    network_mode: none\n    develop:\n      watch:\n" +
        rules);
  }
  Process Watch(Words words = {"watch"}) {
    Process process = StartSkiff(words);
    EXPECT_TRUE(process.AwaitOutput("Watch enabled")) << process.out() << process.err();
    return process;
  }
  // A change of src/a is synced, then the command runs.
  Process WatchWithCommand(const std::string& command) {
    WriteFile("src/a", "1");
    WriteWatched(
        "        - path: ./src\n          action: sync+exec\n          target: /src\n"
        "          exec:\n            command: " + command + "\n");
    return Watch();
  }
  // Ends it as the person at the keyboard does.
  Outcome Interrupt(Process& process) {
    process.Signal(SIGINT);
    return process.Finish();
  }
  bool AwaitCount(Process& process, std::string_view text, size_t count) {
    return process.Await([&] { return CountOf(process.out(), text) >= count; });
  }
  // Names below a folder of the container.
  std::multiset<std::string> In(const std::string& folder) {
    return LineSet(Succeed({"exec", "-T", "web", "find", folder, "-mindepth", "1"}));
  }
  std::string Read(const std::string& path) {
    return Succeed({"exec", "-T", "web", "cat", path});
  }
};

constexpr const char* kSync =
    "        - path: ./src\n          action: sync\n          target: /app\n";

TEST_F(WatchTest, WhatChangesIsTheSameInTheContainer) {
  WriteFile("src/before", "1");
  WriteWatched(std::string(kSync) + "          ignore: ['*.log', deps/]\n");
  Process watch = Watch();
  WriteFile("src/new", "2");
  WriteFile("src/folder/below/file", "3", true);
  WriteFile("src/a.log", "no");
  WriteFile("src/deps/a", "no");
  WriteFile("src/.git/HEAD", "no");
  WriteFile("src/file~", "no");
  std::filesystem::create_symlink("new", project_directory() + "/src/link");
  ASSERT_TRUE(watch.AwaitOutput("Syncing service \"web\" after 5 changes were detected\n"))
      << watch.out();
  // Told before it is done; the next one comes after it.
  WriteFile("src/before", "4");
  ASSERT_TRUE(AwaitCount(watch, "Syncing", 2));
  std::filesystem::remove(project_directory() + "/src/new");
  std::filesystem::rename(project_directory() + "/src/folder", project_directory() + "/src/moved");
  ASSERT_TRUE(AwaitCount(watch, "Syncing", 3));
  // A file where a folder was.
  std::filesystem::remove_all(project_directory() + "/src/moved/below");
  WriteFile("src/moved/below", "5");
  ASSERT_TRUE(AwaitCount(watch, "Syncing", 4));
  const Outcome ended = Interrupt(watch);
  EXPECT_THAT(ended, ExitsWith(130));
  EXPECT_THAT(ended.out, ::testing::EndsWith("Watch disabled\n"));
  EXPECT_THAT(In("/app"), ::testing::UnorderedElementsAre("/app/before", "/app/link", "/app/moved",
                                                          "/app/moved/below"));
  EXPECT_EQ(Read("/app/before"), "4");
  EXPECT_EQ(Read("/app/moved/below"), "5");
  EXPECT_EQ(Succeed({"exec", "-T", "web", "readlink", "/app/link"}), "new\n");
  Succeed({"down", "-t", "0"});
}

TEST_F(WatchTest, FilesBelongToTheUserOfEveryReplica) {
  WriteWatched(kSync,
               "    image: busybox\n    user: '1234:5678'\n    scale: 2\n    read_only: false\n");
  WriteFile("src/start", "");
  Process watch = Watch();
  WriteFile("src/run.sh", "#!/bin/sh\n", true);
  ASSERT_TRUE(watch.AwaitOutput("Syncing service \"web\" after 1 changes"));
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  for (const char* replica : {"1", "2"}) {
    EXPECT_EQ(Succeed({"exec", "-T", "--index", replica, "web", "stat", "-c", "%u:%g %a",
                       "/app/run.sh"}),
              "1234:5678 755\n");
  }
  Succeed({"down", "-t", "0"});
}

TEST_F(WatchTest, OnlyWhatIsIncludedAndNotInTheIgnoreFileCounts) {
  WriteFile("Dockerfile", "FROM busybox\n");
  WriteFile(".dockerignore", "src/secret\n");
  WriteWatched(std::string(kSync) + "          include: ['**/*.txt', secret]\n",
               "    build: .\n");
  WriteFile("src/start", "");
  Process watch = Watch();
  WriteFile("src/a.md", "");
  WriteFile("src/secret", "");
  WriteFile("src/deep/b.txt", "");
  ASSERT_TRUE(watch.AwaitOutput("Syncing service \"web\" after 1 changes"));
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  EXPECT_THAT(In("/app"), ::testing::UnorderedElementsAre("/app/deep", "/app/deep/b.txt"));
  Succeed({"down", "-t", "0", "--rmi", "local"});
}

TEST_F(WatchTest, TheFirstSyncBringsWhatIsThere) {
  WriteFile("src/a", "1");
  WriteFile("src/.git/config", "no");
  WriteFile("one", "2");
  WriteWatched(std::string(kSync) +
               "          initial_sync: true\n"
               "        - path: ./one\n          action: sync\n          target: /etc/one\n"
               "          initial_sync: true\n");
  Process watch = Watch();
  EXPECT_THAT(In("/app"), ::testing::ElementsAre("/app/a"));
  EXPECT_EQ(Read("/etc/one"), "2");
  // Editors replace a file by another one.
  WriteFile("one.new", "3");
  std::filesystem::rename(project_directory() + "/one.new", project_directory() + "/one");
  ASSERT_TRUE(watch.AwaitOutput("Syncing service \"web\" after 1 changes"));
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  EXPECT_EQ(Read("/etc/one"), "3");
  Succeed({"down", "-t", "0"});
}

TEST_F(WatchTest, ContainersAreRestartedAndCommandsRun) {
  WriteFile("conf/a", "1");
  WriteFile("both/a", "1");
  WriteFile("hook/a", "1");
  WriteWatched(
      "        - path: ./conf\n          action: restart\n"
      "        - path: ./both\n          action: sync+restart\n          target: /both\n"
      "        - path: ./hook\n          action: sync+exec\n          target: /hook\n"
      "          exec:\n            command: [sh, -c, 'echo $$WHO sees $(cat /hook/a)']\n"
      "            environment: [WHO=hook]\n");
  Process watch = Watch();
  const auto started = [&] { return Inspect("p-web-1", "{{.State.StartedAt}}"); };
  const std::string first = started();
  WriteFile("conf/a", "2");
  ASSERT_TRUE(AwaitCount(watch, "service(s) [\"web\"] restarted\n", 1)) << watch.out();
  const std::string second = started();
  EXPECT_NE(second, first);
  WriteFile("both/a", "3");
  ASSERT_TRUE(AwaitCount(watch, "service(s) [\"web\"] restarted\n", 2));
  EXPECT_NE(started(), second);
  EXPECT_EQ(Read("/both/a"), "3");
  const std::string third = started();
  WriteFile("hook/a", "4\n");
  ASSERT_TRUE(watch.AwaitOutput("hook sees 4\n")) << watch.out() << watch.err();
  EXPECT_EQ(started(), third);
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  Succeed({"down", "-t", "0"});
}

TEST_F(WatchTest, ACommandThatFailsIsToldAndTheWatchGoesOn) {
  Process watch = WatchWithCommand("[grep, good, /src/a]");
  WriteFile("src/a", "bad");
  ASSERT_TRUE(watch.Await([&] { return CountOf(watch.err(), "ended with exit code 1") == 1; }))
      << watch.err();
  WriteFile("src/a", "good\n");
  ASSERT_TRUE(watch.AwaitOutput("\ngood\n"));
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  Succeed({"down", "-t", "0"});
}

TEST_F(WatchTest, ACommandThatHangsIsInterrupted) {
  Process watch = WatchWithCommand("[sh, -c, 'echo begun; exec sleep 1000']");
  WriteFile("src/a", "2");
  ASSERT_TRUE(watch.AwaitOutput("begun\n"));
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  Succeed({"down", "-t", "0"});
}

TEST_F(WatchTest, WhatIsIgnoredAndNeverRestsHoldsNothingUp) {
  WriteFile("src/start", "");
  WriteWatched(std::string(kSync) + "          ignore: ['*.log']\n");
  Process watch = Watch();
  std::atomic<bool> enough = false;
  std::thread noise([&] {
    std::ofstream log(project_directory() + "/src/busy.log");
    while (!enough) log << "line\n" << std::flush;
  });
  WriteFile("src/new", "1");
  EXPECT_TRUE(watch.AwaitOutput("Syncing service \"web\" after 1 changes")) << watch.out();
  enough = true;
  noise.join();
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  EXPECT_THAT(In("/app"), ::testing::ElementsAre("/app/new"));
  Succeed({"down", "-t", "0"});
}

TEST_F(WatchTest, OneActionThatFailsKeepsNoOtherBack) {
  WriteFile("Dockerfile", "FROM busybox\nCOPY src /src\n");
  WriteFile("src/a", "1");
  WriteWatched("        - path: ./src\n          action: rebuild\n" + std::string(kSync),
               "    build: .\n");
  Process watch = Watch();
  WriteFile("Dockerfile", "FROM busybox\nCOPY nothing /src\n");
  WriteFile("src/a", "2");
  ASSERT_TRUE(watch.AwaitOutput("Build failed. Error:")) << watch.out();
  EXPECT_TRUE(watch.AwaitOutput("Syncing service \"web\" after 1 changes")) << watch.out();
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  EXPECT_EQ(Read("/app/a"), "2");
  Succeed({"down", "-t", "0", "--rmi", "local"});
}

TEST_F(WatchTest, AnImageIsBuiltAgainAndItsContainerReplaced) {
  WriteFile("Dockerfile", "FROM busybox\nCOPY src /src\n");
  WriteFile("src/a", "1");
  WriteFile("other/a", "1");
  WriteWatched("        - path: ./src\n          action: rebuild\n", "    build: .\n");
  Process watch = Watch();
  EXPECT_EQ(Read("/src/a"), "1");
  const std::string before = Inspect("p-web-1", "{{.Id}} {{.Image}}");
  WriteFile("other/a", "2");
  WriteFile("src/a", "2");
  ASSERT_TRUE(watch.AwaitOutput("Rebuilding service(s) [\"web\"] after changes were detected..."));
  ASSERT_TRUE(watch.AwaitOutput("service(s) [\"web\"] successfully built"));
  ASSERT_TRUE(Eventually([&] { return Inspect("p-web-1", "{{.Id}} {{.Image}}") != before; }, 20s));
  // A mistake is told, and its correction is built.
  WriteFile("src/b", "");
  WriteFile("Dockerfile", "FROM busybox\nCOPY nothing /src\n");
  ASSERT_TRUE(watch.AwaitOutput("Build failed. Error:")) << watch.out();
  WriteFile("Dockerfile", "FROM busybox\nCOPY src /src\n");
  WriteFile("src/a", "3");
  ASSERT_TRUE(AwaitCount(watch, "successfully built", 2)) << watch.out() << watch.err();
  EXPECT_TRUE(Eventually([&] { return Skiff({"exec", "-T", "web", "cat", "/src/a"}).out == "3"; },
                         20s));
  EXPECT_THAT(Interrupt(watch), ExitsWith(130));
  // What the images were before is gone: busybox and the last one.
  EXPECT_EQ(Lines(Succeed({"docker", "images", "-aq"})).size(), 2u);
  Succeed({"down", "-t", "0", "--rmi", "local"});
}

TEST_F(WatchTest, UpWatchesAndGoesOnWhileContainersAreReplaced) {
  WriteFile("Dockerfile", "FROM busybox\nCOPY src /src\n");
  WriteFile("src/a", "first");
  WriteProject(
      "name: p\nservices:\n  web:\n    build: .\n    init: true\n    stop_grace_period: 0s\n"
      "    network_mode: none\n"
      "    command: [sh, -c, 'cat /src/a; echo; sleep 1000']\n"
      "    develop:\n      watch:\n        - path: ./src\n          action: rebuild\n");
  Process up = StartSkiff({"up", "--watch", "--quiet-build"});
  ASSERT_TRUE(up.AwaitOutput("       ⦿ Watch enabled\n")) << up.out() << up.err();
  ASSERT_TRUE(up.AwaitOutput("web-1  | first\n"));
  WriteFile("src/a", "second");
  ASSERT_TRUE(up.AwaitOutput("       ⦿ service(s) [\"web\"] successfully built\n")) << up.out();
  ASSERT_TRUE(up.AwaitOutput("web-1  | second\n")) << up.out() << up.err();
  up.Signal(SIGINT);
  const Outcome ended = up.Finish();
  EXPECT_THAT(ended, ExitsWith(130));
  EXPECT_EQ(Inspect("p-web-1", "{{.State.Status}}"), "exited");
  Succeed({"down", "-t", "0", "--rmi", "local"});
}

TEST_F(WatchTest, MistakesAreToldBeforeAnythingStarts) {
  WriteProject("name: p\nservices:\n  web:\n    image: busybox\n");
  const Outcome none = Skiff({"watch", "--no-up"});
  EXPECT_THAT(none, ExitsWith(1));
  EXPECT_THAT(none.err, HasSubstr("none of the selected services is configured for watch, consider "
                                  "setting a 'develop' section"));
  EXPECT_THAT(Skiff({"up", "--watch"}), ExitsWith(1));
  WriteWatched("        - path: ./src\n          action: rebuild\n");
  const Outcome unbuilt = Skiff({"up", "--watch"});
  EXPECT_THAT(unbuilt.err, HasSubstr("compose.yaml:11:11: error: can't watch service \"web\" with "
                                     "action rebuild without a build context"));
  WriteWatched("        - path: ./src\n          action: sync+exec\n          target: /x\n");
  EXPECT_THAT(Skiff({"watch", "--no-up"}).err, HasSubstr("without a command"));
  for (const char* flag : {"--no-build", "--detach", "--wait"}) {
    EXPECT_THAT(Skiff({"up", "--watch", flag}).err, HasSubstr("are incompatible")) << flag;
  }
  EXPECT_EQ(Succeed({"ps", "-aq"}), "");
  // What is mounted is the same already.
  WriteFile("src/a", "");
  WriteWatched(kSync, "    image: busybox\n    volumes: ['./src:/app']\n");
  const Outcome mounted = Skiff({"watch", "--no-up"});
  EXPECT_THAT(mounted, ExitsWith(1));
  EXPECT_THAT(mounted.err, HasSubstr("also declared by a bind mount volume, this path won't be "
                                     "monitored!"));
}

}  // namespace
}  // namespace skiff::e2e
