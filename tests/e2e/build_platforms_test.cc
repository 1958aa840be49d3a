// One build for several platforms: kept under one name, pushed and written as a list of images.

#include <nlohmann/json.hpp>

#include "tests/e2e/support/build_fixture.h"

namespace skiff::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

// The tools run here, what they make is for elsewhere.
constexpr const char* kFile =
    "FROM --platform=$BUILDPLATFORM busybox AS tool\n"
    "ARG TARGETARCH\n"
    "RUN echo made for $TARGETARCH > /made\n"
    "FROM scratch\n"
    "ARG TARGETPLATFORM\n"
    "LABEL platform=$TARGETPLATFORM\n"
    "COPY --from=tool /made /made\n";

class BuildPlatformsTest : public BuildFixture {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteFile("Dockerfile", kFile);
  }
  Outcome Build(const Words& flags) {
    Words words = {"docker", "build", "--network", "none", "--progress=plain"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back(".");
    return Skiff(words);
  }
  std::string MustBuild(const Words& flags) {
    const Outcome outcome = Build(flags);
    EXPECT_THAT(outcome, Succeeds()) << outcome;
    return outcome.err;
  }
  Json Blob(const std::string& layout, const Json& digest) {
    return Json::parse(
        ReadProjectFile(layout + "/blobs/sha256/" + digest.get<std::string>().substr(7)));
  }
  // "linux/arm64" of each entry of a list.
  static std::vector<std::string> Platforms(const Json& index) {
    std::vector<std::string> platforms;
    for (const Json& entry : index["manifests"]) {
      const Json& platform = entry["platform"];
      std::string text = platform["os"].get<std::string>() + "/" +
                         platform["architecture"].get<std::string>();
      if (platform.contains("variant")) text += "/" + platform["variant"].get<std::string>();
      platforms.push_back(text);
    }
    return platforms;
  }
  size_t ImageCount(Words flags) {
    Words words = {"docker", "images", "-q"};
    words.insert(words.end(), flags.begin(), flags.end());
    return Lines(Succeed(words)).size();
  }
  std::string Architecture(const std::string& image) {
    return Succeed({"docker", "image", "inspect", image, "--format", "{{.Architecture}}"});
  }
};

TEST_F(BuildPlatformsTest, OneNameStandsForAllOfThem) {
  const std::string progress =
      MustBuild({"--platform", "linux/amd64,linux/arm64", "--platform", "linux/arm/v7",
                 "--platform", "linux/arm64", "-t", "app"});
  EXPECT_THAT(progress, HasSubstr("[linux/amd64 tool 2/2] RUN echo made for amd64"));
  EXPECT_THAT(progress, HasSubstr("[linux/amd64->arm64 tool 2/2] RUN echo made for arm64"));
  EXPECT_THAT(progress, HasSubstr("[linux/arm/v7 stage-1 1/1] COPY --from=tool"));
  EXPECT_EQ(Architecture("app"), "amd64\n");
  EXPECT_EQ(ImageCount({}), 2u);  // With busybox.
  EXPECT_EQ(ImageCount({"-a"}), 4u);
  // They are nobody's leftovers.
  Succeed({"docker", "image", "prune", "-f"});
  EXPECT_EQ(ImageCount({"-a"}), 4u);
  const std::string again =
      MustBuild({"--platform", "linux/arm64,linux/arm/v7,linux/amd64", "-t", "app"});
  EXPECT_EQ(Cached(again), 6u) << again;
  EXPECT_EQ(ImageCount({"-a"}), 4u);
  // A second name keeps them, too; the last one takes them along.
  Succeed({"docker", "tag", "app", "again"});
  Succeed({"docker", "rmi", "app"});
  EXPECT_EQ(ImageCount({"-a"}), 4u);
  Succeed({"docker", "rmi", "again"});
  EXPECT_EQ(ImageCount({"-a"}), 1u);
}

TEST_F(BuildPlatformsTest, OneOfThemIsNotRemovedAlone) {
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "app"});
  const std::string host = Succeed({"docker", "image", "inspect", "app", "--format", "{{.Id}}"});
  std::string other;
  for (const std::string& id : Lines(Succeed({"docker", "images", "-aq", "--no-trunc"}))) {
    if (Architecture(id) == "arm64\n") other = id;
  }
  ASSERT_NE(other, "");
  EXPECT_THAT(Skiff({"docker", "rmi", other}).err,
              HasSubstr("image is one of the platforms of app:latest"));
  Succeed({"docker", "rmi", "-f", other});
  EXPECT_EQ(ImageCount({"-a"}), 2u);
  EXPECT_EQ(Succeed({"docker", "image", "inspect", "app", "--format", "{{.Id}}"}), host);
  Succeed({"system", "check"});
}

