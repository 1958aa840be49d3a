// Mistakes: in files, on the command line, on the machine. What is said, and the exit code.

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ErrorsTest : public SkiffTest {};

TEST_F(ErrorsTest, AllMistakesOfAFileAtOnceEachWithItsPlace) {
  WriteProject(R"(name: wrong
services:
  web:
    image: busybox:latest
    comand: sleep 1
    ports: ["80:http"]
  db:
    image: 5
    restart: sometimes
)");
  const Outcome outcome = Skiff({"up", "-d"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("compose.yaml:5:5"), HasSubstr("comand"),
                                 HasSubstr("command"), HasSubstr("^")));
  EXPECT_THAT(outcome.err, HasSubstr("compose.yaml:6:"));
  EXPECT_THAT(outcome.err, HasSubstr("compose.yaml:8:"));
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "");
}

TEST_F(ErrorsTest, ConfigFailsLikeUp) {
  WriteProject("services:\n  web:\n    imag: busybox\n");
  const Outcome outcome = Skiff({"config"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("compose.yaml:3:5"), HasSubstr("imag")));
}

TEST_F(ErrorsTest, NoFile) {
  const Outcome outcome = Skiff({"up", "-d"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("there is no Compose file in"));
}

TEST_F(ErrorsTest, UnknownFlagsAndCommands) {
  WriteProject("services:\n  web: {image: busybox}\n");
  const Outcome flag = Skiff({"up", "--detatch"});
  EXPECT_EQ(flag.exit_code, 1) << flag;
  EXPECT_THAT(flag.err, AllOf(HasSubstr("--detatch"), HasSubstr("--detach")));
  EXPECT_NE(Skiff({"upp"}).exit_code, 0);
  EXPECT_THAT(Skiff({"docker", "run", "--nonesuch", "busybox"}), ExitsWith(125));
}

TEST_F(ErrorsTest, UnknownService) {
  WriteProject("name: wrong\nservices:\n  web: {image: \"busybox:latest\", command: sleep 1}\n");
  const Outcome outcome = Skiff({"up", "-d", "wbe"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("wbe"));
}

TEST_F(ErrorsTest, MissingImage) {
  WriteProject("name: wrong\nservices:\n  web: {image: \"nonesuch:1\"}\n");
  const Outcome outcome = Skiff({"up", "-d"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("nonesuch:1"));
}

TEST_F(ErrorsTest, MissingProgram) {
  WriteProject("name: wrong\nservices:\n  web: {image: \"busybox:latest\", command: nonesuch}\n");
  const Outcome outcome = Skiff({"up", "-d"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("nonesuch"));
  EXPECT_EQ(Inspect("wrong-web-1", "{{.State.ExitCode}}"), "127");
}

TEST_F(ErrorsTest, PortInUse) {
  WriteProject(R"(name: wrong
services:
  a: {image: "busybox:latest", command: sleep 1000, init: true, ports: ["127.0.0.1:18091:80"]}
  b: {image: "busybox:latest", command: sleep 1000, init: true, ports: ["127.0.0.1:18091:80"]}
)");
  Succeed({"up", "-d", "a"});
  const Outcome outcome = Skiff({"up", "-d", "b"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("18091"));
  EXPECT_EQ(Inspect("wrong-a-1", "{{.State.Running}}"), "true");
}

TEST_F(ErrorsTest, ImageInUseIsNotRemoved) {
  WriteProject("name: wrong\nservices:\n  web: {image: \"busybox:latest\", command: sleep 1000}\n");
  Succeed({"up", "-d"});
  EXPECT_THAT(Skiff({"image", "rm", "busybox:latest"}), ExitsWith(1));
  Succeed({"image", "inspect", "busybox:latest"});
}

TEST_F(ErrorsTest, UnhonouredKeyIsALoudWarningWithItsPlace) {
  WriteProject(R"(name: wrong
services:
  web:
    image: busybox:latest
    command: sleep 1000
    init: true
    credential_spec: {file: spec.json}
)");
  const Outcome outcome = Skiff({"up", "-d"});
  EXPECT_THAT(outcome, Succeeds());
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("credential_spec"), HasSubstr("compose.yaml:7:5")));
}

TEST_F(ErrorsTest, VersionAndHelp) {
  EXPECT_THAT(Succeed({"version", "--short"}), ::testing::ContainsRegex("^[0-9]+\\.[0-9]+"));
  EXPECT_THAT(Succeed({"--help"}), HasSubstr("up"));
  EXPECT_THAT(Succeed({"up", "--help"}), HasSubstr("--detach"));
}

}  // namespace
}  // namespace skiff::e2e
