// config: the model as skiff understands it, for people and for programs.

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ConfigTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteFile(".env", "TAG=latest\nPORT=18092\n");
    WriteProject(R"(name: model
services:
  web:
    image: busybox:${TAG}
    ports: ["${PORT}:80"]
    environment: [A=1, "B=$$HOME"]
    volumes: ["data:/data:ro"]
  db:
    image: busybox
    command: sleep 1000
    init: true
volumes:
  data:
)");
  }
};

TEST_F(ConfigTest, YamlIsCanonical) {
  EXPECT_EQ(Succeed({"config"}), R"(name: model
services:
  db:
    command:
      - sleep
      - "1000"
    image: busybox
    init: true
    networks:
      default: null
  web:
    environment:
      A: "1"
      B: $$HOME
    image: busybox:latest
    networks:
      default: null
    ports:
      - mode: ingress
        target: 80
        published: "18092"
        protocol: tcp
    volumes:
      - type: volume
        source: data
        target: /data
        read_only: true
        volume: {}
networks:
  default:
    name: model_default
volumes:
  data:
    name: model_data
)");
}

TEST_F(ConfigTest, ItsOwnOutputIsAFixedPoint) {
  const std::string first = Succeed({"config"});
  WriteFile("second.yaml", first);
  EXPECT_EQ(Succeed({"-f", "second.yaml", "config"}), first);
}

TEST_F(ConfigTest, Lists) {
  EXPECT_THAT(LineSet(Succeed({"config", "--services"})), ElementsAre("db", "web"));
  EXPECT_EQ(Succeed({"config", "--volumes"}), "data\n");
  EXPECT_THAT(LineSet(Succeed({"config", "--images"})), ElementsAre("busybox", "busybox:latest"));
  EXPECT_EQ(Succeed({"config", "-q"}), "");
  EXPECT_THAT(Succeed({"config", "--format", "json"}), HasSubstr(R"("image": "busybox:latest")"));
}

TEST_F(ConfigTest, LaterFilesAndVariablesWin) {
  WriteFile("override.yaml", "services:\n  web:\n    environment: {A: two}\n");
  environment()["TAG"] = "musl";
  const std::string text = Succeed({"-f", "compose.yaml", "-f", "override.yaml", "config"});
  EXPECT_THAT(text, HasSubstr("A: two"));
  EXPECT_THAT(text, HasSubstr("busybox:musl"));
}

TEST_F(ConfigTest, HashIsTheContainersLabel) {
  Succeed({"up", "-d", "db"});
  const std::string hash = Succeed({"config", "--hash", "db"});
  EXPECT_EQ(
      hash,
      "db " + Inspect("model-db-1", "{{index .Config.Labels \"com.docker.compose.config-hash\"}}") +
          "\n");
}

TEST_F(ConfigTest, WhatVariablesAndModelsAreIsListed) {
  environment()["FROM_PROCESS"] = "x";
  const std::string listed = Succeed({"config", "--environment"});
  EXPECT_THAT(Lines(listed), ::testing::IsSupersetOf({"COMPOSE_PROJECT_NAME=model",
                                                      "FROM_PROCESS=x", "PORT=18092",
                                                      "TAG=latest"}));
  WriteProject(
      "services:\n  a: {image: x, models: [m]}\n"
      "models:\n  m: {model: ai/one}\n  n: {model: ai/two}\n");
  EXPECT_EQ(Succeed({"config", "--models"}), "ai/one\n");
}

// Services of very short lines that merge what they share and expand to long syntax.
std::string ManyServices(int count) {
  std::string text = R"(x-base: &base
  restart: unless-stopped
  environment: {A: 1, B: two}
  logging: {driver: json-file, options: {max-size: 10m}}
services:
)";
  for (int i = 0; i < count; ++i) {
    text += "  s" + std::to_string(i) + ":\n    <<: *base\n    image: busybox:${TAG:-latest}\n";
    text += "    ports: [\"" + std::to_string(10000 + i) + ":80\"]\n";
    if (i > 0) text += "    depends_on: [s0]\n";
    text += "    volumes:\n      - data:/data\n      - ./x:/y:ro\n";
  }
  return text + "volumes:\n  data:\n";
}

TEST_F(ConfigTest, MemoryIsAtMostTwentyTimesTheFileAndTwentyMebibytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take memory of their own";
#endif
  for (const int count : {1, 1000, 3000}) {
    const std::string text = ManyServices(count);
    WriteProject(text);
    const Outcome outcome = Skiff({"config"});
    EXPECT_THAT(outcome, Succeeds());
    EXPECT_GT(outcome.out.size(), text.size());
    EXPECT_LT(outcome.peak_bytes, static_cast<int64_t>(20 * text.size() + (20u << 20))) << count;
  }
}

TEST_F(ConfigTest, TheSchemaIsPrinted) {
  EXPECT_THAT(Succeed({"config", "--schema"}), HasSubstr("\"$defs\": {"));
  Succeed({"config", "--schema", "-o", "schema.json"});
  EXPECT_EQ(ReadProjectFile("schema.json"), Succeed({"config", "--schema"}));
}

}  // namespace
}  // namespace skiff::e2e
