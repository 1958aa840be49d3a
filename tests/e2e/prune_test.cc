// What nothing uses is removed: container, network, volume, image and system prune; docker info.

#include <nlohmann/json.hpp>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class PruneTest : public SkiffTest {
 protected:
  Outcome Answer(const Words& words, const std::string& text) {
    ProcessOptions options;
    options.input = text;
    return Skiff(words, options);
  }
  void Run(const std::string& name, const Words& flags, const std::string& script) {
    Words words = {"docker", "run", "--name", name, "--network", "none", "--init"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.insert(words.end(), {"busybox:latest", "sh", "-c", script});
    Succeed(words);
  }
  std::multiset<std::string> Names(const Words& words) { return LineSet(Succeed(words)); }
  std::multiset<std::string> Containers() {
    return Names({"docker", "ps", "-a", "--format", "{{.Names}}"});
  }
};

TEST_F(PruneTest, ContainersThatRunNoMore) {
  Run("done", {}, "head -c 1000 /dev/zero > /written");
  Run("kept", {"--label", "keep"}, "true");
  Run("busy", {"-d"}, "sleep 1000");
  Run("paused", {"-d"}, "sleep 1000");
  Succeed({"docker", "pause", "paused"});
  Succeed({"docker", "create", "--name", "new", "--network", "none", "busybox:latest", "true"});
  const Outcome declined = Answer({"docker", "container", "prune"}, "n\n");
  EXPECT_THAT(declined, Succeeds());
  EXPECT_THAT(declined.out, HasSubstr("WARNING! This will remove all stopped containers.\n"
                                      "Are you sure you want to continue? [y/N] "));
  EXPECT_EQ(Containers().size(), 5u);
  EXPECT_THAT(Succeed({"docker", "ps", "-as", "--filter", "name=done"}),
              ::testing::ContainsRegex("SIZE\n.* 1kB \\(virtual [0-9.]+MB\\)\n"));
  EXPECT_EQ(Succeed({"docker", "inspect", "-s", "-f", "{{.SizeRw}}", "done"}), "1000\n");
  EXPECT_EQ(Succeed({"docker", "container", "prune", "-f", "--filter", "until=24h"}),
            "Total reclaimed space: 0B\n");
  const std::string id = Inspect("done", "{{.Id}}");
  const std::string out =
      Succeed({"docker", "container", "prune", "-f", "--filter", "label!=keep"});
  EXPECT_THAT(out, ::testing::StartsWith("Deleted Containers:\n"));
  EXPECT_THAT(out, HasSubstr(id + "\n"));
  EXPECT_THAT(out, ::testing::EndsWith("\n\nTotal reclaimed space: 1kB\n"));
  EXPECT_THAT(Containers(), ::testing::UnorderedElementsAre("kept", "busy", "paused"));
  EXPECT_THAT(Answer({"docker", "container", "prune"}, "y\n"), Succeeds());
  EXPECT_THAT(Containers(), ::testing::UnorderedElementsAre("busy", "paused"));
  EXPECT_THAT(Skiff({"docker", "container", "prune", "-f", "--filter", "size=1"}).err,
              HasSubstr("invalid filter 'size'"));
  Succeed({"docker", "rm", "-f", "busy", "paused"});
}

TEST_F(PruneTest, VolumesThatNothingUses) {
  Succeed({"docker", "volume", "create", "named"});
  Run("user", {"-v", "used:/used", "-v", "/anonymous"}, "true");
  Run("gone", {"-v", "/anonymous"}, "head -c 5000 /dev/zero > /anonymous/a");
  Succeed({"docker", "rm", "gone"});
  const std::string out = Succeed({"docker", "volume", "prune", "-f"});
  EXPECT_THAT(out, ::testing::StartsWith("Deleted Volumes:\n"));
  EXPECT_THAT(out, ::testing::EndsWith("\n\nTotal reclaimed space: 5kB\n"));
  EXPECT_EQ(Names({"docker", "volume", "ls", "-q"}).size(), 3u);
  EXPECT_EQ(Succeed({"docker", "volume", "prune", "-af", "--filter", "label=none"}),
            "Total reclaimed space: 0B\n");
  EXPECT_EQ(Succeed({"docker", "volume", "prune", "-af"}),
            "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 0B\n");
  Succeed({"docker", "rm", "-v", "user"});
  Succeed({"docker", "volume", "rm", "used"});
}

