// compression= of outputs: how layers are written that were made here.

#include <nlohmann/json.hpp>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class BuildCompressionTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // More than a block, compressible, and nowhere the same.
    std::string numbers;
    for (int i = 0; i < 400'000; ++i) numbers += std::to_string(i) + "\n";
    WriteFile("numbers", numbers);
    WriteFile("Dockerfile", "FROM busybox\nCOPY numbers /\n");
  }
  Outcome Build(const std::string& output) {
    return Skiff({"docker", "build", "-t", "app:1", "-o", output, "."});
  }
  // Of the layer on top, as the layout in `folder` describes it.
  Json TopLayer(const std::string& folder) {
    const Json index = Json::parse(ReadProjectFile(folder + "/index.json"));
    const std::string digest = index["manifests"][0]["digest"];
    const Json manifest =
        Json::parse(ReadProjectFile(folder + "/blobs/sha256/" + digest.substr(7)));
    return manifest["layers"].back();
  }
  std::string Blob(const std::string& folder, const Json& layer) {
    return ReadProjectFile(folder + "/blobs/sha256/" + layer["digest"].get<std::string>().substr(7));
  }
  // Its layers come back as they were.
  void ExpectReadable(const std::string& archive) {
    ProcessOptions there;
    there.environment = MakeRoots(archive);
    Succeed({"docker", "load", "-i", project_directory() + "/" + archive}, there);
    EXPECT_EQ(Succeed({"docker", "run", "--rm", "--network", "none", "app:1", "tail", "-n1",
                       "/numbers"},
                      there),
              "399999\n");
  }
};

TEST_F(BuildCompressionTest, EachKindIsWhatItsMediaTypeSays) {
  struct Kind {
    const char* name;
    const char* media_type;
    std::string magic;
  };
  const Kind kinds[] = {
      {"gzip", "application/vnd.oci.image.layer.v1.tar+gzip", "\x1f\x8b\x08"},
      {"zstd", "application/vnd.oci.image.layer.v1.tar+zstd", "\x28\xb5\x2f\xfd"},
      {"uncompressed", "application/vnd.oci.image.layer.v1.tar", "numbers"},
  };
  for (const Kind& kind : kinds) {
    const std::string name = kind.name;
    ASSERT_THAT(Build("type=oci,tar=false,dest=" + name + ",compression=" + name), Succeeds());
    const Json layer = TopLayer(name);
    EXPECT_EQ(layer["mediaType"], kind.media_type);
    const std::string bytes = Blob(name, layer);
    EXPECT_TRUE(bytes.starts_with(kind.magic)) << name;
    EXPECT_EQ(bytes.size(), layer["size"].get<size_t>());
    if (name != "uncompressed") {
      EXPECT_LT(bytes.size(), size_t{1} << 20) << name;
    }
    ASSERT_THAT(Build("type=oci,dest=" + name + ".tar,compression=" + name), Succeeds());
    ExpectReadable(name + ".tar");
  }
  Succeed({"system", "check"});
}

TEST_F(BuildCompressionTest, TheSameLayerIsTheSameBytesAndALevelIsHeeded) {
  ASSERT_THAT(Build("type=oci,tar=false,dest=a,compression=gzip"), Succeeds());
  Succeed({"docker", "builder", "prune", "-af"});
  ASSERT_THAT(Build("type=oci,tar=false,dest=b,compression=gzip"), Succeeds());
  EXPECT_EQ(TopLayer("a")["digest"], TopLayer("b")["digest"]);
  ASSERT_THAT(Build("type=oci,tar=false,dest=c,compression=gzip,compression-level=1"), Succeeds());
  EXPECT_GT(TopLayer("c")["size"], TopLayer("a")["size"]);
}

TEST_F(BuildCompressionTest, WhatCannotBeIsSaidBeforeTheBuild) {
  EXPECT_THAT(Build("type=oci,dest=x.tar,compression=estargz").err,
              HasSubstr("unsupported layer compression type estargz"));
  EXPECT_THAT(Build("type=oci,dest=x.tar,compression=gzip,compression-level=10").err,
              HasSubstr("compression-level 10 is not between 0 and 9"));
  EXPECT_THAT(Build("type=oci,dest=x.tar,compression-level=best").err,
              HasSubstr("non-int value best specified for compression-level"));
  const Outcome forced = Build("type=oci,dest=x.tar,compression=zstd,force-compression=true");
  EXPECT_THAT(forced.err, HasSubstr("layers of base images stay as they came"));
  EXPECT_EQ(forced.err.find("COPY"), std::string::npos) << forced;
}

}  // namespace
}  // namespace skiff::e2e
