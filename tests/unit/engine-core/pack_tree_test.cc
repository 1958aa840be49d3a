#include "engine-core/image/pack_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/identity.h"
#include "engine-core/transfer/unpack.h"
#include "tests/unit/engine-core/tar_builder.h"

namespace skiff::engine::image {
namespace {

class PackTreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "skiff-pack-" + RandomHex(4);
    ASSERT_TRUE(MakeDirectories(folder_, 0755));
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(folder_)); }

  void File(const std::string& path, std::string_view content) {
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/" + path, content, 0644, Durability::kVolatile));
  }
  void SetTimes(const std::string& path, int64_t seconds) {
    const timespec times[] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (folder_ + "/" + path).c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }
  Result<std::string> Pack(const PackOptions& options = {}) {
    std::string out;
    SKIFF_ASSIGN(const Fd root, OpenFile(folder_, O_RDONLY | O_DIRECTORY));
    SKIFF_TRY(PackTree(root.get(), options, [&](std::string_view data) -> Status {
      out += data;
      return {};
    }));
    return out;
  }

  std::string folder_;
};

TEST_F(PackTreeTest, AnUnpackedLayerPacksToTheSameBytes) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string deep =
      std::string(90, 'd') + "/" + std::string(90, 'e') + "/" + std::string(90, 'f');
  ASSERT_TRUE(MakeDirectories(folder_ + "/" + deep, 0750));
  File(deep + "/long", "long");
  File("a", std::string(1000, 'a'));
  File("ümläut", "u");
  File("latin-\xfc", "l");
  File(std::string(101, 'n') + "\xfc", "long and no UTF-8");
  ASSERT_EQ(::link((folder_ + "/a").c_str(), (folder_ + "/hard").c_str()), 0);
  ASSERT_EQ(::symlink(std::string(150, 't').c_str(), (folder_ + "/soft").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder_ + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(::mknod((folder_ + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(::mknod((folder_ + "/gone").c_str(), S_IFCHR, makedev(0, 0)), 0);
  ASSERT_EQ(::chown((folder_ + "/a").c_str(), 3'000'000, 12), 0);
  ASSERT_EQ(::chmod((folder_ + "/a").c_str(), 04755), 0);
  SetTimes("a", -5);
  ASSERT_TRUE(MakeDirectories(folder_ + "/opaque", 0755));
  ASSERT_EQ(::setxattr((folder_ + "/opaque").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  ASSERT_EQ(::setxattr((folder_ + "/opaque").c_str(), "trusted.overlay.origin", "x", 1, 0), 0);
  const auto packed = Pack();
  ASSERT_TRUE(packed) << packed.error().Text();

  const std::string copy = folder_ + "-copy";
  ASSERT_TRUE(MakeDirectories(copy, 0755));
  const Fd tar = skiff::testing::TarBuilder::OpenBytes(*packed);
  const auto root = OpenFile(copy, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(root);
  const auto unpacked = transfer::Unpack(tar.get(), root->get(), -1, {});
  ASSERT_TRUE(unpacked) << unpacked.error().Text();
  EXPECT_EQ(unpacked->opaque, std::vector<std::string>{"opaque"});
  EXPECT_EQ(unpacked->layer.diff_id, Sha256Hex(*packed));
  // The command does this for the program.
  ASSERT_EQ(::setxattr((copy + "/opaque").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  ASSERT_TRUE(RemoveTree(folder_));
  ASSERT_EQ(::rename(copy.c_str(), folder_.c_str()), 0);
  const auto again = Pack();
  ASSERT_TRUE(again) << again.error().Text();
  EXPECT_EQ(Sha256Hex(*again), Sha256Hex(*packed));
}

TEST_F(PackTreeTest, MarksOfFoldersThatHideNothingAreTakenOff) {
  for (const char* name : {"/new", "/old"}) {
    ASSERT_TRUE(MakeDirectories(folder_ + name, 0755));
    ASSERT_EQ(::setxattr((folder_ + name).c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  }
  PackOptions options;
  options.hides_nothing = [](const std::string& path) { return path == "new"; };
  const auto packed = Pack(options);
  ASSERT_TRUE(packed) << packed.error().Text();
  EXPECT_EQ(packed->find("new/.wh..wh..opq"), packed->npos);
  EXPECT_NE(packed->find("old/.wh..wh..opq"), packed->npos);
  // Whoever packs the folder again gets the same archive.
  EXPECT_EQ(Pack().value_or("none"), *packed);
}

TEST_F(PackTreeTest, TimesPastTheLatestAreSetInTheTreeToo) {
  File("early", "");
  File("late", "");
  SetTimes("early", 100);
  SetTimes("late", 2'000);
  PackOptions options;
  options.latest_time = int64_t{1'000} * 1'000'000'000;
  ASSERT_TRUE(Pack(options));
  struct stat info {};
  ASSERT_EQ(::stat((folder_ + "/early").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, 100);
  ASSERT_EQ(::stat((folder_ + "/late").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, 1'000);
}

TEST_F(PackTreeTest, WhatNoArchiveCanSayIsRefused) {
  File(".wh.x", "");
  EXPECT_EQ(Pack().error().message,
            "cannot make a layer: the name '/.wh.x' means a removal in an archive");
  PackOptions whole;
  whole.layer = false;
  EXPECT_TRUE(Pack(whole)) << "in a root file system it is a name like another";
  ASSERT_EQ(::unlink((folder_ + "/.wh.x").c_str()), 0);
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_TRUE(MakeDirectories(folder_ + "/d", 0755));
  ASSERT_EQ(::setxattr((folder_ + "/d").c_str(), "trusted.overlay.redirect", "/e", 2, 0), 0);
  EXPECT_EQ(Pack().error().message,
            "cannot make a layer: '/d' has overlayfs's attribute 'redirect', which no archive can "
            "hold");
}

TEST_F(PackTreeTest, PlacesOfMountsGoUnlessSomethingIsInThem) {
  ASSERT_TRUE(MakeDirectories(folder_ + "/run/secrets", 0755));
  ASSERT_TRUE(MakeDirectories(folder_ + "/etc", 0755));
  ASSERT_TRUE(MakeDirectories(folder_ + "/cache/used", 0755));
  File("run/secrets/key", "");
  File("etc/hosts", "");
  File("etc/kept", "");
  File("cache/used/file", "x");
  ASSERT_EQ(::symlink("/etc", (folder_ + "/link").c_str()), 0);
  SetTimes("etc", 100);
  const auto root = OpenFile(folder_, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(root);
  ASSERT_TRUE(
      RemoveMountPlaces(root->get(), {"/run", "/run/secrets", "/run/secrets/key", "/etc/hosts",
                                      "/cache", "/cache/used", "/missing/x", "/link", "/../x"}));
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
    names.push_back(entry.path().string().substr(folder_.size()));
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"/cache", "/cache/used", "/cache/used/file", "/etc",
                                             "/etc/kept", "/link"}));
  struct stat info {};
  ASSERT_EQ(::stat((folder_ + "/etc").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, 100);
}

}  // namespace
}  // namespace skiff::engine::image
