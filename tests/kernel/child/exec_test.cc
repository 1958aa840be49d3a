#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/text.h"
#include "engine-core/capabilities.h"
#include "tests/kernel/child/container_fixture.h"

namespace skiff::engine::child {
namespace {

class ExecTest : public ContainerTest {
 protected:
  void StartContainer(RuntimeSpec spec) {
    spec_ = std::move(spec);
    init_ = Start(spec_);
    ASSERT_EQ(init_.error, "");
  }
  void TearDown() override {
    if (init_.process.pid > 0) {
      kill(init_.process.pid, SIGKILL);
      Finish(std::move(init_));
    }
    ContainerTest::TearDown();
  }
  ExecSpec Script(const std::string& script) const {
    ExecSpec exec;
    exec.args = {"sh", "-c", script};
    exec.environment = spec_.environment;
    return exec;
  }
  Outcome Exec(const ExecSpec& exec) { return Finish(StartExecIn(spec_, init_, exec)); }

  RuntimeSpec spec_;
  Running init_;
};

TEST_F(ExecTest, RunsInAllNamespacesOfTheContainer) {
  StartContainer(MakeSpec({"sleep", "1000"}));
  const Outcome outcome =
      Exec(Script("hostname; for n in mnt uts ipc pid cgroup; do readlink /proc/self/ns/$n; done; "
                  "ls /bin/busybox; test $$ -lt 100 && echo own; exit 5"));
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.exit_code, 5);
  std::string expected = "box\n";
  for (const char* name : {"mnt", "uts", "ipc", "pid", "cgroup"}) {
    expected +=
        std::filesystem::read_symlink("/proc/" + std::to_string(init_.process.pid) + "/ns/" + name)
            .string() +
        "\n";
  }
  EXPECT_EQ(outcome.output, expected + "/bin/busybox\nown\n");
  EXPECT_EQ(std::filesystem::read_symlink("/proc/self/ns/pid_for_children"),
            std::filesystem::read_symlink("/proc/self/ns/pid"));
}

// Whatever lies on top of the container's root is where setns(2) and "/.." lead.
class RootOfTest : public ExecTest, public ::testing::WithParamInterface<OverlayMethod> {};

TEST_P(RootOfTest, NothingLiesOnTopOfTheContainersRoot) {
  WriteImageFile("/mark", "container\n");
  ForceOverlayMethodForTesting(GetParam());
  Running init = Start(ShellSpec("cat /../mark; cd /..; cat mark; exec sleep 1000"));
  if (GetParam() == OverlayMethod::kFsconfig &&
      init.error.find("by fsconfig") != std::string::npos) {
    Finish(std::move(init));
    GTEST_SKIP() << "this kernel has no lowerdir+ (Linux 6.7)";
  }
  ASSERT_EQ(init.error, "");
  char buffer[20];
  EXPECT_EQ(read(init.output.get(), buffer, 10), 10);
  EXPECT_EQ(std::string(buffer, 10), "container\n");
  EXPECT_EQ(read(init.output.get(), buffer, 10), 10);
  EXPECT_EQ(std::string(buffer, 10), "container\n");
  spec_ = MakeSpec({"sleep", "1000"});
  init_ = std::move(init);
  EXPECT_EQ(Exec(Script("cat /mark /../mark; grep -c ' / / ' /proc/self/mountinfo")).output,
            "container\ncontainer\n1\n");
}

INSTANTIATE_TEST_SUITE_P(Methods, RootOfTest,
                         ::testing::Values(OverlayMethod::kAutomatic, OverlayMethod::kFsconfig,
                                           OverlayMethod::kMount));

TEST_F(ExecTest, HasTheContainersRightsAndNoMore) {
  StartContainer(MakeSpec({"sleep", "1000"}));
  ExecSpec exec = Script("grep -E '^(Cap|Seccomp:|NoNew)' /proc/self/status");
  EXPECT_EQ(Exec(exec).output,
            "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
            "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
  exec.user = "alice";
  EXPECT_EQ(Exec(exec).output,
            "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
            "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
  exec.user = "";
  exec.privileged = true;
  const std::string privileged = Exec(exec).output;
  EXPECT_EQ(privileged.rfind("CapInh:\t0000000000000000\n", 0), 0u) << privileged;
  EXPECT_EQ(privileged.find("a80425fb"), privileged.npos) << privileged;
  EXPECT_NE(privileged.find("Seccomp:\t2"), privileged.npos) << privileged;
}

TEST_F(ExecTest, ShowsOnlyStandardDescriptors) {
  StartContainer(MakeSpec({"sleep", "1000"}));
  const Outcome outcome =
      Exec(Script("for f in /proc/self/fd/*; do test -e $f && echo ${f##*/}; done; true"));
  EXPECT_EQ(outcome.output, "0\n1\n2\n");
}

TEST_F(ExecTest, ResolvesUserFolderAndProgramInside) {
  StartContainer(MakeSpec({"sleep", "1000"}));
  ExecSpec exec = Script("id -u; pwd; echo $HOME");
  exec.user = "alice";
  exec.cwd = "/srv/made";
  EXPECT_EQ(Exec(exec).output, "1000\n/srv/made\n/home/alice\n");
  exec = Script("");
  exec.args = {"nothing"};
  Outcome outcome = Exec(exec);
  EXPECT_EQ(outcome.error, "exec: \"nothing\": executable file not found in $PATH");
  EXPECT_EQ(outcome.exit_code, 127);
  for (int number = 3; number < 20; ++number) {
    exec = Script("pwd");
    exec.cwd = "/proc/self/fd/" + std::to_string(number);
    EXPECT_FALSE(Exec(exec).executed) << exec.cwd;
  }
}

TEST_F(ExecTest, EndsWithTheContainer) {
  StartContainer(MakeSpec({"sleep", "1000"}));
  Running exec = StartExecIn(spec_, init_, Script("sleep 1000"));
  ASSERT_EQ(exec.error, "");
  ASSERT_EQ(kill(init_.process.pid, SIGKILL), 0);
  EXPECT_EQ(Finish(std::move(exec)).exit_code, 137);
  EXPECT_EQ(Finish(std::move(init_)).exit_code, 137);
  init_ = Running();
}

TEST_F(ExecTest, CannotBeSeenBeforeItRuns) {
  // A process of the container that opens memory and descriptors of everybody, all the time.
  RuntimeSpec spec = ShellSpec(
      "while :; do for p in /proc/[0-9]*; do test $p = /proc/1 && continue; "
      "ls -l $p/fd 2>/dev/null | grep -E 'socket|pidfd|anon_inode|cgroup' && echo LEAK; done; "
      "done");
  spec.capabilities = kDefaultCapabilities;
  StartContainer(spec);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Exec(Script("exit 3")).exit_code, 3);
  ASSERT_EQ(kill(init_.process.pid, SIGKILL), 0);
  EXPECT_EQ(Finish(std::move(init_)).output, "");
  init_ = Running();
}

// ---- terminals ---------------------------------------------------------------------------------

TEST_F(ExecTest, GivesInitATerminal) {
  RuntimeSpec spec = ShellSpec(
      "tty; stat -c '%t' /dev/console; readlink /proc/self/fd/0; echo > /dev/tty && echo ctty; "
      "stat -c %u /dev/pts/0; awk '{print ($7 != 0)}' /proc/1/stat");
  spec.tty = true;
  for (const bool init : {false, true}) {
    spec.use_init = init;
    const Outcome outcome = Run(spec);
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.output, "/dev/pts/0\r\n88\r\n/dev/pts/0\r\n\r\nctty\r\n0\r\n1\r\n");
  }
  spec.args = {"stat", "-c", "%u", "/dev/pts/0"};
  spec.user = "alice";
  EXPECT_EQ(Run(spec).output, "1000\r\n");
}

TEST_F(ExecTest, GivesAnExecATerminal) {
  StartContainer(MakeSpec({"sleep", "1000"}));
  ExecSpec exec = Script("tty; stty size; echo > /dev/tty && echo ctty");
  exec.tty = true;
  exec.rows = 33;
  exec.columns = 77;
  const Outcome outcome = Exec(exec);
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.output, "/dev/pts/0\r\n33 77\r\n\r\nctty\r\n");
}

