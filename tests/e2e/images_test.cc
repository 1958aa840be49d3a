// Images that come and go by file: archives of docker, OCI layouts, plain roots, containers.

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/atomic_file.h"
#include "tests/e2e/support/archive.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

class ImagesTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (!IsSkipped() && !HasFatalFailure()) UseDefaultBridge();
  }
  std::string File(const std::string& name) const { return directory() + "/" + name; }
  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(File(name), bytes, 0600, Durability::kVolatile));
  }
  std::string Bytes(const std::string& name) {
    return ReadFile(File(name), size_t{1} << 30).value_or("");
  }
  // One file of an archive.
  std::string Extract(const std::string& archive, const std::string& path) {
    return RunCommand({"tar", "-xOf", File(archive), path}).out;
  }
  Words Images() {
    const auto set = LineSet(Succeed({"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"}));
    return {set.begin(), set.end()};
  }
  std::string IdOf(const std::string& image) {
    return Lines(Succeed({"image", "inspect", "-f", "{{.Id}}", image})).at(0);
  }
  std::string Run(const std::string& image, const Words& command) {
    Words words = {"docker", "run", "--rm", "--network", "none", image};
    words.insert(words.end(), command.begin(), command.end());
    return Succeed(words);
  }
  // A root with busybox, as a layer.
  std::string BusyboxLayer() {
    const std::string program = ReadFile("/bin/busybox", 16u << 20).value_or("");
    EXPECT_FALSE(program.empty());
    return Tar({{"bin/", "", '5', "", 0755}, {"bin/busybox", program, '0', "", 0755}});
  }
  // Loading `archive` fails with `message` and leaves nothing.
  void ExpectRefused(const std::string& archive, const std::string& message) {
    const Words before = Images();
    Write("refused.tar", archive);
    const Outcome outcome = Skiff({"image", "load", "-i", File("refused.tar")});
    EXPECT_THAT(outcome, ExitsWith(1));
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_EQ(Images(), before);
    Succeed({"image", "prune", "-f"});
    EXPECT_THAT(Skiff({"system", "check"}), Succeeds());
  }
};

TEST_F(ImagesTest, WhatIsSavedIsLoadedAsTheSameImage) {
  const std::string id = IdOf("busybox:latest");
  Succeed({"image", "tag", "busybox:latest", "second/name:2"});
  Succeed({"docker", "save", "-o", File("a.tar"), "busybox:latest", "second/name:2"});
  Succeed({"docker", "save", "-o", File("b.tar"), "busybox:latest", "second/name:2"});
  EXPECT_EQ(Bytes("a.tar"), Bytes("b.tar"));

  const Json manifest = Json::parse(Extract("a.tar", "manifest.json"));
  ASSERT_EQ(manifest.size(), 1u);
  EXPECT_EQ(manifest[0]["Config"], "blobs/sha256/" + id.substr(7));
  EXPECT_EQ(manifest[0]["RepoTags"], Json({"busybox:latest", "second/name:2"}));
  ASSERT_EQ(manifest[0]["Layers"].size(), 1u);
  EXPECT_EQ(Digest(Extract("a.tar", manifest[0]["Config"])), id);
  const Json index = Json::parse(Extract("a.tar", "index.json"));
  ASSERT_EQ(index["manifests"].size(), 2u);
  EXPECT_EQ(index["manifests"][1]["annotations"]["io.containerd.image.name"],
            "docker.io/second/name:2");

  Succeed({"image", "rm", "busybox:latest", "second/name:2"});
  EXPECT_THAT(Images(), IsEmpty());
  EXPECT_EQ(Succeed({"docker", "load", "-i", File("a.tar")}),
            "Loaded image: busybox:latest\nLoaded image: second/name:2\n");
  EXPECT_EQ(IdOf("second/name:2"), id);
  EXPECT_EQ(Run("busybox", {"echo", "there"}), "there\n");
  // Nothing is lost by another turn.
  Succeed({"docker", "save", "-o", File("c.tar"), "busybox:latest", "second/name:2"});
  EXPECT_EQ(Bytes("a.tar"), Bytes("c.tar"));
}

