#include <sys/stat.h>

#include <filesystem>

#include "base/fd.h"
#include "tests/kernel/engine-core/engine_fixture.h"

namespace skiff::engine {
namespace {

MountRequest VolumeAt(const std::string& name, const std::string& target) {
  MountRequest mount;
  mount.kind = MountKind::kVolume;
  mount.source = name;
  mount.target = target;
  return mount;
}

TEST_F(EngineTest, NewVolumeTakesTheImagesContentOwnerAndMode) {
  ContainerConfig config = Sleeper("copy");
  config.mounts = {VolumeAt("content", "/data")};
  Run(config);
  EXPECT_EQ(ExecShell("copy", "cat /data/greeting; stat -c '%a %u:%g' /data/greeting /data").second,
            "hello from the image\n640 1000:1000\n750 0:0\n");
  EXPECT_EQ(ExecShell("copy", "echo mine > /data/greeting").first, 0);
  ASSERT_TRUE(engine_->RemoveContainer("copy", {true, true}));
  // The volume outlives its container, with what was written to it.
  ContainerConfig again = Sleeper("again");
  again.mounts = {VolumeAt("content", "/data")};
  Run(again);
  EXPECT_EQ(ExecShell("again", "cat /data/greeting").second, "mine\n");
  const auto refused = engine_->RemoveVolume("content");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("remove content: volume is in use - ["),
            std::string::npos);
  ASSERT_TRUE(engine_->RemoveContainer("again", {true, true}));
  ASSERT_TRUE(engine_->RemoveVolume("content"));
  ASSERT_TRUE(engine_->Commit());
  EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/volumes"));
}

TEST_F(EngineTest, AnonymousVolumesGoWithTheirContainerWhenAsked) {
  ContainerConfig config = Sleeper("anonymous");
  config.mounts = {VolumeAt("", "/var/anonymous")};
  Run(config);
  ASSERT_EQ(engine_->ListVolumes({})->size(), 1u);
  EXPECT_TRUE((*engine_->ListVolumes({}))[0].anonymous);
  ASSERT_TRUE(engine_->RemoveContainer("anonymous", {true, true}));
  EXPECT_EQ(engine_->ListVolumes({})->size(), 0u);
}

TEST_F(EngineTest, BindAndTmpfsMounts) {
  const std::string source = folder_ + "/shared";
  ContainerConfig config = Sleeper("mounts");
  MountRequest bind;
  bind.kind = MountKind::kBind;
  bind.source = source;
  bind.target = "/shared";
  const auto missing = [&] {
    config.mounts = {bind};
    return engine_->CreateContainer(config);
  }();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "invalid mount config for type \"bind\": bind source path does not exist: " + source);
  bind.create_host_path = true;
  MountRequest tmpfs;
  tmpfs.kind = MountKind::kTmpfs;
  tmpfs.target = "/scratch";
  tmpfs.tmpfs_size = 1 << 20;
  MountRequest locked = bind;
  locked.target = "/locked";
  locked.read_only = true;
  config.mounts = {bind, tmpfs, locked};
  Run(config);
  EXPECT_EQ(ExecShell("mounts",
                      "echo hi > /shared/file; cat /locked/file; "
                      "touch /locked/other 2> /dev/null || echo read-only; "
                      "mount | grep -c 'tmpfs on /scratch'")
                .second,
            "hi\nread-only\n1\n");
  EXPECT_EQ(ReadFile(source + "/file").value_or(""), "hi\n");
}

}  // namespace
}  // namespace skiff::engine