TEST_F(BuildPlatformsTest, OneThatHasANameOfItsOwnStaysWithoutIt) {
  MustBuild({"--platform", "linux/arm64", "-t", "alone"});
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "app"});
  const std::string alone =
      Succeed({"docker", "image", "inspect", "alone", "--format", "{{.Id}}"});
  Succeed({"docker", "rmi", "alone"});
  EXPECT_EQ(Succeed({"docker", "image", "inspect", Lines(alone).at(0), "--format", "{{.Id}}"}),
            alone);
  Succeed({"system", "check"});
  Succeed({"docker", "save", "app", "-o", project_directory() + "/app.tar"});
  Succeed({"docker", "rmi", "app"});
  EXPECT_EQ(ImageCount({"-a"}), 1u);
}

TEST_F(BuildPlatformsTest, FilesOfEachHaveAFolder) {
  MustBuild({"--platform", "linux/amd64,linux/arm/v7", "-o", "out"});
  EXPECT_EQ(ReadProjectFile("out/linux_amd64/made"), "made for amd64\n");
  EXPECT_EQ(ReadProjectFile("out/linux_arm_v7/made"), "made for arm\n");
  MustBuild({"--platform", "linux/arm64", "-o", "type=local,dest=one"});
  EXPECT_EQ(ReadProjectFile("one/made"), "made for arm64\n");
  MustBuild({"--platform", "linux/arm64", "-o", "type=local,dest=split,platform-split=true"});
  EXPECT_EQ(ReadProjectFile("split/linux_arm64/made"), "made for arm64\n");
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-o", "type=tar,dest=both.tar"});
  const std::string tar = ReadProjectFile("both.tar");
  for (const char* text : {"linux_amd64/made", "made for amd64", "linux_arm64/made",
                           "made for arm64"}) {
    EXPECT_THAT(tar, HasSubstr(text));
  }
  EXPECT_EQ(ImageCount({"-a"}), 1u);
}

TEST_F(BuildPlatformsTest, ALayoutHasAList) {
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "app:1", "--annotation",
             "index,manifest[linux/arm64]:note=yes", "-o",
             "type=oci,dest=layout,tar=false,annotation-index-descriptor.of=list"});
  const Json entry = Json::parse(ReadProjectFile("layout/index.json"))["manifests"][0];
  EXPECT_EQ(entry["annotations"],
            (Json{{"of", "list"}, {"org.opencontainers.image.ref.name", "1"}}));
  const Json list = Blob("layout", entry["digest"]);
  EXPECT_THAT(Platforms(list), ElementsAre("linux/amd64", "linux/arm64"));
  EXPECT_EQ(list["annotations"], (Json{{"note", "yes"}}));
  EXPECT_FALSE(Blob("layout", list["manifests"][0]["digest"]).contains("annotations"));
  EXPECT_EQ(Blob("layout", list["manifests"][1]["digest"])["annotations"],
            (Json{{"note", "yes"}}));
  EXPECT_EQ(ImageCount({"-a"}), 1u);
  // As a context each platform of a build gets its own of it.
  WriteFile("Dockerfile", "FROM base\nCOPY Dockerfile /\n");
  MustBuild({"--platform", "linux/amd64,linux/arm64", "--build-context",
             "base=oci-layout://" + project_directory() + "/layout:1", "-o", "out"});
  EXPECT_EQ(ReadProjectFile("out/linux_amd64/made"), "made for amd64\n");
  EXPECT_EQ(ReadProjectFile("out/linux_arm64/made"), "made for arm64\n");
}