TEST_F(ImagesTest, SaveToStandardOutputLoadFromStandardInput) {
  ProcessOptions options;
  options.input = Succeed({"docker", "save", "busybox"});
  Succeed({"image", "rm", "busybox"});
  EXPECT_EQ(Succeed({"docker", "load"}, options), "Loaded image: busybox:latest\n");
  EXPECT_EQ(Run("busybox", {"echo", "there"}), "there\n");
}

TEST_F(ImagesTest, SaveAsOciLeavesOutWhatIsDockers) {
  Succeed({"image", "save", "--format", "oci", "-o", File("oci.tar"), "busybox"});
  const auto names = LineSet(RunCommand({"tar", "-tf", File("oci.tar")}).out);
  EXPECT_EQ(names.count("manifest.json"), 0u);
  EXPECT_EQ(names.count("index.json"), 1u);
  EXPECT_EQ(names.count("oci-layout"), 1u);
  const std::string id = IdOf("busybox");
  Succeed({"image", "rm", "busybox"});
  // As an archive, compressed, and as a folder.
  ASSERT_THAT(RunCommand({"gzip", "-k", File("oci.tar")}), Succeeds());
  Succeed({"image", "load", "-i", File("oci.tar.gz")});
  EXPECT_EQ(IdOf("busybox"), id);
  Succeed({"image", "rm", "busybox"});
  std::filesystem::create_directory(File("layout"));
  ASSERT_THAT(RunCommand({"tar", "-C", File("layout"), "-xf", File("oci.tar")}), Succeeds());
  Succeed({"image", "load", "-i", File("layout")});
  EXPECT_EQ(IdOf("busybox"), id);
}

TEST_F(ImagesTest, AnUnknownNameIsToldBeforeAFileIsWrittenOver) {
  Write("kept.tar", "precious");
  const Outcome outcome = Skiff({"docker", "save", "-o", File("kept.tar"), "busybox", "nonesuch:3"});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("No such image: nonesuch:3"));
  EXPECT_EQ(Bytes("kept.tar"), "precious");
}

// Folders with layer.tar and a link for a layer that occurs twice, as docker wrote until 24.
TEST_F(ImagesTest, ArchivesOfTheOldFormAreLoaded) {
  const std::string base = BusyboxLayer();
  const std::string top = Tar({{"greeting", "hello\n"}});
  const CraftedImage image = CraftImage({base, top, base});
  const std::string config_name = Digest(image.config).substr(7) + ".json";
  Write("old.tar", Tar({{"aaa/", "", '5', "", 0755},
                        {"aaa/layer.tar", base},
                        {"bbb/", "", '5', "", 0755},
                        {"bbb/layer.tar", top},
                        {"ccc/", "", '5', "", 0755},
                        {"ccc/layer.tar", "", '2', "../aaa/layer.tar"},
                        {config_name, image.config},
                        {"repositories", R"({"old/one":{"1.0":"bbb"}})"},
                        {"manifest.json", R"([{"Config":")" + config_name +
                                              R"(","RepoTags":["old/one:1.0"],"Layers":)"
                                              R"(["aaa/layer.tar","bbb/layer.tar","ccc/layer.tar"]}])"}}));
  EXPECT_EQ(Succeed({"docker", "load", "-i", File("old.tar")}), "Loaded image: old/one:1.0\n");
  EXPECT_EQ(IdOf("old/one:1.0"), Digest(image.config));
  EXPECT_EQ(Run("old/one:1.0", {"/bin/busybox", "cat", "/greeting"}), "hello\n");
}

