#include "builder/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

namespace skiff::builder {
namespace {

struct Planned {
  SourceMap sources;
  Dockerfile file;
  Diagnostics diagnostics;
  Linter linter;
  Result<BuildPlan> plan = Fail(Code::kInternal, "not planned");
};

std::unique_ptr<Planned> Plan(std::string text, PlanOptions options = {}) {
  auto planned = std::make_unique<Planned>();
  const uint32_t file = planned->sources.Add("Dockerfile", std::move(text));
  planned->file = ParseDockerfile(planned->sources, file, planned->diagnostics);
  if (planned->diagnostics.HasErrors()) return planned;
  planned->plan = PlanBuild(planned->file, options, planned->linter);
  return planned;
}

std::vector<std::string> History(const BuildPlan& plan) {
  std::vector<std::string> lines;
  for (const HistoryEntry& entry : plan.result().image.history) {
    lines.push_back((entry.empty_layer ? "- " : "+ ") + entry.created_by);
  }
  return lines;
}

TEST(PlanTest, HistoryIsWrittenAsTheReferenceWritesIt) {
  const auto planned = Plan(
      "FROM alpine\nARG v=1\nENV a=$v b=\"x y\"\nWORKDIR /srv\nRUN make $a \\\n  all\n"
      "COPY --chown=1:2 a b ./\nEXPOSE 80 53/udp\nCMD [\"a\", \"b\"]\n");
  ASSERT_TRUE(planned->plan) << planned->plan.error().message;
  EXPECT_EQ(History(*planned->plan),
            (std::vector<std::string>{"- ARG v=1", "- ENV a=1 b=x y", "+ WORKDIR /srv",
                                      "+ RUN |1 v=1 /bin/sh -c make $a   all # buildkit",
                                      "+ COPY --chown=1:2 a b ./ # buildkit",
                                      "- EXPOSE [53/udp 80/tcp]", "- CMD [\"a\" \"b\"]"}));
  EXPECT_EQ(planned->plan->result().steps.size(), 3U);
}

TEST(PlanTest, OnlyStagesOfTheTargetHaveSteps) {
  const auto planned =
      Plan("FROM a AS one\nRUN x\nFROM b AS two\nRUN y\nFROM scratch\nCOPY --from=one /x /x\n");
  ASSERT_TRUE(planned->plan);
  const BuildPlan& plan = *planned->plan;
  EXPECT_TRUE(plan.stages[0].needed);
  EXPECT_FALSE(plan.stages[1].needed);
  const auto& copy = std::get<CopyStep>(plan.result().steps[0].action);
  EXPECT_EQ(std::get<StageSource>(copy.from).stage, 0U);
}

TEST(PlanTest, TriggersRunInTheChildOnly) {
  const auto planned = Plan("FROM a AS base\nONBUILD RUN x\nFROM base AS child\nFROM child\n");
  ASSERT_TRUE(planned->plan);
  EXPECT_EQ(History(*planned->plan), (std::vector<std::string>{"+ RUN /bin/sh -c x # buildkit"}));
}

TEST(PlanTest, MistakesHaveTheirPlace) {
  struct Row {
    std::string_view text, place, message;
  };
  static constexpr Row kRows[] = {
      {"FROM a\nRUN --mount=type=tmp,target=/x y\n", "Dockerfile:2:13",
       "unsupported mount type \"tmp\" (did you mean tmpfs?)"},
      {"FROM a\nCOPY --from=9 a b\n", "Dockerfile:2:13", "invalid stage index 9"},
      {"FROM $x\n", "Dockerfile:1:6", "base name ($x) should not be blank"},
      {"FROM a AS s\nCOPY --from=s a b\n", "Dockerfile:1:1",
       "circular dependency detected on stage: s"},
  };
  for (const Row& row : kRows) {
    const auto planned = Plan(std::string(row.text));
    ASSERT_FALSE(planned->plan) << row.text;
    EXPECT_EQ(planned->plan.error().message, row.message);
    EXPECT_EQ(planned->sources.Describe(planned->plan.error().span), row.place);
  }
}

TEST(PlanTest, OnlyTheFrontendOfDockerIsSpokenFor) {
  for (const char* known : {"docker/dockerfile:1", "docker.io/docker/dockerfile:1.7-labs",
                            "docker/dockerfile-upstream:master", "dockerfile.v0",
                            "mirror.example/hub/docker/dockerfile:1 # remark"}) {
    const auto planned = Plan(std::string("# syntax=") + known + "\nFROM scratch\n");
    EXPECT_TRUE(CheckFrontend(planned->file, {})) << known;
  }
  const auto foreign = Plan("# syntax=example/frontend:2\nFROM scratch\n");
  const auto checked = CheckFrontend(foreign->file, {});
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message, "the frontend \"example/frontend:2\" is not supported");
  EXPECT_EQ(checked.error().span.offset, 9u);
  // What is asked for comes before what the file says.
  PlanOptions options;
  options.arguments["BUILDKIT_SYNTAX"] = "docker/dockerfile";
  EXPECT_TRUE(CheckFrontend(foreign->file, options));
  options.arguments["BUILDKIT_SYNTAX"] = "example/other";
  EXPECT_FALSE(CheckFrontend(Plan("FROM scratch\n")->file, options));
}

TEST(PlanTest, EveryMistakeOfAFileIsTold) {
  const auto planned = Plan("FROM a\nFNTRYPOINT x\nENV\nRUN ok\nCOPY a\n");
  std::vector<std::string> messages;
  for (const Diagnostic& diagnostic : planned->diagnostics.list()) {
    messages.push_back(planned->sources.Describe(diagnostic.error.span) + " " +
                       diagnostic.error.message);
  }
  EXPECT_EQ(messages,
            (std::vector<std::string>{
                "Dockerfile:2:1 unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)",
                "Dockerfile:3:1 ENV requires at least one argument",
                "Dockerfile:5:6 COPY requires at least two arguments, but only one was provided. "
                "Destination could not be determined"}));
}

TEST(PlanTest, RulesOfStyleHaveTheirLines) {
  const auto planned = Plan("FROM a as B\nMAINTAINER x\nENV token x\nWORKDIR rel\nCMD y $z\n");
  ASSERT_TRUE(planned->plan);
  std::vector<std::pair<std::string_view, uint32_t>> found;
  for (const LintWarning& warning : planned->linter.warnings()) {
    found.emplace_back(InfoOf(warning.rule).name, warning.lines.first);
  }
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found,
            (std::vector<std::pair<std::string_view, uint32_t>>{{"FromAsCasing", 1},
                                                                {"JSONArgsRecommended", 5},
                                                                {"LegacyKeyValueFormat", 3},
                                                                {"MaintainerDeprecated", 2},
                                                                {"SecretsUsedInArgOrEnv", 3},
                                                                {"StageNameCasing", 1},
                                                                {"WorkdirRelativePath", 4}}));
}

}  // namespace
}  // namespace skiff::builder
