#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/identity.h"
#include "engine-core/image/merged_root.h"
#include "engine-core/transfer.h"
#include "tests/kernel/engine-core/engine_fixture.h"
#include "tests/unit/engine-core/tar_builder.h"
#include "volumes/volumes.h"

namespace skiff::engine {
namespace {

using skiff::testing::TarBuilder;

TEST_F(EngineTest, ImagesAreTaggedListedAndRemovedWithTheirLayers) {
  const auto busybox = engine_->InspectImage("busybox");
  ASSERT_TRUE(busybox);
  EXPECT_EQ(busybox->references, std::vector<std::string>{"busybox:latest"});
  EXPECT_EQ(busybox->os, "linux");
  ASSERT_EQ(busybox->layers.size(), 1u);
  EXPECT_EQ(ReadFile(Options().root + "/blobs/sha256/" + busybox->id.substr(7)).has_value(), true);
  ASSERT_TRUE(engine_->TagImage("busybox", "local/copy:1"));
  EXPECT_EQ(engine_->InspectImage(busybox->id.substr(7, 10))->references.size(), 2u);
  const std::string short_id = busybox->id.substr(7, 12);
  EXPECT_EQ(engine_->RemoveImage(busybox->id, false).error().message,
            "conflict: unable to delete " + short_id +
                " (must be forced) - image is referenced in multiple repositories");

  const std::string container = Run(Sleeper("user"));
  const std::string short_container = container.substr(0, 12);
  const auto untagged = engine_->RemoveImage("local/copy:1", false);
  ASSERT_TRUE(untagged) << untagged.error().Text();
  EXPECT_EQ(untagged->untagged, std::vector<std::string>{"local/copy:1"});
  EXPECT_TRUE(untagged->deleted.empty());
  EXPECT_EQ(
      engine_->RemoveImage("busybox", false).error().message,
      "conflict: unable to remove repository reference \"busybox\" (must force) - container " +
          short_container + " is using its referenced image " + short_id);
  EXPECT_EQ(engine_->RemoveImage(busybox->id, true).error().message,
            "conflict: unable to delete " + short_id +
                " (cannot be forced) - image is being used by running container " +
                short_container);
  ASSERT_TRUE(engine_->RemoveContainer("user", {true, false}));
  const auto removed = engine_->RemoveImage("busybox", false);
  ASSERT_TRUE(removed) << removed.error().Text();
  EXPECT_EQ(removed->deleted,
            (std::vector<std::string>{busybox->id, "sha256:" + busybox->layers[0].substr(7)}));
  ASSERT_TRUE(engine_->Commit());
  EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/layers"));
  EXPECT_EQ(engine_->InspectImage("busybox").error().message, "No such image: busybox:latest");
  EXPECT_EQ(engine_->CreateContainer(Sleeper("x")).error().code, Code::kNotFound);
}

TEST_F(EngineTest, BrokenArchiveLeavesNothing) {
  TarBuilder evil;
  evil.File("../../escape", "evil");
  for (const std::string& bytes : {std::string("no tar at all"), evil.Finished()}) {
    const Fd tar = TarBuilder::OpenBytes(bytes);
    EXPECT_FALSE(engine_->ImportImage(tar.get(), {"evil", "", {}, {}}));
  }
  EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/tmp"));
  EXPECT_EQ(engine_->ListImages()->size(), 1u);
}

TEST(MergedRootTest, SeveralLayersAreOneTreeWithoutAMountOnTheHost) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string folder = ::testing::TempDir() + "skiff-merged-" + RandomHex(4);
  const auto mounts_before = ReadFile("/proc/self/mountinfo").value_or("");
  std::vector<std::string> layers;
  for (int i = 0; i < 60; ++i) {
    layers.push_back(folder + "/layer-" + std::to_string(i));
    ASSERT_TRUE(MakeDirectories(layers.back() + "/data", 0755));
    ASSERT_TRUE(WriteFileAtomically(layers.back() + "/data/" + std::to_string(i), "x", 0644,
                                    Durability::kVolatile));
  }
  ASSERT_TRUE(WriteFileAtomically(layers[0] + "/data/same", "top", 0644, Durability::kVolatile));
  ASSERT_TRUE(WriteFileAtomically(layers[5] + "/data/same", "below", 0644, Durability::kVolatile));
  ASSERT_EQ(::mknod((layers[0] + "/data/59").c_str(), S_IFCHR, ::makedev(0, 0)), 0);
  for (const char* name : {"/tmp", "/volumes", "/trash"}) {
    ASSERT_TRUE(MakeDirectories(folder + name, 0755));
  }
  {
    const auto root = image::OpenMergedRoot(layers, folder + "/tmp");
    ASSERT_TRUE(root) << root.error().Text();
    EXPECT_EQ(ReadFile("/proc/self/mountinfo").value_or(""), mounts_before);
    const volumes::VolumeFolders volumes(folder + "/volumes", folder + "/trash");
    ASSERT_TRUE(volumes.Create("data"));
    const auto copied = volumes.CopyUp("data", root->get(), "/data");
    ASSERT_TRUE(copied) << copied.error().Text();
    EXPECT_TRUE(*copied);
    EXPECT_EQ(ReadFile(volumes.DataPath("data") + "/same").value_or(""), "top");
    EXPECT_EQ(ReadFile(volumes.DataPath("data") + "/58").value_or(""), "x");
    EXPECT_NE(::access((volumes.DataPath("data") + "/59").c_str(), F_OK), 0)
        << "hidden by a layer above";
  }
  EXPECT_TRUE(RemoveTree(folder));
}

}  // namespace
}  // namespace skiff::engine