TEST_F(ImagesTest, AListOfPlatformsGivesThisMachinesOrTheOneAskedFor) {
  const CraftedImage here = CraftImage({BusyboxLayer()});
  const CraftedImage there = CraftImage({Tar({{"other", "machine"}})}, "arm64");
  const CraftedImage proof = CraftImage({Tar({{"proof", "signed"}})}, "unknown");
  const std::string list = OciIndex(
      {there.Descriptor(R"(,"platform":{"architecture":"arm64","os":"linux"})"),
       here.Descriptor(R"(,"platform":{"architecture":"amd64","os":"linux"})"),
       proof.Descriptor(
           R"(,"annotations":{"vnd.docker.reference.type":"attestation-manifest"},)"
           R"("platform":{"architecture":"unknown","os":"unknown"})")});
  std::vector<TarItem> items;
  for (const CraftedImage& image : {here, there, proof}) {
    for (const TarItem& item : image.Blobs()) items.push_back(item);
  }
  items.push_back({"blobs/sha256/" + Digest(list).substr(7), list});
  items.push_back(
      {"index.json",
       OciIndex({R"({"mediaType":"application/vnd.oci.image.index.v1+json","digest":")" +
                 Digest(list) + R"(","size":)" + std::to_string(list.size()) +
                 R"(,"annotations":{"io.containerd.image.name":"docker.io/library/multi:1"}})"})});
  Write("multi.tar", Tar(items));
  EXPECT_EQ(Succeed({"image", "load", "-i", File("multi.tar")}), "Loaded image: multi:1\n");
  EXPECT_EQ(IdOf("multi:1"), Digest(here.config));
  Succeed({"image", "load", "--platform", "linux/arm64", "-i", File("multi.tar")});
  EXPECT_EQ(IdOf("multi:1"), Digest(there.config));
  const Outcome none =
      Skiff({"image", "load", "--platform", "linux/s390x", "-i", File("multi.tar")});
  EXPECT_THAT(none, ExitsWith(1));
  EXPECT_THAT(none.err, HasSubstr("no matching manifest for linux/s390x"));
}

TEST_F(ImagesTest, CommitKeepsWhatAContainerHasChanged) {
  Succeed({"docker", "run", "--name", "box", "-v", "/data", "-e", "A=1", "busybox:latest", "sh",
           "-c", "echo new > /made; rm /etc/passwd; echo secret > /data/file"});
  const std::string id = Lines(
      Succeed({"docker", "commit", "-a", "Ann", "-m", "a change", "-c", "CMD [\"cat\", \"/made\"]",
               "-c", "ENV B=2", "box", "changed:1"}))[0];
  EXPECT_EQ(IdOf("changed:1"), id);
  EXPECT_EQ(Run("changed:1", {}), "new\n");
  EXPECT_EQ(Run("changed:1", {"sh", "-c", "echo $A$B; ls /etc/passwd /data /etc/hosts 2>&1; true"}),
            "12\nls: /etc/passwd: No such file or directory\n/etc/hosts\n\n/data:\n");
  EXPECT_EQ(Succeed({"image", "history", "--format", "{{.Comment}}|{{.CreatedBy}}", "changed:1"})
                .substr(0, 12),
            "a change|sh ");
  EXPECT_EQ(Succeed({"image", "inspect", "-f", "{{.Author}} {{len .RootFS.Layers}}", "changed:1"}),
            "Ann 2\n");
  // It travels: a layer that was made here is packed for it.
  Succeed({"docker", "rm", "box"});
  Succeed({"docker", "save", "-o", File("made.tar"), "changed:1"});
  Succeed({"image", "rm", "changed:1"});
  Succeed({"image", "load", "-i", File("made.tar")});
  EXPECT_EQ(IdOf("changed:1"), id);
  EXPECT_EQ(Run("changed:1", {}), "new\n");
}

TEST_F(ImagesTest, CommitOfARunningContainerLeavesItRunning) {
  Succeed({"docker", "run", "-d", "--init", "--name", "box", "busybox:latest", "sleep", "1000"});
  Succeed({"docker", "exec", "box", "sh", "-c", "echo live > /live"});
  Succeed({"docker", "commit", "box", "live:1"});
  EXPECT_EQ(Inspect("box", "{{.State.Status}}"), "running");
  EXPECT_EQ(Run("live:1", {"cat", "/live"}), "live\n");
  EXPECT_THAT(Skiff({"docker", "commit", "nonesuch"}), ExitsWith(1));
}

