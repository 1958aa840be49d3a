// exec, run, logs and attached up: what a person at a terminal or a pipe sees.

#include <signal.h>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class SessionsTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteProject(R"(name: talk
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    environment: {COLOUR: blue}
    working_dir: /tmp
)");
  }
  static ProcessOptions Terminal() {
    ProcessOptions options;
    options.terminal = true;
    return options;
  }
};

TEST_F(SessionsTest, ExecPassesOnOutputAndExitCode) {
  Succeed({"up", "-d"});
  const Outcome both = Skiff({"exec", "-T", "web", "sh", "-c", "echo out; echo err >&2; exit 42"});
  EXPECT_THAT(both, ExitsWith(42));
  EXPECT_EQ(both.out, "out\n");
  EXPECT_EQ(both.err, "err\n");
  EXPECT_THAT(Skiff({"exec", "-T", "web", "nonesuch"}), ExitsWith(127));
  EXPECT_THAT(Skiff({"exec", "-T", "web", "/etc/passwd"}), ExitsWith(126));
  EXPECT_THAT(Skiff({"exec", "-T", "web", "sh", "-c", "kill -9 $$"}), ExitsWith(137));
  EXPECT_EQ(Succeed({"exec", "-T", "web", "sh", "-c", "pwd; echo $COLOUR"}), "/tmp\nblue\n");
  EXPECT_EQ(Succeed({"exec", "-T", "-e", "COLOUR=red", "-w", "/", "-u", "65534", "web", "sh", "-c",
                     "pwd; echo $COLOUR; id -u"}),
            "/\nred\n65534\n");
  EXPECT_THAT(Skiff({"exec", "-T", "--index", "9", "web", "true"}), ExitsWith(1));
}

TEST_F(SessionsTest, ExecReadsItsInput) {
  Succeed({"up", "-d"});
  ProcessOptions options;
  options.input = "one\ntwo\n";
  EXPECT_EQ(Succeed({"exec", "-T", "web", "cat"}, options), "one\ntwo\n");
}

TEST_F(SessionsTest, ExecWithATerminalHasItsSizeAndFollowsIt) {
  Succeed({"up", "-d"});
  Process shell = StartSkiff({"exec", "web", "sh"}, Terminal());
  ASSERT_TRUE(shell.AwaitOutput("#")) << shell.out();
  shell.Resize(40, 120);
  // The new size arrives by a message: ask until it has.
  shell.Write("until stty size | grep -q '40 120'; do :; done; echo size-$((40 + 2))\n");
  EXPECT_TRUE(shell.AwaitOutput("size-42")) << shell.out();
  shell.Write("exit 7\n");
  EXPECT_THAT(shell.Finish(), ExitsWith(7));
}

TEST_F(SessionsTest, ExecInAStoppedServiceFails) {
  Succeed({"up", "-d"});
  Succeed({"stop"});
  const Outcome outcome = Skiff({"exec", "-T", "web", "true"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("service \"web\" is not running"));
}

TEST_F(SessionsTest, RunPassesOnOutputInputAndExitCode) {
  const Outcome outcome =
      Skiff({"run", "--rm", "-T", "web", "sh", "-c", "echo out; echo err >&2; exit 5"});
  EXPECT_THAT(outcome, ExitsWith(5));
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_THAT(outcome.err, HasSubstr("err\n"));
  ProcessOptions options;
  options.input = "line\n";
  EXPECT_EQ(Succeed({"run", "--rm", "-T", "web", "cat"}, options), "line\n");
  EXPECT_EQ(Succeed({"run", "--rm", "-T", "-e", "COLOUR=red", "web", "sh", "-c", "echo $COLOUR"}),
            "red\n");
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "") << "run --rm left a container";
  EXPECT_THAT(Skiff({"run", "--rm", "-T", "web", "nonesuch"}), ExitsWith(127));
}

TEST_F(SessionsTest, RunWithATerminal) {
  Process shell = StartSkiff({"run", "--rm", "web", "sh"}, Terminal());
  ASSERT_TRUE(shell.AwaitOutput("#")) << shell.out();
  shell.Write("test -t 0 && test -t 1 && echo terminal-$((1 + 1))\n");
  EXPECT_TRUE(shell.AwaitOutput("terminal-2")) << shell.out();
  shell.Write("exit 3\n");
  EXPECT_THAT(shell.Finish(), ExitsWith(3));
}

