// `skiff docker ...` and `skiff image ...`: one container, one image at a time.

#include <filesystem>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DockerTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (!IsSkipped() && !HasFatalFailure()) UseDefaultBridge();
  }
};

TEST_F(DockerTest, RunShowsOutputAndExitCode) {
  const Outcome outcome = Skiff(
      {"docker", "run", "--rm", "busybox:latest", "sh", "-c", "echo out; echo err >&2; exit 6"});
  EXPECT_THAT(outcome, ExitsWith(6));
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "");
  EXPECT_THAT(Skiff({"docker", "run", "--rm", "busybox:latest", "nonesuch"}), ExitsWith(127));
  EXPECT_THAT(Skiff({"docker", "run", "--rm", "nonesuch:1", "true"}), ExitsWith(125));
}

TEST_F(DockerTest, RunWithInput) {
  ProcessOptions options;
  options.input = "to\nfro\n";
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "-i", "busybox:latest", "cat"}, options),
            "to\nfro\n");
}

TEST_F(DockerTest, RunWithATerminal) {
  ProcessOptions options;
  options.terminal = true;
  Process shell = StartSkiff({"docker", "run", "--rm", "-it", "busybox:latest", "sh"}, options);
  ASSERT_TRUE(shell.AwaitOutput("#")) << shell.out();
  shell.Write("test -t 0 && echo terminal-$((1 + 1)); exit 8\n");
  const Outcome outcome = shell.Finish();
  EXPECT_THAT(outcome, ExitsWith(8));
  EXPECT_THAT(outcome.out, HasSubstr("terminal-2"));
}

TEST_F(DockerTest, RunDetachedThenExecLogsStopRm) {
  std::string id =
      Succeed({"docker", "run", "-d", "--name", "box", "--init", "-e", "A=1", "--label",
               "kind=test", "busybox:latest", "sh", "-c", "echo started; sleep 1000"});
  ASSERT_TRUE(id.ends_with('\n'));
  id.pop_back();
  EXPECT_EQ(id.size(), 64U);
  EXPECT_EQ(Inspect("box", "{{.Id}}"), id);
  EXPECT_EQ(Inspect(id.substr(0, 12), "{{.Name}}"), "/box");
  EXPECT_EQ(Succeed({"docker", "exec", "box", "sh", "-c", "echo $A"}), "1\n");
  EXPECT_TRUE(Eventually([&] { return Succeed({"docker", "logs", "box"}) == "started\n"; }));
  EXPECT_EQ(Succeed({"docker", "ps", "--filter", "label=kind=test", "--format", "{{.Names}}"}),
            "box\n");
  EXPECT_THAT(Skiff({"docker", "rm", "box"}), ExitsWith(1));
  EXPECT_EQ(Succeed({"docker", "rm", "-f", "box"}), "box\n");
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "");
  ExpectNothingLeft();
}

TEST_F(DockerTest, NamesAreUnique) {
  Succeed({"docker", "run", "-d", "--init", "--name", "box", "busybox:latest", "sleep", "1000"});
  EXPECT_THAT(Skiff({"docker", "run", "-d", "--name", "box", "busybox:latest", "true"}),
              ExitsWith(125));
}

TEST_F(DockerTest, LimitsUserAndCapabilities) {
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "-u", "1000:1000", "-w", "/tmp", "busybox:latest",
                     "sh", "-c", "id -u; id -g; pwd"}),
            "1000\n1000\n/tmp\n");
  const auto capabilities = [&](Words flags) {
    Words words = {"docker", "run", "--rm"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.insert(words.end(), {"busybox:latest", "sh", "-c", "grep CapEff /proc/self/status"});
    return Succeed(words);
  };
  EXPECT_EQ(capabilities({}), "CapEff:\t00000000a80425fb\n");
  EXPECT_EQ(capabilities({"--cap-drop", "ALL", "--cap-add", "CHOWN"}),
            "CapEff:\t0000000000000001\n");
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "--ulimit", "nofile=100:200", "busybox:latest", "sh",
                     "-c", "ulimit -n; ulimit -Hn"}),
            "100\n200\n");
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "--sysctl", "net.ipv4.ip_forward=0", "busybox:latest",
                     "cat", "/proc/sys/net/ipv4/ip_forward"}),
            "0\n");
}