TEST_F(PruneTest, NetworksThatNothingUses) {
  Succeed({"docker", "network", "create", "used"});
  Succeed({"docker", "network", "create", "--label", "keep", "marked"});
  Succeed({"docker", "network", "create", "lonely"});
  Succeed({"docker", "run", "-d", "--init", "--name", "user", "--network", "used",
           "busybox:latest", "sleep", "1000"});
  EXPECT_EQ(Succeed({"docker", "network", "prune", "-f", "--filter", "label!=keep"}),
            "Deleted Networks:\nlonely\n\n");
  EXPECT_EQ(Succeed({"docker", "network", "prune", "-f"}), "Deleted Networks:\nmarked\n\n");
  EXPECT_EQ(Succeed({"docker", "network", "prune", "-f"}), "");
  EXPECT_EQ(Names({"docker", "network", "ls", "-q"}).size(), 4u);  // With bridge, host, none.
  Succeed({"docker", "rm", "-f", "user"});
  Succeed({"docker", "network", "rm", "used"});
}

TEST_F(PruneTest, TheSystemAsAWhole) {
  Run("done", {"-v", "/anonymous"}, "true");
  Succeed({"docker", "network", "create", "lonely"});
  Succeed({"docker", "tag", "busybox:latest", "other:latest"});
  WriteFile("Dockerfile", "FROM busybox\nRUN echo built > /built\n");
  Succeed({"docker", "build", "-q", "--network", "none", "-t", "built", "."});
  Succeed({"docker", "rmi", "built"});
  const Outcome asked = Answer({"docker", "system", "prune", "-a", "--volumes", "--filter", "label=x"},
                               "\n");
  EXPECT_THAT(asked.out,
              HasSubstr("WARNING! This will remove:\n"
                        "  - all stopped containers\n"
                        "  - all networks not used by at least one container\n"
                        "  - all anonymous volumes not used by at least one container\n"
                        "  - all images without at least one container associated to them\n"
                        "  - all build cache\n\n"
                        "  Items to be pruned will be filtered with:\n  - label=x\n\n"
                        "Are you sure you want to continue? [y/N] "));
  EXPECT_THAT(Skiff({"docker", "system", "prune", "-f", "--volumes", "--filter", "until=1h"}).err,
              HasSubstr("\"until\" filter is not supported with \"--volumes\""));
  const std::string first = Succeed({"docker", "system", "prune", "-f"});
  EXPECT_THAT(first, HasSubstr("Deleted Containers:\n"));
  EXPECT_THAT(first, HasSubstr("Deleted Networks:\nlonely\n"));
  EXPECT_THAT(first, Not(HasSubstr("Deleted Volumes:")));
  EXPECT_THAT(first, HasSubstr("Total reclaimed space: "));
  EXPECT_EQ(Names({"docker", "images", "--format", "{{.Repository}}"}),
            (std::multiset<std::string>{"busybox", "other"}));
  const std::string second = Succeed({"docker", "system", "prune", "-af", "--volumes"});
  EXPECT_THAT(second, HasSubstr("Deleted Volumes:\n"));
  EXPECT_THAT(second, HasSubstr("untagged: other:latest\n"));
  EXPECT_THAT(second, Not(HasSubstr("Total reclaimed space: 0B\n")));
  EXPECT_EQ(Succeed({"docker", "images", "-q"}), "");
  EXPECT_EQ(Succeed({"docker", "volume", "ls", "-q"}), "");
}

TEST_F(PruneTest, InfoSaysWhatThereIs) {
  Run("done", {}, "true");
  Run("busy", {"-d"}, "sleep 1000");
  EXPECT_EQ(Succeed({"docker", "info", "-f", "{{.ContainersRunning}} {{.ContainersStopped}} "
                                             "{{.Images}} {{.OSType}} {{.DockerRootDir}}"}),
            "1 1 1 linux " + environment()["SKIFF_ROOT"] + "\n");
  const Json info = Json::parse(Succeed({"docker", "system", "info", "--format", "json"}));
  EXPECT_EQ(info["Containers"], 2);
  EXPECT_GT(info["MemTotal"].get<int64_t>(), 1 << 20);
  EXPECT_GT(info["NCPU"].get<int>(), 0);
  const std::string text = Succeed({"docker", "info"});
  EXPECT_THAT(text, HasSubstr(" Containers: 2\n  Running: 1\n  Paused: 0\n  Stopped: 1\n"));
  EXPECT_THAT(text, HasSubstr(" Storage Driver: overlay2\n"));
  Succeed({"docker", "rm", "-f", "busy", "done"});
}

}  // namespace
}  // namespace skiff::e2e
