// --annotation and annotation.* of outputs: in manifests and lists, as buildx places them.

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/e2e/support/registry.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class BuildAnnotationsTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteFile("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
  }
  Outcome Build(Words flags) {
    Words words = {"docker", "build"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back(".");
    return Skiff(words);
  }
  Json Layout(const std::string& path) { return Json::parse(ReadProjectFile("layout/" + path)); }
};

TEST_F(BuildAnnotationsTest, ALayoutHasThemInManifestAndList) {
  const Outcome built = Build(
      {"--annotation", "a.b=1", "--annotation", "manifest,manifest-descriptor:both=x=y",
       "--annotation", "manifest[linux/amd64]:here=yes", "--annotation",
       "manifest[linux/s390x]:elsewhere=yes", "-t", "app:1", "-o",
       "type=oci,dest=layout,tar=false,annotation.Own=2,annotation-manifest-descriptor.list=3"});
  ASSERT_THAT(built, Succeeds()) << built;
  const Json entry = Layout("index.json")["manifests"][0];
  EXPECT_EQ(entry["annotations"], (Json{{"both", "x=y"},
                                        {"list", "3"},
                                        {"org.opencontainers.image.ref.name", "1"}}));
  const Json manifest =
      Layout("blobs/sha256/" + entry["digest"].get<std::string>().substr(7));
  EXPECT_EQ(manifest["annotations"],
            (Json{{"Own", "2"}, {"a.b", "1"}, {"both", "x=y"}, {"here", "yes"}}));
  // What is written can be read.
  Succeed({"docker", "build", "--build-context",
           "base=oci-layout://" + project_directory() + "/layout:1", "."});
}

TEST_F(BuildAnnotationsTest, AnArchiveHasThem) {
  const Outcome built =
      Build({"--annotation", "key=value", "-t", "app", "-o", "type=oci,dest=app.tar"});
  ASSERT_THAT(built, Succeeds()) << built;
  EXPECT_THAT(ReadProjectFile("app.tar"), HasSubstr(R"("annotations":{"key":"value"})"));
  Succeed({"image", "load", "-i", project_directory() + "/app.tar"});
}

TEST_F(BuildAnnotationsTest, ARegistryGetsThem) {
  if (!Registry::Installed()) GTEST_SKIP() << "docker-registry is not installed";
  const Registry registry(directory(), "registry");
  const Outcome built =
      Build({"--annotation", "key=value", "-t", registry.host() + "/app", "--push"});
  ASSERT_THAT(built, Succeeds()) << built;
  int annotated = 0;
  for (const auto& file : fs::recursive_directory_iterator(directory() + "/registry")) {
    if (file.path().filename() != "data") continue;
    const auto text = skiff::ReadFile(file.path().string(), size_t{16} << 20);
    annotated += text->find(R"("annotations":{"key":"value"})") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(annotated, 1);
  Succeed({"docker", "pull", registry.host() + "/app"});
}

TEST_F(BuildAnnotationsTest, WhatHasNoPlaceIsSaid) {
  EXPECT_THAT(Build({"--annotation", "key=value"}).err,
              HasSubstr("warning: annotations are part of what is pushed or written by --output"));
  EXPECT_THAT(Build({"-o", "type=image,annotation.key=value"}).err,
              HasSubstr("warning: annotations are part of what is pushed or written by --output"));
  EXPECT_THAT(Build({"--annotation", "key"}).err,
              HasSubstr("invalid annotation \"key\", expected key=value"));
  EXPECT_THAT(Build({"--annotation", "manifst:key=value"}).err,
              HasSubstr("unknown annotation type \"manifst\""));
  // Before anything is built.
  const Outcome of_list =
      Build({"--progress=plain", "--annotation", "index:key=value", "-o", "type=oci,dest=x.tar"});
  EXPECT_THAT(of_list.err,
              HasSubstr("index annotations not supported for single platform export"));
  EXPECT_EQ(of_list.err.find("COPY"), std::string::npos) << of_list;
}

}  // namespace
}  // namespace skiff::e2e
