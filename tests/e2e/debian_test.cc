// samples/debian: real packages installed by build steps, run together. Long: needs Debian's
// mirror.

#include <cstdlib>
#include <filesystem>

#include "tests/e2e/support/chance.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kPort = 18089;

class DebianTest : public SkiffTest {
 protected:
  void SetUp() override {
    if (!IsLongRun()) GTEST_SKIP() << "SKIFF_LONG is not set";
    // Build steps reach the mirror through the machine's network.
    ::setenv("SKIFF_E2E_HOST_NETWORK", "1", 1);
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    UseDefaultBridge();
    fs::copy(SourceDirectory() + "/samples/debian", project_directory(),
             fs::copy_options::recursive);
    environment()["DEBIAN_PORT"] = std::to_string(kPort);
    const std::string tar = directory() + "/debian.tar";
    const Outcome made =
        RunCommand({SourceDirectory() + "/samples/make-debian-root", tar}, {}, 300s);
    ASSERT_THAT(made, Succeeds()) << made;
    Succeed({"image", "import", tar, "debian:bookworm"});
  }
  // Steps of a build that are not cached.
  std::vector<std::string> StepsDone() {
    const Outcome built = Skiff({"--progress", "plain", "build"}, {}, 400s);
    EXPECT_THAT(built, Succeeds());
    std::map<std::string, std::string> titles;
    std::vector<std::string> done;
    for (const std::string& line : Lines(built.err)) {
      const size_t space = line.find(' ');
      if (line.empty() || line[0] != '#' || space == std::string::npos) continue;
      const std::string number = line.substr(0, space), rest = line.substr(space + 1);
      if (rest.starts_with("[")) titles[number] = rest;
      const bool step =
          titles.contains(number) && titles[number].find(" FROM ") == std::string::npos;
      if (rest.starts_with("DONE") && step && !titles[number].starts_with("[internal]")) {
        done.push_back(titles[number]);
      }
    }
    return done;
  }
  static std::string Get() { return HttpGet("127.0.0.1", kPort); }
};

TEST_F(DebianTest, ThreeImagesAreBuiltAndAnswerTogether) {
  EXPECT_GT(StepsDone().size(), 10U);
  Succeed({"up", "-d", "--wait"});
  EXPECT_THAT(Get(), HasSubstr("visit 1\n"));
  EXPECT_THAT(Get(), HasSubstr("visit 2\n"));
  // Nothing changed: nothing is done.
  EXPECT_EQ(StepsDone(), std::vector<std::string>());
  // One source file: only what it goes into.
  WriteFile("app/words.py", "def answer(count):\n    return f\"{count} visits\\n\"\n");
  const std::vector<std::string> done = StepsDone();
  ASSERT_EQ(done.size(), 4U);  // COPY, compiling, COPY of the result, WORKDIR above it.
  for (const std::string& step : done) EXPECT_TRUE(step.starts_with("[app ")) << step;
  Succeed({"up", "-d", "--wait"});
  EXPECT_THAT(Get(), HasSubstr("3 visits\n"));
  Succeed({"down", "-v", "-t", "5"});
}

}  // namespace
}  // namespace skiff::e2e
