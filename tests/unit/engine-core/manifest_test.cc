#include "engine-core/image/manifest.h"

#include <gtest/gtest.h>

namespace skiff::engine::image {
namespace {

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');

Descriptor Entry(const std::string& digest, const Platform& platform) {
  return {std::string(kOciManifest), digest, 10, platform, {}};
}

TEST(ManifestTest, WrittenAndReadBack) {
  Manifest manifest;
  manifest.media_type = kOciManifest;
  manifest.config = {std::string(kOciConfig), kA, 10, {}, {}};
  manifest.layers = {{std::string(kOciLayer), kB, 20, {}, {}}};
  const std::string json = WriteManifest(manifest);
  EXPECT_EQ(json, R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
                  R"("config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
                      kA + R"(","size":10},)" +
                      R"("layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",)" +
                      R"("digest":")" + kB + R"(","size":20}]})");
  const auto read = ReadManifest(json, kOciManifest);
  ASSERT_TRUE(read) << read.error().Text();
  EXPECT_EQ(read->config, manifest.config);
  EXPECT_EQ(read->layers, manifest.layers);
}

TEST(ManifestTest, WhatCouldBeReadInTwoWaysIsRefused) {
  const std::string config = R"("config":{"digest":")" + kA + R"(","size":1})";
  const std::string list = R"("manifests":[])";
  EXPECT_TRUE(ReadManifest("{" + config + "}", kOciManifest));
  EXPECT_TRUE(ReadIndex("{" + list + "}", kOciIndex));
  EXPECT_EQ(ReadManifest("{" + config + "," + list + "}", kOciManifest).error().message,
            "cannot read a manifest: it is a manifest and a list in one");
  EXPECT_FALSE(ReadIndex("{" + config + "," + list + "}", kOciIndex));
  EXPECT_EQ(
      ReadManifest(R"({"mediaType":"application/x",)" + config + "}", kOciManifest).error().message,
      "cannot read a manifest: it came as application/vnd.oci.image.manifest.v1+json and says it "
      "is application/x");
  EXPECT_FALSE(ReadManifest("{" + list + "}", kOciManifest));
}

TEST(ManifestTest, DigestsAndSizesAreCheckedWhereTheyAreRead) {
  for (const char* digest : {"sha256:../../etc/passwd", "sha256:ABC", "md5:aa", ""}) {
    const std::string json =
        R"({"config":{"digest":")" + std::string(digest) + R"(","size":1},"layers":[]})";
    EXPECT_FALSE(ReadManifest(json, "")) << digest;
  }
  EXPECT_FALSE(ReadManifest(R"({"config":{"digest":")" + kA + R"(","size":-1}})", ""));
  EXPECT_FALSE(ReadManifest(R"({"config":{"digest":")" + kA + R"("}})", ""));
  for (const char* size : {"1e300", "1.5", "18446744073709551615", "true", "\"7\""}) {
    EXPECT_FALSE(ReadManifest(R"({"config":{"digest":")" + kA + R"(","size":)" + size + "}}", ""))
        << size;
  }
  std::string many = R"({"config":{"digest":")" + kA + R"(","size":1},"layers":[)";
  for (int i = 0; i <= 500; ++i) {
    many += (i == 0 ? "" : ",") + (R"({"digest":")" + kB) + R"(","size":1})";
  }
  EXPECT_EQ(ReadManifest(many + "]}", "").error().message,
            "cannot read a manifest: it has 501 layers, more than 500");
  EXPECT_FALSE(ReadManifest(std::string(kMaximumManifest + 1, ' '), ""));
  EXPECT_FALSE(ReadManifest("[]", ""));
  EXPECT_FALSE(ReadManifest(R"({"config":7})", ""));
  EXPECT_FALSE(ReadIndex(R"({"manifests":{}})", ""));
}

TEST(ManifestTest, PlatformsAreChosenAsDockerChooses) {
  Index index;
  Descriptor attestation = Entry(kB, {"linux", "amd64", ""});
  attestation.annotations["vnd.docker.reference.type"] = "attestation-manifest";
  index.manifests = {attestation, Entry(kA, {"linux", "arm", "v6"}),
                     Entry(kB, {"linux", "arm", "v7"}), Entry(kA, {"linux", "amd64", ""}),
                     Entry(kB, {"unknown", "unknown", ""})};
  EXPECT_EQ(ChoosePlatform(index, {"linux", "amd64", ""})->digest, kA);
  EXPECT_EQ(ChoosePlatform(index, {"linux", "arm", "v7"})->digest, kB);
  EXPECT_EQ(ChoosePlatform(index, {"linux", "arm", "v6"})->digest, kA);
  EXPECT_EQ(ChoosePlatform(index, {"linux", "s390x", ""}).error().message,
            "no matching manifest for linux/s390x in the manifest list entries");
}

TEST(ManifestTest, PlatformsAreReadAsPeopleWriteThem) {
  EXPECT_EQ(ParsePlatform("linux/amd64")->Text(), "linux/amd64");
  EXPECT_EQ(ParsePlatform("linux/arm64/v8")->Text(), "linux/arm64");
  EXPECT_EQ(ParsePlatform("aarch64")->Text(), "linux/arm64");
  EXPECT_EQ(ParsePlatform("linux/armhf")->Text(), "linux/arm/v7");
  EXPECT_EQ(ParsePlatform("windows/amd64")->Text(), "windows/amd64");
  for (const char* text : {"", "linux/", "linux/nonsense", "a/b/c/d", "nonsense"}) {
    EXPECT_FALSE(ParsePlatform(text)) << text;
  }
}

}  // namespace
}  // namespace skiff::engine::image