// What the default isolation hides and forbids.
TEST_F(DockerTest, DefaultIsolation) {
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "busybox:latest", "sh", "-c",
                     "echo $$; ps | wc -l; hostname | wc -c"}),
            "1\n4\n13\n");
  const Outcome mount =
      Skiff({"docker", "run", "--rm", "busybox:latest", "mount", "-t", "tmpfs", "none", "/tmp"});
  EXPECT_NE(mount.exit_code, 0) << mount;
  EXPECT_NE(Skiff({"docker", "run", "--rm", "busybox:latest", "sh", "-c",
                   "echo 1 > /proc/sys/kernel/printk"})
                .exit_code,
            0);
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "busybox:latest", "sh", "-c",
                     "cat /proc/kcore /proc/timer_list 2>/dev/null | wc -c; ls /proc/acpi "
                     "/sys/firmware 2>/dev/null | grep -v :"
                     " | wc -w; grep Seccomp: /proc/self/status"}),
            "0\n0\nSeccomp:\t2\n");
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "--privileged", "busybox:latest", "sh", "-c",
                     "grep Seccomp: /proc/self/status"}),
            "Seccomp:\t0\n");
}

TEST_F(DockerTest, Images) {
  EXPECT_THAT(LineSet(Succeed({"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"})),
              ElementsAre("busybox:latest"));
  Succeed({"image", "tag", "busybox:latest", "other:1"});
  EXPECT_THAT(LineSet(Succeed({"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"})),
              ElementsAre("busybox:latest", "other:1"));
  const std::string id = Succeed({"image", "inspect", "-f", "{{.Id}}", "other:1"});
  EXPECT_THAT(id, ::testing::MatchesRegex("sha256:[0-9a-f]{64}\n"));
  EXPECT_EQ(Succeed({"image", "inspect", "-f", "{{.Id}}", "busybox"}), id);
  EXPECT_THAT(Succeed({"image", "rm", "other:1"}), HasSubstr("Untagged: other:1"));
  EXPECT_THAT(LineSet(Succeed({"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"})),
              ElementsAre("busybox:latest"));
  EXPECT_THAT(Succeed({"image", "rm", "busybox:latest"}), HasSubstr("Deleted: sha256:"));
  EXPECT_EQ(Succeed({"image", "ls", "-q"}), "");
  EXPECT_THAT(Skiff({"image", "inspect", "busybox"}), ExitsWith(1));
}

// Two pairs of roots on one machine know nothing of each other.
TEST_F(DockerTest, TwoRootsSideBySide) {
  WriteProject(R"(name: twin
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    ports: ["${PORT}:80"]
)");
  environment()["PORT"] = "18098";
  Succeed({"up", "-d"});
  ProcessOptions other;
  other.environment = MakeRoots("other-");
  other.environment["PORT"] = "18099";
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}, other), "");
  Succeed({"up", "-d"}, other);
  EXPECT_NE(Succeed({"ps", "-q"}), Succeed({"ps", "-q"}, other));
  const std::string field = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
  EXPECT_NE(Succeed({"docker", "inspect", "-f", field, "twin-web-1"}),
            Succeed({"docker", "inspect", "-f", field, "twin-web-1"}, other));
  Succeed({"down"}, other);
  EXPECT_EQ(Inspect("twin-web-1", "{{.State.Running}}"), "true");
  EXPECT_EQ(Succeed({"exec", "-T", "web", "echo", "alive"}), "alive\n");
}

}  // namespace
}  // namespace skiff::e2e