TEST_F(BuildPlatformsTest, AnArchiveHasThemAllAndIsLoadedForThisMachine) {
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "app", "-o", "type=oci,dest=app.tar"});
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "app"});
  Succeed({"docker", "save", "app", "-o", project_directory() + "/saved.tar"});
  for (const char* file : {"app.tar", "saved.tar"}) {
    EXPECT_THAT(ReadProjectFile(file), HasSubstr(R"("architecture":"arm64")")) << file;
    Skiff({"docker", "rmi", "-f", "app"});
    Succeed({"docker", "load", "-i", project_directory() + "/" + file});
    EXPECT_EQ(Architecture("app"), "amd64\n") << file;
  }
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "app"});
  const std::string one = project_directory() + "/one.tar";
  Succeed({"docker", "save", "--platform", "linux/arm64", "app", "-o", one});
  EXPECT_THAT(ReadProjectFile("one.tar"), Not(HasSubstr(R"("architecture":"amd64")")));
  Succeed({"docker", "rmi", "app"});
  Succeed({"docker", "load", "-i", one});
  EXPECT_EQ(Architecture("app"), "arm64\n");
  EXPECT_THAT(Skiff({"docker", "save", "--platform", "linux/s390x", "app", "-o", one}).err,
              HasSubstr("no image of app is for linux/s390x"));
  EXPECT_THAT(Build({"--platform", "linux/amd64,linux/arm64", "-o", "type=docker,dest=x.tar"}).err,
              HasSubstr("docker exporter does not currently support exporting manifest lists"));
}

TEST_F(BuildPlatformsTest, ARegistryGetsAListAndEachPlatformItsBase) {
  if (!Registry::Installed()) GTEST_SKIP() << "docker-registry is not installed";
  const std::string base = StartRegistry() + "/base:1";
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", base, "--push"});
  Succeed({"docker", "rmi", base});
  WriteFile("Dockerfile", "FROM " + base + "\nCOPY Dockerfile /\n");
  const Words both = {"--platform", "linux/amd64,linux/arm64", "-o", "out"};
  for (const char* action : {"error", "kill"}) {
    environment()["SKIFF_FAILPOINTS"] = std::string("build.keep_base=") + action;
    EXPECT_FALSE(Build(both).ok()) << action;
    environment().erase("SKIFF_FAILPOINTS");
    Succeed({"docker", "images"});
    Succeed({"system", "check"});
  }
  MustBuild(both);
  EXPECT_EQ(ReadProjectFile("out/linux_amd64/made"), "made for amd64\n");
  EXPECT_EQ(ReadProjectFile("out/linux_arm64/made"), "made for arm64\n");
  // The name means what runs here, and nothing has been left without one.
  EXPECT_EQ(Architecture(base), "amd64\n");
  EXPECT_EQ(ImageCount({"-a"}), 2u);
  // The other base is in the cache of builds: the registry is not needed again.
  StopRegistry();
  EXPECT_THAT(MustBuild(both), HasSubstr("[linux/arm64 2/2] COPY Dockerfile /"));
  Succeed({"docker", "builder", "prune", "-af"});
  const Outcome without = Build(both);
  EXPECT_THAT(without, ExitsWith(1));
  EXPECT_THAT(without.err, HasSubstr("the image of this name here is for linux/amd64, not "
                                     "linux/arm64"));
  // What failed left nothing behind.
  EXPECT_EQ(ImageCount({"-a"}), 2u);
}

TEST_F(BuildPlatformsTest, ABaseOfThisStoreIsTakenByPlatform) {
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "base"});
  WriteFile("Dockerfile", "FROM base\nCOPY Dockerfile /\n");
  MustBuild({"--platform", "linux/arm64", "-t", "app"});
  EXPECT_EQ(Architecture("app"), "arm64\n");
  EXPECT_EQ(Succeed({"docker", "image", "inspect", "app", "--format",
                     "{{index .Config.Labels \"platform\"}}"}),
            "linux/arm64\n");
}

TEST_F(BuildPlatformsTest, AContainerIsMadeFromTheImageOfItsPlatform) {
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "app"});
  const auto platform_of = [&](const Words& flags) {
    Words words = {"docker", "create", "--network", "none", "--pull", "never"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.insert(words.end(), {"app", "/made"});
    const std::string id = Lines(Succeed(words)).at(0);
    const std::string label =
        Succeed({"docker", "inspect", id, "--format", "{{index .Config.Labels \"platform\"}}"});
    Succeed({"docker", "rm", id});
    return label;
  };
  EXPECT_EQ(platform_of({}), "linux/amd64\n");
  EXPECT_EQ(platform_of({"--platform", "linux/arm64"}), "linux/arm64\n");
  environment()["DOCKER_DEFAULT_PLATFORM"] = "linux/arm64";
  EXPECT_EQ(platform_of({}), "linux/arm64\n");
  EXPECT_THAT(Skiff({"docker", "create", "--pull", "never", "--platform", "linux/s390x", "app"}).err,
              HasSubstr("image with reference app was found but its platform (linux/amd64) does not "
                        "match the specified platform (linux/s390x)"));
}