TEST_F(ImagesTest, AnExportedContainerIsImported) {
  Succeed({"docker", "run", "--name", "box", "busybox:latest", "sh", "-c",
           "echo kept > /kept; rm /etc/group; mkfifo /pipe; ln -s kept /link"});
  Succeed({"docker", "export", "-o", File("root.tar"), "box"});
  EXPECT_EQ(Extract("root.tar", "kept"), "kept\n");
  Succeed({"docker", "import", "-c", "CMD [\"cat\", \"/link\"]", "-m", "from a container",
           File("root.tar"), "flat:1"});
  EXPECT_EQ(Run("flat:1", {}), "kept\n");
  EXPECT_EQ(Run("flat:1", {"sh", "-c", "ls /etc/group 2>&1; test -p /pipe && echo pipe"}),
            "ls: /etc/group: No such file or directory\npipe\n");
  EXPECT_EQ(Succeed({"image", "inspect", "-f", "{{len .RootFS.Layers}}", "flat:1"}), "1\n");
}

TEST_F(ImagesTest, PruneTakesWhatHasNoNameOrNoUser) {
  const auto commit = [&](const std::string& text) {
    Succeed({"docker", "rm", "-f", "box"});
    Succeed({"docker", "run", "--name", "box", "busybox:latest", "sh", "-c",
             "echo " + text + " > /x"});
    Succeed({"docker", "commit", "box", "made:1"});
  };
  Succeed({"docker", "create", "--name", "box", "busybox:latest", "true"});
  commit("one");
  const std::string first = IdOf("made:1");
  commit("two");  // The first one has no name any more.
  EXPECT_THAT(Succeed({"image", "prune", "-f"}), HasSubstr("deleted: " + first + "\n"));
  EXPECT_THAT(Skiff({"image", "inspect", first}), ExitsWith(1));
  EXPECT_THAT(Images(), ElementsAre("busybox:latest", "made:1"));
  EXPECT_THAT(Succeed({"image", "prune", "-a", "-f"}), HasSubstr("untagged: made:1\n"));
  EXPECT_THAT(Images(), ElementsAre("busybox:latest"));  // The container's.
  EXPECT_THAT(Skiff({"system", "check"}), Succeeds());
}

TEST_F(ImagesTest, WhatIsNotWhatItSaysIsRefusedAndLeavesNothing) {
  const std::string layer = Tar({{"file", "content"}});
  const std::string other = Tar({{"file", "changed"}});
  const CraftedImage good = CraftImage({layer});
  const std::string config = Digest(good.config).substr(7) + ".json";
  const auto docker = [&](const std::string& manifest, const std::string& bytes) {
    return Tar({{config, good.config}, {"layer.tar", bytes}, {"manifest.json", manifest}});
  };
  const std::string manifest = R"([{"Config":")" + config +
                               R"(","RepoTags":["bad:1"],"Layers":["layer.tar"]}])";
  ExpectRefused(docker(manifest, other), "invalid diffID for layer 0");
  ExpectRefused(docker("{}", layer), "manifest.json is no list");
  ExpectRefused(docker("[", layer), "manifest.json: ");
  ExpectRefused(docker(R"([{"Config":")" + config + R"(","RepoTags":["bad:1"],"Layers":[]}])", layer),
                "layers length mismatch: expected 1, got 0");
  ExpectRefused(docker(R"([{"Config":"../../../../etc/hostname","Layers":["layer.tar"]}])", layer),
                "is not in the archive");
  ExpectRefused(docker(R"([{"Config":")" + config +
                           R"(","RepoTags":["Bad Name"],"Layers":["layer.tar"]}])",
                       layer),
                "invalid reference format");
  ExpectRefused(Tar({{"nothing", "of use"}}), "there is neither manifest.json nor index.json");
  ExpectRefused("this is no archive at all", "");

  CraftedImage forged = good;
  const std::string index = OciIndex({good.Descriptor()});
  forged.layers = {layer};
  std::vector<TarItem> items = good.Blobs();
  items.push_back({"index.json", index});
  for (TarItem& item : items) {
    if (item.content == good.config) item.content[item.content.size() - 2] = ' ';
  }
  ExpectRefused(Tar(items), "has another digest");

  // The same without the lie.
  Write("good.tar", docker(manifest, layer));
  EXPECT_EQ(Succeed({"image", "load", "-i", File("good.tar")}), "Loaded image: bad:1\n");
}

}  // namespace
}  // namespace skiff::e2e
