#include "engine-core/image_config.h"

#include <gtest/gtest.h>

namespace skiff::engine {
namespace {

const std::string kLayer = "sha256:" + std::string(64, 'a');

TEST(ImageConfigTest, WrittenBytesAreTheOnesBuildKitWrites) {
  ImageDocument document;
  document.architecture = "arm64";
  document.variant = "v8";
  document.os = "linux";
  document.created_at = 1'000'000'000;
  document.author = "<a@b>";
  document.config.command = {"sh", "-c", "a && b"};
  document.config.environment = {"A=b"};
  document.config.exposed_ports = {"80/tcp"};
  document.config.healthcheck =
      Healthcheck{{"CMD", "true"}, std::chrono::seconds(1), {}, {}, {}, 2};
  document.diff_ids = {kLayer};
  document.history = {{1'000'000'000, "RUN x", "", "buildkit.dockerfile.v0", false},
                      {std::nullopt, "CMD", "", "", true}};
  const std::string bytes = WriteImageDocument(document);
  EXPECT_EQ(bytes,
            R"({"architecture":"arm64","author":"\u003ca@b\u003e",)"
            R"("config":{"ExposedPorts":{"80/tcp":{}},"Env":["A=b"],)"
            R"("Cmd":["sh","-c","a \u0026\u0026 b"],)"
            R"("Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":2}},)"
            R"("created":"1970-01-01T00:00:01.000000000Z",)"
            R"("history":[{"created":"1970-01-01T00:00:01.000000000Z","created_by":"RUN x",)"
            R"("comment":"buildkit.dockerfile.v0"},{"created_by":"CMD","empty_layer":true}],)"
            R"("os":"linux","rootfs":{"type":"layers","diff_ids":[")" +
                kLayer + R"("]},"variant":"v8"})");
  const auto read = ReadImageDocument(bytes);
  ASSERT_TRUE(read) << read.error().Text();
  EXPECT_EQ(WriteImageDocument(*read), bytes);
}

TEST(ImageConfigTest, NullsAndStrangersAreRead) {
  const auto read = ReadImageDocument(
      R"({"architecture":"arm64","config":{"Cmd":null,"Env":["X=1"],"Volumes":{"/v":{}},"New":1}})");
  ASSERT_TRUE(read) << read.error().Text();
  EXPECT_EQ(read->architecture, "arm64");
  EXPECT_EQ(read->config.volumes, std::vector<std::string>{"/v"});
}

TEST(ImageConfigTest, WhatIsNoConfigurationIsRefused) {
  for (const char* json :
       {"{\"config\":{\"Env\":7}}", "nonsense", "[]", "7", "{\"history\":[7]}",
        R"({"rootfs":{"diff_ids":["sha256:../../x"]}})", R"({"rootfs":{"diff_ids":"x"}})"}) {
    EXPECT_FALSE(ReadImageDocument(json)) << json;
  }
}

TEST(ImageConfigTest, CachedStepsAreWrittenWithTheirLayers) {
  ImageDocument document;
  document.diff_ids = {"sha256:" + std::string(64, 'a'), "sha256:" + std::string(64, 'b')};
  document.cache = {{std::string(64, '1'), document.diff_ids[1], 12, 1'500'000'000},
                    {std::string(64, '2'), document.diff_ids[0], 0, 0}};
  const std::string text = WriteImageDocument(document);
  EXPECT_EQ(ReadCachedSteps(text).value(), document.cache);
  EXPECT_TRUE(ReadImageDocument(text));
  document.cache.clear();
  EXPECT_TRUE(ReadCachedSteps(WriteImageDocument(document)).value().empty());
}

TEST(ImageConfigTest, MalformedCachesAreRefused) {
  const std::string key = std::string(64, '1');
  for (const std::string& step : {
           std::string("1"), std::string("{}"),
           R"({"key":"../x","layer":0,"created":"1970-01-01T00:00:00Z"})" + std::string(),
           R"({"key":")" + key + R"(","layer":1,"created":"1970-01-01T00:00:00Z"})",
           R"({"key":")" + key + R"(","layer":-1,"created":"1970-01-01T00:00:00Z"})",
           R"({"key":")" + key + R"(","layer":0,"created":"yesterday"})",
       }) {
    const std::string text = R"({"rootfs":{"diff_ids":["sha256:)" + std::string(64, 'a') +
                             R"("]},"skiff.cache.v1":[)" + step + "]}";
    EXPECT_FALSE(ReadCachedSteps(text)) << text;
  }
  EXPECT_FALSE(ReadCachedSteps("[]x"));
}

}  // namespace
}  // namespace skiff::engine
