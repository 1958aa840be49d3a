#include "engine-core/image/config_json.h"

#include <gtest/gtest.h>

namespace skiff::engine::image {
namespace {

TEST(ImageConfigTest, WrittenBytesAreTheOnesOciDescribes) {
  Image image;
  image.created_at = 1'000'000'000;
  image.architecture = "amd64";
  image.os = "linux";
  image.layers = {"sha256:1"};
  image.comment = "imported";
  image.config.command = {"sh"};
  image.config.environment = {"A=b"};
  image.config.exposed_ports = {"80/tcp"};
  image.config.healthcheck = Healthcheck{{"CMD", "true"}, std::chrono::seconds(1), {}, {}, {}, 2};
  EXPECT_EQ(WriteConfig(image),
            R"({"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:01.000000000Z",)"
            R"("config":{"ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Cmd":["sh"],)"
            R"("Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":2}},)"
            R"("rootfs":{"type":"layers","diff_ids":["sha256:1"]},)"
            R"("history":[{"created":"1970-01-01T00:00:01.000000000Z","comment":"imported"}]})");
  const auto read = ReadConfig(WriteConfig(image));
  ASSERT_TRUE(read) << read.error().Text();
  EXPECT_EQ(WriteConfig(*read), WriteConfig(image));
}

TEST(ImageConfigTest, NullsAndStrangersAreRead) {
  const auto read = ReadConfig(
      R"({"architecture":"arm64","config":{"Cmd":null,"Env":["X=1"],"Volumes":{"/v":{}},"New":1}})");
  ASSERT_TRUE(read) << read.error().Text();
  EXPECT_EQ(read->architecture, "arm64");
  EXPECT_EQ(read->config.volumes, std::vector<std::string>{"/v"});
  EXPECT_FALSE(ReadConfig("{\"config\":{\"Env\":7}}"));
  EXPECT_FALSE(ReadConfig("nonsense"));
}

TEST(ImageConfigTest, Manifest) {
  EXPECT_EQ(
      WriteManifest({"sha256:c", 10}, {{"sha256:l", 20}}, "application/vnd.oci.image.layer.v1.tar"),
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
      R"("config":{"mediaType":"application/vnd.oci.image.config.v1+json",)"
      R"("digest":"sha256:c","size":10},)"
      R"("layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",)"
      R"("digest":"sha256:l","size":20}]})");
}

}  // namespace
}  // namespace skiff::engine::image