TEST_F(ExecTest, RefusesAForgedTerminal) {
  // Root inside replaces the way to ptmx by a link to the host's terminals of its choice.
  RuntimeSpec spec = MakeSpec({"sleep", "1000"});
  spec.capabilities = AvailableCapabilities();
  spec.seccomp = false;
  StartContainer(spec);
  ASSERT_EQ(Exec(Script("umount /dev/pts && rm -r /dev/pts && ln -s /tmp /dev/pts && "
                        "ln -s /dev/null /tmp/ptmx"))
                .exit_code,
            0);
  ExecSpec exec = Script("true");
  exec.tty = true;
  EXPECT_EQ(Exec(exec).error, "cannot open '/dev/pts/ptmx': Too many levels of symbolic links");
}

// ---- our init ----------------------------------------------------------------------------------

TEST_F(ExecTest, InitForwardsSignalsAndReaps) {
  RuntimeSpec spec = ShellSpec(
      "trap 'echo term; exit 9' TERM; (sleep 0.01 &) ; echo ready; while :; do sleep 0.01; done");
  spec.use_init = true;
  Running running = Start(spec);
  ASSERT_EQ(running.error, "");
  char buffer[6];
  ASSERT_EQ(read(running.output.get(), buffer, 6), 6);
  ASSERT_EQ(kill(running.process.pid, SIGTERM), 0);
  const Outcome outcome = Finish(std::move(running));
  EXPECT_EQ(outcome.output, "term\n");
  EXPECT_EQ(outcome.exit_code, 9);
}

TEST_F(ExecTest, InitEndsWithTheStatusOfItsProgram) {
  RuntimeSpec spec = ShellSpec("kill -TERM $$");
  spec.use_init = true;
  EXPECT_EQ(Run(spec).exit_code, 143);
  spec.args = {"sh", "-c", "exit 42"};
  EXPECT_EQ(Run(spec).exit_code, 42);
}

TEST_F(ExecTest, InitIsDockersInPs) {
  RuntimeSpec spec =
      ShellSpec("cat /proc/1/comm; readlink /proc/1/exe; test $$ -gt 1 && echo child");
  spec.use_init = true;
  EXPECT_EQ(Run(spec).output, "docker-init\nchild\n");
}

}  // namespace
}  // namespace skiff::engine::child
