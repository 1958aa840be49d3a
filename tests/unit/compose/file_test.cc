// From a file to a plan: the loader's model is what the planner expects.
#include <cstdlib>

#include "base/diagnostic.h"
#include "schema/load.h"
#include "tests/unit/compose/fixture.h"

namespace skiff::compose {
namespace {

constexpr std::string_view kFile = R"(name: hello
services:
  web:
    image: busybox
    command: ["httpd", "-f"]
    environment:
      DEBUG: "0"
    ports:
      - "127.0.0.1:8080:80"
    depends_on:
      db:
        condition: service_healthy
      prepare:
        condition: service_completed_successfully
    restart: always
  db:
    image: busybox
    volumes:
      - data:/data
    healthcheck:
      test: ["CMD", "true"]
  prepare:
    image: busybox
    volumes:
      - data:/data
volumes:
  data:
)";

class FileTest : public ComposeTest {
 protected:
  FileTest() {
    engine_.SetBehaviour("hello-prepare-1", {.exits_with = 0});
    engine_.SetBehaviour("hello-db-1", {.health = engine::HealthStatus::kHealthy});
  }
  schema::LoadResult Load(std::string text) {
    EXPECT_TRUE(
        WriteFileAtomically(state_dir_ + "/compose.yaml", text, 0600, Durability::kVolatile));
    schema::LoadOptions options;
    options.working_dir = state_dir_;
    schema::LoadResult loaded = schema::LoadProject(options);
    EXPECT_TRUE(loaded.ok()) << FormatDiagnostics(loaded.diagnostics, *loaded.sources);
    return loaded;
  }
  Result<Plan> PlanOf(const schema::LoadResult& loaded, const PlanOptions& options = {}) {
    SKIFF_ASSIGN(const Observed observed, Observe(engine_, loaded.project.name));
    return MakePlan(loaded.project, observed, options);
  }
  std::string TextOf(const schema::LoadResult& loaded, const PlanOptions& options = {}) {
    const auto plan = PlanOf(loaded, options);
    if (plan) return PlanToText(*plan);
    return FormatDiagnostic({Severity::kError, plan.error()}, *loaded.sources);
  }
  static std::string With(const std::string& from, const std::string& to) {
    std::string text(kFile);
    text.replace(text.find(from), from.size(), to);
    return text;
  }
};

TEST_F(FileTest, TheFirstUpOfAFile) {
  ExpectGolden("file_first_up.txt", TextOf(Load(std::string(kFile))));
}

TEST_F(FileTest, TheSecondUpOfAFileHasNothingToDo) {
  const schema::LoadResult loaded = Load(std::string(kFile));
  const auto plan = PlanOf(loaded);
  ASSERT_TRUE(plan);
  ASSERT_TRUE(Execute(*plan, engine_, progress_, {.parallel = 1}));
  EXPECT_EQ(TextOf(Load(std::string(kFile))), "Project \"hello\": nothing to do\n");
}

TEST_F(FileTest, AChangedVariableIsTheCause) {
  const schema::LoadResult loaded = Load(std::string(kFile));
  const auto plan = PlanOf(loaded);
  ASSERT_TRUE(plan);
  ASSERT_TRUE(Execute(*plan, engine_, progress_, {.parallel = 1}));
  ExpectGolden("file_changed_variable.txt", TextOf(Load(With("DEBUG: \"0\"", "DEBUG: \"1\""))));
}

TEST_F(FileTest, ScalingAndDependsOnAreNoChange) {
  const schema::LoadResult loaded = Load(std::string(kFile));
  const auto plan = PlanOf(loaded);
  ASSERT_TRUE(plan);
  ASSERT_TRUE(Execute(*plan, engine_, progress_, {.parallel = 1}));
  const schema::LoadResult scaled =
      Load(With("  db:\n    image", "  db:\n    scale: 2\n    image"));
  const auto plan_scaled = PlanOf(scaled);
  ASSERT_TRUE(plan_scaled);
  EXPECT_EQ(plan_scaled->operations[0].cause, "scale 1 -> 2");
  EXPECT_EQ(plan_scaled->operations[0].name, "hello-db-2");
}

TEST_F(FileTest, AFixedPortThatIsScaledHasItsPlace) {
  ExpectGolden("file_scaled_port.txt", TextOf(Load(std::string(kFile)), {.scale = {{"web", 2}}}));
}

TEST_F(FileTest, AMissingImageHasItsPlace) {
  ExpectGolden("file_missing_image.txt", TextOf(Load(With("image: busybox", "image: nginx:1"))));
}

}  // namespace
}  // namespace skiff::compose
