// cp: files between this machine and containers, running or not.

#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;

class CopyTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteProject(R"(name: copy
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    volumes: [data:/data]
volumes: {data: {}}
)");
    WriteFile("src/a.txt", "hello\n");
    WriteFile("src/sub/x", "x\n");
    ASSERT_EQ(symlink("a.txt", Path("src/link").c_str()), 0);
    ASSERT_EQ(chown(Path("src/a.txt").c_str(), 1234, 2345), 0);
    ASSERT_EQ(chmod(Path("src/a.txt").c_str(), 0640), 0);
  }
  std::string Path(const std::string& name) const { return project_directory() + "/" + name; }
  std::string In(const std::string& script) {
    return Succeed({"exec", "-T", "web", "sh", "-c", script});
  }
};

TEST_F(CopyTest, WhatTheDestinationIsDecidesTheName) {
  Succeed({"up", "-d"});
  Succeed({"cp", "src/a.txt", "web:/tmp/"});
  Succeed({"cp", "src/a.txt", "web:/tmp/b.txt"});
  EXPECT_EQ(In("cd /tmp; stat -c '%n %a %u %g' *"), "a.txt 640 1234 2345\nb.txt 640 1234 2345\n");
  Succeed({"cp", "src", "web:/new"});
  EXPECT_EQ(In("cd /new; find . | sort; readlink link"),
            ".\n./a.txt\n./link\n./sub\n./sub/x\na.txt\n");
  Succeed({"cp", "src", "web:/new"});
  EXPECT_EQ(In("ls /new/src"), "a.txt\nlink\nsub\n") << "the folder was there";
  Succeed({"cp", "src/.", "web:/contents"});
  EXPECT_EQ(In("ls /contents"), "a.txt\nlink\nsub\n");
  Succeed({"cp", "-L", "src/link", "web:/tmp/followed"});
  EXPECT_EQ(In("readlink /tmp/followed || cat /tmp/followed"), "hello\n");

  Succeed({"cp", "web:/new", "out"});
  EXPECT_EQ(ReadProjectFile("out/a.txt"), "hello\n");
  EXPECT_EQ(ReadProjectFile("out/src/sub/x"), "x\n");
  Succeed({"cp", "web:/new", "out"});
  EXPECT_EQ(ReadProjectFile("out/new/a.txt"), "hello\n");
  Succeed({"cp", "web:/new/a.txt", "single"});
  EXPECT_EQ(ReadProjectFile("single"), "hello\n");
  struct stat info {};
  ASSERT_EQ(stat(Path("single").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, geteuid()) << "whoever copies owns the copy";
}

TEST_F(CopyTest, WhatCannotBeCopiedIsSaid) {
  Succeed({"up", "-d"});
  const std::pair<Words, std::string> cases[] = {
      {{"src/none", "web:/"}, "src/none: no such file or directory"},
      {{"web:/none", "."}, "Could not find the file /none in container copy-web-1"},
      {{"src/a.txt", "web:/none/x"}, "Could not find the file /none in container copy-web-1"},
      {{"src/a.txt", "web:/none/"}, "no such directory"},
      {{"web:/etc/passwd", "none/"}, "no such directory"},
      {{"web:/etc/passwd", "no/such/file"}, "/no/such\" does not exist"},
      {{"src", "web:/etc/passwd"}, "cannot copy directory"},
      {{"web:/etc", "src/a.txt"}, "cannot copy directory"},
      {{"src/a.txt", "web:/dev/null"}, "must be a directory or a regular file: got a device"},
      {{"web:/etc", "web:/x"}, "copying between services is not supported"},
      {{"src", "out"}, "unknown copy direction"},
      {{"nonesuch:/x", "."}, "no such service: nonesuch"},
  };
  for (const auto& [words, message] : cases) {
    SCOPED_TRACE(words[0] + " to " + words[1]);
    const Outcome outcome = Skiff({"cp", words[0], words[1]});
    EXPECT_THAT(outcome, ExitsWith(1)) << outcome;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST_F(CopyTest, ArchivesComeAndGoOnStandardStreams) {
  Succeed({"up", "-d", "--scale", "web=2"});
  Succeed({"cp", "src", "web:/data"});
  ProcessOptions options;
  options.input = Succeed({"cp", "web:/data/src", "-"});
  Succeed({"cp", "-", "web:/tmp"}, options);
  for (const char* index : {"1", "2"}) {
    EXPECT_EQ(Succeed({"exec", "-T", "--index", index, "web", "cat", "/tmp/src/sub/x"}), "x\n")
        << "each replica gets it";
  }
}

TEST_F(CopyTest, AContainerThatDoesNotRunHasItsVolumes) {
  Succeed({"create"});
  const auto before = Snapshot();
  Succeed({"cp", "src/a.txt", "web:/data/"});
  Succeed({"cp", "src/a.txt", "web:/etc/own"});
  Succeed({"cp", "web:/data/a.txt", "back"});
  EXPECT_EQ(ReadProjectFile("back"), "hello\n");
  EXPECT_EQ(Snapshot(), before) << "no mount stays";
  Succeed({"start"});
  EXPECT_EQ(In("cat /data/a.txt /etc/own"), "hello\nhello\n");
}

TEST_F(CopyTest, ReadOnlyPlacesStayAsTheyAre) {
  WriteProject(R"(name: copy
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    read_only: true
    user: "65:66"
    volumes: ["data:/data", "data:/fixed:ro"]
volumes: {data: {}}
)");
  Succeed({"create"});
  for (int round = 0; round < 2; ++round) {
    SCOPED_TRACE(round == 0 ? "stopped" : "running");
    Outcome refused = Skiff({"cp", "src/a.txt", "web:/tmp/"});
    EXPECT_THAT(refused, ExitsWith(1));
    EXPECT_THAT(refused.err, HasSubstr("container rootfs is marked read-only"));
    refused = Skiff({"cp", "src/a.txt", "web:/fixed/"});
    EXPECT_THAT(refused, ExitsWith(1));
    EXPECT_THAT(refused.err, HasSubstr("mounted volume is marked read-only"));
    Succeed({"cp", "-a", "src/a.txt", "web:/data/"});
    if (round == 0) Succeed({"start"});
  }
  EXPECT_EQ(In("stat -c '%u %g' /data/a.txt"), "65 66\n") << "with -a the container's user";
}

// What CI does with results: the monitor of the container may still be about to end.
TEST_F(CopyTest, AContainerThatHasJustEndedIsCopiedFrom) {
  for (int round = 0; round < 10; ++round) {
    Succeed({"docker", "run", "--name", "job", "--network", "none", "busybox:latest", "sh", "-c",
             "echo done > /result"});
    Succeed({"docker", "cp", "job:/result", "result"});
    EXPECT_EQ(ReadProjectFile("result"), "done\n");
    Succeed({"docker", "rm", "job"});
  }
}

TEST_F(CopyTest, OneThatIsBeingRestartedIsLeftAlone) {
  Succeed({"docker", "run", "-d", "--name", "again", "--restart", "always", "--network", "none",
           "busybox:latest", "false"});
  ASSERT_TRUE(Eventually([&] { return Inspect("again", "{{.State.Status}}") == "restarting"; }));
  // It may run for a moment: then its files are there.
  const Outcome copied = Skiff({"docker", "cp", "src/a.txt", "again:/a"});
  if (copied.exit_code != 0) {
    EXPECT_THAT(copied.err, HasSubstr("container again is restarting"));
    EXPECT_THAT(copied.err, HasSubstr("wait until it runs, or stop it"));
  }
  Succeed({"docker", "stop", "again"});
  Succeed({"docker", "cp", "src/a.txt", "again:/a"});
  Succeed({"docker", "rm", "again"});
}

TEST_F(CopyTest, CtrlCEndsACopy) {
  Succeed({"up", "-d"});
  // An archive on standard input that does not end.
  ProcessOptions terminal;
  terminal.terminal = true;
  Process copy = StartSkiff({"cp", "-", "web:/tmp"}, terminal);
  ASSERT_TRUE(copy.AwaitOutput("Copying"));
  copy.Write("\x03");
  EXPECT_THAT(copy.Finish(), ExitsWith(130));
}

// Whoever reads says so at once; the person at the pipe need not end it first.
TEST_F(CopyTest, WhatIsNoArchiveIsSaidWhileThePipeIsOpen) {
  Succeed({"up", "-d"});
  ProcessOptions terminal;
  terminal.terminal = true;
  Process copy = StartSkiff({"cp", "-", "web:/tmp"}, terminal);
  ASSERT_TRUE(copy.AwaitOutput("Copying"));
  for (int line = 0; line < 64; ++line) copy.Write(std::string(200, 'x') + "\n");
  EXPECT_TRUE(copy.AwaitOutput("cannot read the archive"));
  EXPECT_THAT(copy.Finish(), ExitsWith(1));
}

// Somebody in the container exchanges a folder for a link out of it all the time (CVE-2018-15664).
TEST_F(CopyTest, LinksThatAreExchangedMeanwhileLeadNowhere) {
  const std::string outside = directory() + "/outside";
  ASSERT_EQ(mkdir(outside.c_str(), 0755), 0);
  WriteFile("secret", "secret\n");
  Succeed({"up", "-d"});
  In("mkdir -p /race/real; echo inside > /race/real/f; ln -s " + outside + " /race/trap; "
     "ln -s " + project_directory() + " /race/peek");
  Process racer = StartSkiff(
      {"exec", "-T", "web", "sh", "-c",
       "cd /race; echo racing; while [ ! -e stop ]; do mv real r1; mv trap real; mv real trap; "
       "mv peek real; mv real peek; mv r1 real; done; echo over"});
  ASSERT_TRUE(racer.AwaitOutput("racing"));
  for (int round = 0; round < 100; ++round) {
    Skiff({"cp", "src/a.txt", "web:/race/real/a.txt"});
    Skiff({"cp", "src", "web:/race/real/"});
    Skiff({"cp", "web:/race/real/secret", "stolen"});
  }
  In("touch /race/stop");
  EXPECT_TRUE(racer.AwaitOutput("over"));
  racer.Finish();
  EXPECT_EQ(rmdir(outside.c_str()), 0) << "something was written outside of the container";
  EXPECT_NE(access(Path("stolen").c_str(), F_OK), 0) << "a file of the machine was read";
  EXPECT_EQ(ReadProjectFile("secret"), "secret\n");
}

TEST_F(CopyTest, DockersWordsTellWhatWasCopied) {
  Succeed({"docker", "run", "-d", "--name", "copied", "--network", "none", "busybox:latest",
           "sleep", "1000"});
  const Outcome quiet = Skiff({"docker", "cp", "src/a.txt", "copied:/tmp/"});
  EXPECT_THAT(quiet, Succeeds());
  EXPECT_EQ(quiet.err, "");
  const Outcome told = Skiff({"docker", "cp", "--quiet=false", "src/a.txt", "copied:/tmp/"});
  EXPECT_EQ(told.err, "Successfully copied 6B (transferred 2.05kB) to copied:/tmp/\n");
  EXPECT_THAT(Skiff({"docker", "cp", "none:/x", "."}).err, HasSubstr("No such container: none"));
  Succeed({"docker", "rm", "-f", "copied"});
}

}  // namespace
}  // namespace skiff::e2e