TEST_F(SessionsTest, VerbsForOneContainerOfAService) {
  WriteProject(R"(name: talk
services:
  web: {image: "busybox:latest", command: sleep 1000, init: true}
  echo: {image: "busybox:latest", command: "sh -c 'read line; echo got $$line; exit 5'", stdin_open: true}
)");
  Succeed({"up", "-d", "--scale", "web=2"});
  Succeed({"exec", "-d", "--index", "2", "web", "sleep", "77"});
  ASSERT_TRUE(Eventually([&] { return Succeed({"top"}).find("sleep 77") != std::string::npos; }));
  const std::vector<std::string> rows = Lines(Succeed({"top", "web"}));
  ASSERT_EQ(rows.size(), 6u);  // Of each the reaper and its child, and what exec has started.
  EXPECT_THAT(rows[0], ::testing::MatchesRegex(
                           "SERVICE +# +UID +PID +PPID +C +STIME +TTY +TIME +CMD"));
  EXPECT_THAT(rows[1], ::testing::StartsWith("web      1   root  "));
  EXPECT_THAT(rows[5], ::testing::MatchesRegex("web +2 +root .* sleep 77"));
  EXPECT_THAT(Lines(Succeed({"docker", "top", "talk-web-1"})).size(), 3u);

  ProcessOptions typed;
  typed.input = "word\n";
  typed.keep_input_open = true;
  const Outcome ended = Skiff({"attach", "echo"}, typed);
  EXPECT_THAT(ended, ExitsWith(5));
  EXPECT_EQ(ended.out, "got word\n");
  EXPECT_THAT(Skiff({"attach", "echo"}).err, HasSubstr("service \"echo\" is not running"));
  EXPECT_THAT(Skiff({"attach", "none"}).err, HasSubstr("no such service: none"));

  Succeed({"exec", "-T", "--index", "2", "web", "sh", "-c", "echo two > /two"});
  Succeed({"commit", "--index", "2", "-m", "kept", "web", "kept:1"});
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "--network", "none", "kept:1", "cat", "/two"}), "two\n");
  Succeed({"stop", "-t", "0", "web"});
  Succeed({"export", "--index", "2", "-o", project_directory() + "/web.tar", "web"});
  EXPECT_EQ(RunCommand({"tar", "-xOf", project_directory() + "/web.tar", "two"}).out, "two\n");
  Succeed({"export", "-o", project_directory() + "/first.tar", "web"});
  EXPECT_NE(RunCommand({"tar", "-xOf", project_directory() + "/first.tar", "two"}).exit_code, 0);
}

TEST_F(SessionsTest, RunWithoutRmLeavesAOneOff) {
  EXPECT_EQ(Succeed({"run", "-T", "web", "echo", "hi"}), "hi\n");
  const std::vector<std::string> names =
      Lines(Succeed({"docker", "ps", "-a", "--format", "{{.Names}}"}));
  ASSERT_EQ(names.size(), 1U);
  EXPECT_THAT(names[0], ::testing::MatchesRegex("talk-web-run-[0-9a-f]{12}"));
}

class LogsTest : public SkiffTest {
 protected:
  // Lines of both streams: each goes where its container wrote it.
  std::multiset<std::string> Both() {
    const Outcome outcome = Skiff({"logs"});
    EXPECT_THAT(outcome, Succeeds());
    return LineSet(outcome.out + outcome.err);
  }
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteProject(R"(name: talk
services:
  a:
    image: busybox:latest
    command: sh -c 'for i in 1 2 3 4 5; do echo a$$i; done; sleep 1000'
    init: true
  long:
    image: busybox:latest
    command: sh -c 'echo long out; echo long err >&2'
)");
    Succeed({"up", "-d"});
    EXPECT_TRUE(Eventually([&] { return Both().size() == 7U; }));
  }
};

TEST_F(LogsTest, LinesHaveAlignedPrefixes) {
  EXPECT_THAT(Both(),
              ElementsAre("a-1     | a1", "a-1     | a2", "a-1     | a3", "a-1     | a4",
                          "a-1     | a5", "long-1  | long err", "long-1  | long out"));
}

TEST_F(LogsTest, TailTimestampsAndNoPrefix) {
  EXPECT_EQ(Succeed({"logs", "--no-log-prefix", "--tail", "2", "a"}), "a4\na5\n");
  EXPECT_EQ(Succeed({"logs", "--no-log-prefix", "-n", "0", "a"}), "");
  const std::vector<std::string> lines =
      Lines(Succeed({"logs", "--no-log-prefix", "-t", "--tail", "1", "a"}));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], ::testing::ContainsRegex("^20[0-9-]+T[0-9:]+\\.[0-9]+Z a5$"));
  EXPECT_EQ(Succeed({"logs", "--since", "2100-01-01T00:00:00Z", "a"}), "");
}

TEST_F(LogsTest, FollowEndsWhenNothingRuns) {
  Process follow = StartSkiff({"logs", "-f", "--no-log-prefix", "a"});
  ASSERT_TRUE(follow.AwaitOutput("a5\n")) << follow.out();
  Succeed({"stop", "a"});
  EXPECT_THAT(follow.Finish(), Succeeds());
}

TEST_F(LogsTest, DockerLogsKeepsStreamsApart) {
  const Outcome outcome = Skiff({"docker", "logs", "talk-long-1"});
  EXPECT_THAT(outcome, Succeeds());
  EXPECT_EQ(outcome.out, "long out\n");
  EXPECT_EQ(outcome.err, "long err\n");
}

