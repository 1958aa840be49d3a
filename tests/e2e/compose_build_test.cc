// `build:` of services: `skiff build`, and what `up`, `create` and `run` build first.

#include <filesystem>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ComposeBuildTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    UseDefaultBridge();
    environment()["COMPOSE_PROJECT_NAME"] = "p";
  }
  std::string ImageId(const std::string& image) {
    return Succeed({"docker", "image", "inspect", image, "--format", "{{.Id}}"});
  }
  static size_t Count(const std::string& text, std::string_view what) {
    size_t count = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
      ++count;
    return count;
  }
};

TEST_F(ComposeBuildTest, UpBuildsWhatIsMissingAndOnlyThat) {
  WriteFile("web/Dockerfile", "FROM busybox\nCOPY page /page\nCMD [\"sleep\", \"1000\"]\n");
  WriteFile("web/page", "one\n");
  WriteProject("services:\n  web:\n    build: web\n    init: true\n");
  EXPECT_THAT(Skiff({"up", "-d", "--no-build"}), ExitsWith(1));
  Succeed({"up", "-d"});
  EXPECT_EQ(Succeed({"exec", "-T", "web", "cat", "/page"}), "one\n");
  const std::string first = Inspect("p-web-1", "{{.Id}}");
  WriteFile("web/page", "two\n");
  // The image is there: nothing is built, nothing is recreated.
  Succeed({"up", "-d"});
  EXPECT_EQ(Inspect("p-web-1", "{{.Id}}"), first);
  Succeed({"up", "-d", "--build"});
  EXPECT_EQ(Succeed({"exec", "-T", "web", "cat", "/page"}), "two\n");
  const std::string second = Inspect("p-web-1", "{{.Id}}");
  EXPECT_NE(second, first);
  Succeed({"up", "-d", "--build"});
  EXPECT_EQ(Inspect("p-web-1", "{{.Id}}"), second);
  Succeed({"down", "-t", "0"});
}

TEST_F(ComposeBuildTest, EveryKeyReachesTheBuild) {
  WriteFile("src/Docker.file",
            "ARG BASE=none\nFROM $BASE AS first\nARG COLOR\nARG SIZE=small\n"
            "RUN echo $COLOR $SIZE > /args\n"
            "RUN --mount=type=secret,id=key,target=/k cp /k /key\n"
            "RUN grep -q 10.1.2.3 /etc/hosts && df -k /dev/shm | grep -q 2048 && echo ok > /run\n"
            "COPY --from=extra x /extra\n"
            "FROM scratch AS second\n");
  WriteFile("other/x", "x\n");
  WriteFile("key.txt", "sesame\n");
  WriteProject(
      "services:\n"
      "  app:\n"
      "    image: named:1\n"
      "    command: [cat, /args, /key, /run, /extra]\n"
      "    build:\n"
      "      context: src\n"
      "      dockerfile: Docker.file\n"
      "      target: first\n"
      "      args: {BASE: busybox, COLOR: red}\n"
      "      labels: {a.b: c}\n"
      "      tags: [other:2]\n"
      "      additional_contexts: {extra: ./other}\n"
      "      secrets: [key]\n"
      "      extra_hosts: [\"far=10.1.2.3\"]\n"
      "      shm_size: 2m\n"
      "secrets:\n  key: {file: key.txt}\n");
  Succeed({"build", "--build-arg", "SIZE=large"});
  EXPECT_EQ(Succeed({"run", "--rm", "-T", "app"}), "red large\nsesame\nok\nx\n");
  EXPECT_EQ(ImageId("named:1"), ImageId("other:2"));
  EXPECT_EQ(Succeed({"docker", "image", "inspect", "named:1", "--format",
                     "{{index .Config.Labels \"a.b\"}} {{index .Config.Labels "
                     "\"com.docker.compose.service\"}}"}),
            "c app\n");
  EXPECT_THAT(Succeed({"build", "--print"}), HasSubstr("\"dockerfile\": \"Docker.file\""));
  Succeed({"down", "-t", "0"});
}