TEST_F(BuildPlatformsTest, AServiceRunsTheImageOfItsPlatform) {
  MustBuild({"--platform", "linux/amd64,linux/arm64", "-t", "app"});
  const auto create = [&](const std::string& platform) {
    WriteProject("name: p\nservices:\n  web:\n    image: app\n    command: [/made]\n"
                 "    network_mode: none\n    pull_policy: never\n" +
                 (platform.empty() ? "" : "    platform: " + platform + "\n"));
    return Skiff({"--progress", "plain", "create"});
  };
  const auto made_for = [&] {
    return Inspect("p-web-1", "{{.Config.Image}} {{index .Config.Labels \"platform\"}}");
  };
  ASSERT_THAT(create("linux/arm64"), Succeeds());
  EXPECT_EQ(made_for(), "app linux/arm64");
  const Outcome again = create("linux/arm64");
  EXPECT_THAT(again.err, Not(HasSubstr("Recreate"))) << again;
  ASSERT_THAT(create(""), Succeeds());
  EXPECT_EQ(made_for(), "app linux/amd64");
  const Outcome missing = create("linux/s390x");
  EXPECT_THAT(missing, ExitsWith(1));
  EXPECT_THAT(missing.err, HasSubstr("no such image: 'app', which service 'web' runs"));
  EXPECT_THAT(missing.err,
              HasSubstr("it is here for linux/amd64, not for the service's platform linux/s390x"));
  EXPECT_THAT(create("linux/nothing").err, HasSubstr("unknown operating system or architecture"));
  Succeed({"down", "-t", "0"});
}

TEST_F(BuildPlatformsTest, AProgramOfAnotherMachineIsExplained) {
  WriteFile("sh", std::string("\x7f" "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0", 24) +
                      std::string(104, '\0'));
  WriteFile("Dockerfile", "FROM scratch\nCOPY --chmod=755 sh /bin/sh\nRUN true\n");
  const Outcome built = Build({"--platform", "linux/arm64"});
  EXPECT_THAT(built, ExitsWith(1));
  EXPECT_THAT(built.err, HasSubstr("the step is for linux/arm64: its programs run here only with "
                                   "an emulator registered in binfmt_misc"));
}

TEST_F(BuildPlatformsTest, ACacheIsWrittenForAllOfThem) {
  const std::string folder = project_directory() + "/cache";
  MustBuild({"--platform", "linux/amd64,linux/arm64", "--cache-to",
             "type=local,mode=max,dest=" + folder, "-t", "app"});
  Succeed({"docker", "rmi", "app"});
  Succeed({"docker", "builder", "prune", "-af"});
  const std::string again = MustBuild({"--platform", "linux/amd64,linux/arm64", "--cache-from",
                                       "type=local,src=" + folder, "-t", "app"});
  EXPECT_EQ(Cached(again), 4u) << again;
}

TEST_F(BuildPlatformsTest, ServicesAreBuiltForAllAndRunFromOne) {
  UseDefaultBridge();
  WriteFile("Dockerfile", std::string(kFile) + "CMD [\"/made\"]\n");
  WriteProject(
      "services:\n"
      "  web:\n"
      "    image: web\n"
      "    build:\n"
      "      context: .\n"
      "      platforms: [linux/arm64, linux/amd64]\n");
  const Outcome built = Skiff({"--progress", "plain", "build"});
  ASSERT_THAT(built, Succeeds()) << built;
  EXPECT_THAT(built.err, HasSubstr("[web linux/arm64 stage-1 1/1] COPY"));
  EXPECT_EQ(Architecture("web"), "amd64\n");
  EXPECT_EQ(ImageCount({"-a"}), 3u);
  // To run it one is enough.
  Succeed({"docker", "rmi", "web"});
  const Outcome created = Skiff({"--progress", "plain", "create", "--build"});
  ASSERT_THAT(created, Succeeds()) << created;
  EXPECT_THAT(created.err, Not(HasSubstr("arm64")));
  EXPECT_EQ(ImageCount({"-a"}), 2u);
  environment()["DOCKER_DEFAULT_PLATFORM"] = "linux/s390x";
  EXPECT_THAT(Skiff({"build"}).err, HasSubstr("build.platforms does not support value set by "
                                              "DOCKER_DEFAULT_PLATFORM: linux/s390x"));
  environment()["DOCKER_DEFAULT_PLATFORM"] = "linux/arm64";
  MustBuild({"-t", "other"});
  EXPECT_EQ(Architecture("other"), "arm64\n");
  Succeed({"down", "-t", "0"});
}

}  // namespace
}  // namespace skiff::e2e
