// --cache-from and --cache-to: what one machine has built is not built again by another.

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/e2e/support/build_fixture.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

// The first stage leaves a lot behind that the image does not need.
constexpr const char* kFile =
    "FROM busybox AS build\n"
    "COPY a.txt /a\n"
    "RUN head -c 3000000 /dev/urandom > /big; cat /a > /made\n"
    "FROM busybox\n"
    "COPY --from=build /made /made\n"
    "RUN cat /made > /seen\n"
    "WORKDIR /work\n";

class BuildCacheTest : public BuildFixture {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteFile("Dockerfile", kFile);
    WriteFile("a.txt", "first\n");
  }
  // What there is to see of the build.
  std::string Build(Words flags, const std::map<std::string, std::string>& roots = {}) {
    Words words = {"docker", "build", "--network", "none", "--progress=plain"};
    if (std::ranges::count(flags, "-t") == 0) words.insert(words.end(), {"-t", "app"});
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back(".");
    ProcessOptions options;
    options.environment = roots.empty() ? environment() : roots;
    const Outcome outcome = Skiff(words, options);
    EXPECT_THAT(outcome, Succeeds()) << outcome;
    return outcome.err;
  }
  std::string LayersOf(const std::map<std::string, std::string>& roots = {}) {
    ProcessOptions options;
    options.environment = roots.empty() ? environment() : roots;
    return Succeed({"image", "inspect", "-f", "{{json .RootFS.Layers}}", "app"}, options);
  }
};

TEST_F(BuildCacheTest, AFolderHoldsStepsOfAllStages) {
  Build({"--cache-to", "type=local,dest=cache,mode=max"});
  const auto other = MakeRoots("other");
  const std::string again = Build({"--cache-from", "type=local,src=cache"}, other);
  EXPECT_EQ(Cached(again), 5u) << again;
  // The three layers of the image: the large one is of no use to anybody.
  EXPECT_THAT(again, HasSubstr("[internal] fetching 3 cached layers from "));
  EXPECT_EQ(LayersOf(other), LayersOf());
  ProcessOptions there;
  there.environment = other;
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "--network", "none", "app", "cat", "/seen"}, there),
            "first\n");
  // What has been fetched is here.
  const std::string third_time = Build({"--cache-from", "type=local,src=cache"}, other);
  EXPECT_EQ(Cached(third_time), 5u) << third_time;
  EXPECT_THAT(third_time, Not(HasSubstr("fetching")));
  // A change after the first step: what it stands on is fetched and nothing else.
  const auto third = MakeRoots("third");
  WriteFile("a.txt", "second\n");
  const std::string changed = Build({"--cache-from", "type=local,src=cache"}, third);
  EXPECT_EQ(Cached(changed), 0u) << changed;
  EXPECT_THAT(changed, Not(HasSubstr("fetching")));
}

TEST_F(BuildCacheTest, AFolderTakesManyCachesAndLosesNone) {
  Build({"--cache-to", "type=local,dest=cache,tag=one"});
  const Json before = Json::parse(ReadProjectFile("cache/index.json"));
  WriteFile("a.txt", "second\n");
  Build({"--cache-to", "type=local,dest=cache,tag=two", "--cache-to", "type=local,dest=cache"});
  const Json after = Json::parse(ReadProjectFile("cache/index.json"));
  EXPECT_EQ(after["manifests"].size(), 3u);
  EXPECT_EQ(after["manifests"][0], before["manifests"][0]);
  // The same again: nothing new.
  Build({"--cache-to", "type=local,dest=cache,tag=two"});
  EXPECT_EQ(Json::parse(ReadProjectFile("cache/index.json"))["manifests"].size(), 3u);
  const std::string digest = before["manifests"][0]["digest"];
  WriteFile("a.txt", "first\n");
  const auto other = MakeRoots("other");
  const std::string by_digest =
      Build({"--cache-from", "type=local,src=cache,digest=" + digest}, other);
  // mode=min: the first stage is not part of it.
  EXPECT_EQ(Cached(by_digest), 3u) << by_digest;
}

TEST_F(BuildCacheTest, ARegistryHoldsACache) {
  if (!Registry::Installed()) GTEST_SKIP() << "docker-registry is not installed";
  const std::string name = StartRegistry() + "/app:cache";
  const std::string first = Build({"--cache-to", "type=registry,ref=" + name + ",mode=max"});
  EXPECT_THAT(first, HasSubstr("exporting cache to registry"));
  const auto other = MakeRoots("other");
  const std::string again = Build({"--cache-from", name}, other);
  EXPECT_THAT(again, HasSubstr("importing cache manifest from " + name));
  EXPECT_EQ(Cached(again), 5u) << again;
  EXPECT_EQ(LayersOf(other), LayersOf());
}

TEST_F(BuildCacheTest, AnImageCarriesTheCacheOfItsLayers) {
  if (!Registry::Installed()) GTEST_SKIP() << "docker-registry is not installed";
  const std::string name = StartRegistry() + "/app:1";
  Build({"-t", name, "--build-arg", "BUILDKIT_INLINE_CACHE=1", "--push"});
  const auto other = MakeRoots("other");
  const std::string again = Build({"--cache-from", "type=registry,ref=" + name}, other);
  EXPECT_EQ(Cached(again), 3u) << again;
  // The image of that name here comes first.
  ProcessOptions there;
  there.environment = other;
  Succeed({"docker", "tag", "app", "mine"}, there);
  const std::string local = Build({"--cache-from", "mine", "--cache-to", "type=inline"}, other);
  EXPECT_THAT(local, HasSubstr("importing cache manifest from mine"));
}