TEST_F(ComposeBuildTest, EqualStepsOfServicesRunOnceAndServicesWaitForEachOther) {
  WriteProject(
      "services:\n"
      "  a: &s\n"
      "    build:\n"
      "      dockerfile_inline: |\n"
      "        FROM busybox\n"
      "        RUN cat /proc/sys/kernel/random/uuid > /id; echo ra''n\n"
      "  b: *s\n"
      "  c: *s\n"
      "  user:\n"
      "    build:\n"
      "      additional_contexts: {base: \"service:a\"}\n"
      "      dockerfile_inline: |\n"
      "        FROM base\n"
      "        RUN cp /id /copied\n"
      "  of_name:\n"
      "    build:\n"
      "      dockerfile_inline: |\n"
      "        FROM p-b\n"
      "        RUN cp /id /again\n");
  const Outcome built = Skiff({"--progress", "plain", "build"});
  ASSERT_THAT(built, Succeeds());
  EXPECT_EQ(Count(built.err, " ran\n"), 1U) << built.err;
  const std::string id = Succeed({"docker", "run", "--rm", "p-c", "cat", "/id"});
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "p-user", "cat", "/copied"}), id);
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "p-of_name", "cat", "/again"}), id);
  // All of it once more: nothing is done, the images stay.
  const std::string before = ImageId("p-user");
  EXPECT_EQ(Count(Skiff({"--progress", "plain", "build"}).err, " ran\n"), 0U);
  EXPECT_EQ(ImageId("p-user"), before);
  EXPECT_EQ(Count(Skiff({"--progress", "plain", "build", "--no-cache"}).err, " ran\n"), 1U);
}

TEST_F(ComposeBuildTest, AFailureNamesItsPlaceAndStartsNothing) {
  WriteFile("bad/Dockerfile", "FROM busybox\nRUN echo oh no; false\n");
  WriteProject("services:\n  web: {image: busybox, command: sleep 1000}\n  bad: {build: bad}\n");
  const Outcome outcome = Skiff({"up", "-d"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("bad/Dockerfile:2:1: error: process \"/bin/sh -c echo oh no; "
                                     "false\" did not complete successfully: exit code: 1"));
  EXPECT_THAT(outcome.err, HasSubstr(" > [bad 2/2] RUN echo oh no; false:"));
  EXPECT_EQ(Succeed({"ps", "-aq"}), "");
  WriteProject(
      "services:\n"
      "  a: {build: {context: ., additional_contexts: {x: \"service:b\"}, dockerfile_inline: "
      "\"FROM x\"}}\n"
      "  b: {build: {context: ., additional_contexts: {x: \"service:a\"}, dockerfile_inline: "
      "\"FROM x\"}}\n");
  const Outcome cycle = Skiff({"build"});
  EXPECT_THAT(cycle, Not(Succeeds()));
  EXPECT_THAT(cycle.err, HasSubstr("a"));
}

TEST_F(ComposeBuildTest, CheckTellsWhatIsWrongWithEachFile) {
  WriteFile("good/Dockerfile", "FROM busybox\nCMD [\"true\"]\n");
  WriteFile("bad/Dockerfile", "FROM not/here\nCMD true\n");
  WriteProject("services:\n  good: {build: good}\n  bad: {build: bad}\n");
  const Outcome all = Skiff({"build", "--check"});
  EXPECT_THAT(all, ExitsWith(1)) << all;
  EXPECT_THAT(all.out, HasSubstr("bad\nCheck complete, 1 warning has been found!\n"));
  EXPECT_THAT(all.out, HasSubstr("WARNING: JSONArgsRecommended"));
  EXPECT_THAT(all.out, HasSubstr("\ngood\nCheck complete, no warnings found.\n"));
  EXPECT_EQ(Succeed({"build", "--check", "good"}), "Check complete, no warnings found.\n");
  WriteFile("bad/Dockerfile", "FROM busybox\nRUNN true\n");
  EXPECT_THAT(Skiff({"build", "--check"}).err, HasSubstr("unknown instruction: RUNN"));
  EXPECT_THAT(Skiff({"docker", "image", "inspect", "p-good"}), ExitsWith(1));
}

TEST_F(ComposeBuildTest, AttestationsThatNobodyMakesAreSaid) {
  WriteFile("Dockerfile", "FROM busybox\nCMD true\n");
  WriteProject("services:\n  web: {build: .}\n");
  EXPECT_THAT(Skiff({"build", "--provenance=false", "--sbom=false"}), Succeeds());
  EXPECT_THAT(Skiff({"build", "--sbom=true"}).err, HasSubstr("(sbom) cannot be made"));
  const Outcome built =
      Skiff({"docker", "build", "--progress=plain", "--attest",
             "type=provenance,mode=min,inline-only=true", "--attest", "type=sbom,disabled=true",
             "."});
  EXPECT_THAT(built, Succeeds()) << built;
  EXPECT_THAT(built.err, HasSubstr("warning: the provenance of the image is not attested"));
  EXPECT_THAT(built.err, HasSubstr("\n 1 warning found (use --check to expand):\n"
                                   " - JSONArgsRecommended: "));
  EXPECT_THAT(built.err, HasSubstr("(line 2)\n"));
}

}  // namespace
}  // namespace skiff::e2e