class AttachedUpTest : public SkiffTest {
 protected:
  void WriteLoud(const std::string& command) {
    WriteProject(
        "name: talk\nservices:\n  web:\n    image: busybox:latest\n    init: true\n"
        "    stop_grace_period: 20s\n    command: " +
        command + "\n");
  }
};

TEST_F(AttachedUpTest, EndsWithItsContainersAndShowsTheirOutput) {
  WriteLoud("sh -c 'echo hello; exit 0'");
  const Outcome outcome = Skiff({"up"});
  EXPECT_THAT(outcome, Succeeds());
  EXPECT_THAT(outcome.out, HasSubstr("web-1  | hello\n"));
  EXPECT_THAT(outcome.out + outcome.err, HasSubstr("web-1 exited with code 0"));
}

TEST_F(AttachedUpTest, SaysWhatItAttachesToBeforeAnythingStarts) {
  WriteProject(
      "name: talk\nservices:\n  web: &quick\n    image: busybox:latest\n    network_mode: none\n"
      "    command: echo hello\n    scale: 2\n  db: *quick\n  quiet: {<<: *quick, attach: false}\n");
  const auto first_line = [&](const Words& words) {
    const Outcome outcome = Skiff(words);
    EXPECT_THAT(outcome, Succeeds()) << outcome;
    return outcome.out.substr(0, outcome.out.find('\n'));
  };
  EXPECT_EQ(first_line({"up"}), "Attaching to db-1, db-2, web-1, web-2");
  EXPECT_EQ(first_line({"up", "--no-attach", "web"}), "Attaching to db-1, db-2");
  // Those that are replaced have their names still.
  EXPECT_EQ(first_line({"up", "--force-recreate", "--attach", "web"}), "Attaching to web-1, web-2");
}

TEST_F(AttachedUpTest, ExitCodeFrom) {
  WriteLoud("sh -c 'exit 9'");
  EXPECT_THAT(Skiff({"up", "--exit-code-from", "web"}), ExitsWith(9));
}

TEST_F(AttachedUpTest, CtrlCOnceStopsGracefully) {
  WriteLoud("sh -c 'trap \"echo bye; exit 0\" TERM; echo ready; while :; do sleep 0.1; done'");
  ProcessOptions options;
  options.terminal = true;
  Process up = StartSkiff({"up"}, options);
  ASSERT_TRUE(up.AwaitOutput("ready")) << up.out();
  up.Write("\x03");
  EXPECT_TRUE(up.AwaitOutput("Gracefully")) << up.out();
  const Outcome outcome = up.Finish();
  EXPECT_THAT(outcome.exit_code, ::testing::AnyOf(0, 130)) << outcome;
  EXPECT_THAT(outcome.out, HasSubstr("bye"));
  EXPECT_EQ(Inspect("talk-web-1", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0");
}

TEST_F(AttachedUpTest, CtrlCTwiceKills) {
  WriteLoud("sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.1; done'");
  ProcessOptions options;
  options.terminal = true;
  Process up = StartSkiff({"up"}, options);
  ASSERT_TRUE(up.AwaitOutput("ready")) << up.out();
  up.Write("\x03");
  ASSERT_TRUE(up.AwaitOutput("Gracefully")) << up.out();
  up.Write("\x03");
  const Outcome outcome = up.Finish(15s);
  EXPECT_FALSE(outcome.timed_out) << outcome;
  EXPECT_EQ(Inspect("talk-web-1", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
}

TEST_F(AttachedUpTest, ProgressOnATerminalIsLive) {
  WriteLoud("sleep 1000");
  ProcessOptions options;
  options.terminal = true;
  const Outcome outcome = Skiff({"up", "-d"}, options);
  EXPECT_THAT(outcome, Succeeds());
  EXPECT_THAT(outcome.out, HasSubstr("\x1b["));
  EXPECT_THAT(outcome.out, HasSubstr("talk-web-1"));
}

TEST_F(AttachedUpTest, ProgressInAPipeIsPlainAndJsonIsJson) {
  WriteLoud("sleep 1000");
  const Outcome plain = Skiff({"up", "-d"});
  EXPECT_THAT(plain, Succeeds());
  EXPECT_THAT(plain.out + plain.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(plain.out + plain.err, HasSubstr("Container talk-web-1"));
  const Outcome json = Skiff({"--progress", "json", "down", "-t", "0"});
  EXPECT_THAT(json, Succeeds());
  const std::vector<std::string> lines = Lines(json.out + json.err);
  EXPECT_FALSE(lines.empty());
  for (const std::string& line : lines) {
    EXPECT_THAT(line, ::testing::StartsWith("{"));
    EXPECT_THAT(line, ::testing::EndsWith("}"));
  }
}

}  // namespace
}  // namespace skiff::e2e