TEST_F(BuildCacheTest, ACacheThatCannotBeReadIsPassedOver) {
  const std::string progress =
      Build({"--cache-from", "type=local,src=nowhere", "--cache-from", "type=gha",
             "--cache-from", "127.0.0.1:1/x", "--cache-to", "type=gha"});
  EXPECT_THAT(progress, HasSubstr("cannot open the OCI layout '" + project_directory()));
  EXPECT_THAT(progress, HasSubstr("ERROR: caches of the type gha are not supported"));
  EXPECT_EQ(Cached(progress), 0u);
}

TEST_F(BuildCacheTest, ACacheThatCannotBeWrittenIsAFailureUnlessAskedOtherwise) {
  WriteFile("file", "");
  const Outcome failed =
      Skiff({"docker", "build", "--network", "none", "--cache-to", "type=local,dest=file/x", "."});
  EXPECT_THAT(failed, ExitsWith(1)) << failed;
  EXPECT_THAT(failed.err, HasSubstr("cannot make folder"));
  Build({"--cache-to", "type=local,dest=file/x,ignore-error=true"});
  EXPECT_THAT(Skiff({"docker", "build", "--network", "none", "--cache-to", "type=lokal,dest=x", "."}).err,
              HasSubstr("unknown cache exporter: lokal"));
}

// What was said about layers and what they are is compared as in every image.
TEST_F(BuildCacheTest, ADamagedCacheChangesNothing) {
  Build({"--cache-to", "type=local,dest=cache,mode=max"});
  const Json index = Json::parse(ReadProjectFile("cache/index.json"));
  const std::string manifest = index["manifests"][0]["digest"].get<std::string>().substr(7);
  const Json layers = Json::parse(ReadProjectFile("cache/blobs/sha256/" + manifest))["layers"];
  for (const Json& layer : layers) {
    const std::string hex = layer["digest"].get<std::string>().substr(7);
    fs::resize_file(project_directory() + "/cache/blobs/sha256/" + hex, 512);
  }
  const auto other = MakeRoots("other");
  const std::string built = Build({"--cache-from", "type=local,src=cache"}, other);
  EXPECT_THAT(built, HasSubstr("; building without this cache"));
  EXPECT_THAT(built, HasSubstr("] RUN ")) << built;
  ProcessOptions there;
  there.environment = other;
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "--network", "none", "app", "cat", "/seen"}, there),
            "first\n");
  // Written once more, it is whole again.
  Build({"--cache-to", "type=local,dest=cache,mode=max"});
  EXPECT_EQ(Cached(Build({"--cache-from", "type=local,src=cache"}, MakeRoots("third"))), 5u);
}

// What one cache has promised and cannot give, another one gives.
TEST_F(BuildCacheTest, ACacheThatHasLostALayerIsGivenUp) {
  Build({"--cache-to", "type=local,dest=cache,mode=max", "--cache-to",
         "type=local,dest=whole,mode=max"});
  for (const auto& blob : fs::directory_iterator(project_directory() + "/cache/blobs/sha256")) {
    // Manifest and configuration stay: what is in the cache can be read.
    if (ReadFile(blob.path().string(), size_t{1} << 30)->front() != '{') fs::remove(blob.path());
  }
  const std::string built = Build({"--cache-from", "type=local,src=cache", "--cache-from",
                                   "type=local,src=whole"}, MakeRoots("other"));
  EXPECT_THAT(built, HasSubstr("; building without this cache"));
  EXPECT_THAT(built, HasSubstr("/whole"));
  const std::string alone =
      Build({"--cache-from", "type=local,src=cache"}, MakeRoots("third"));
  EXPECT_THAT(alone, HasSubstr("; building without this cache"));
}

TEST_F(BuildCacheTest, ComposeFilesNameCaches) {
  WriteProject(
      "name: cached\n"
      "services:\n"
      "  app:\n"
      "    build:\n"
      "      context: .\n"
      "      network: none\n"
      "      cache_to: [\"type=local,dest=cache,mode=max\"]\n"
      "      cache_from: [\"type=local,src=cache\", \"type=gha\"]\n");
  Succeed({"build"});
  const auto other = MakeRoots("other");
  ProcessOptions there;
  there.environment = other;
  const Outcome again = Skiff({"--progress", "plain", "build"}, there);
  EXPECT_THAT(again, Succeeds()) << again;
  EXPECT_EQ(Cached(again.err), 5u) << again.err;
}

TEST_F(BuildCacheTest, BuildPushesServicesThatHaveAName) {
  if (!Registry::Installed()) GTEST_SKIP() << "docker-registry is not installed";
  const std::string name = StartRegistry() + "/app:pushed";
  WriteProject("name: pushed\nservices:\n  app: {image: '" + name +
               "', build: {context: ., network: none}}\n"
               "  nameless: {build: {context: ., network: none}}\n");
  Succeed({"build", "--push"});
  Succeed({"image", "rm", name});
  Succeed({"docker", "pull", name});
}

}  // namespace
}  // namespace skiff::e2e
