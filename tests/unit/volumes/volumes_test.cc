#include "volumes/volumes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"

namespace skiff::volumes {
namespace {

class VolumesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"/volumes", "/trash", "/image/data/deep"}) {
      ASSERT_TRUE(MakeDirectories(folder_ + name, 0755));
    }
    Write("/image/data/file", "content");
    Write("/image/data/deep/other", "more");
    image_ = std::move(*OpenFile(folder_ + "/image", O_RDONLY | O_DIRECTORY));
  }
  void TearDown() override {
    ASSERT_TRUE(ConfigureFailpoints(""));
    EXPECT_TRUE(RemoveTree(folder_));
  }
  void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(folder_ + path, text, 0640, Durability::kVolatile));
  }
  std::string Read(const std::string& path) { return ReadFile(folder_ + path).value_or("?"); }

  std::string folder_ = ::testing::TempDir() + "skiff-volumes-" + RandomHex(6);
  VolumeFolders volumes_{folder_ + "/volumes", folder_ + "/trash"};
  Fd image_;
};

TEST_F(VolumesTest, CreateKeepsAndRemoveEmpties) {
  ASSERT_TRUE(volumes_.Create("data"));
  Write("/volumes/data/_data/kept", "x");
  ASSERT_TRUE(volumes_.Create("data"));
  EXPECT_EQ(Read("/volumes/data/_data/kept"), "x");
  ASSERT_TRUE(volumes_.Remove("data"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/volumes"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/trash"));
  EXPECT_TRUE(volumes_.Remove("data"));
}

TEST_F(VolumesTest, NamesCannotLeaveTheFolder) {
  for (const char* name : {"", "a", "..", "../x", "a/b", ".hidden", "-x", "a b"}) {
    EXPECT_FALSE(volumes_.Create(name)) << name;
    EXPECT_FALSE(volumes_.Remove(name)) << name;
  }
}

TEST_F(VolumesTest, CopyUpFillsAnEmptyVolumeOnce) {
  ASSERT_EQ(::link((folder_ + "/image/data/file").c_str(), (folder_ + "/image/data/hard").c_str()),
            0);
  ASSERT_EQ(::symlink("/etc/passwd", (folder_ + "/image/data/soft").c_str()), 0);
  ASSERT_EQ(::chmod((folder_ + "/image/data").c_str(), 0751), 0);
  ASSERT_TRUE(volumes_.Create("data"));
  const auto copied = volumes_.CopyUp("data", image_.get(), "/data");
  ASSERT_TRUE(copied) << copied.error().Text();
  EXPECT_TRUE(*copied);
  EXPECT_EQ(Read("/volumes/data/_data/file"), "content");
  EXPECT_EQ(Read("/volumes/data/_data/deep/other"), "more");
  struct stat info {};
  ASSERT_EQ(::stat((folder_ + "/volumes/data/_data").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0751u);
  ASSERT_EQ(::stat((folder_ + "/volumes/data/_data/hard").c_str(), &info), 0);
  EXPECT_EQ(info.st_nlink, 2u);
  ASSERT_EQ(::lstat((folder_ + "/volumes/data/_data/soft").c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode)) << "links are copied, never followed";
  Write("/image/data/file", "changed");
  EXPECT_FALSE(*volumes_.CopyUp("data", image_.get(), "/data"));
  EXPECT_EQ(Read("/volumes/data/_data/file"), "content");
}

TEST_F(VolumesTest, CopiesOfTheDeadAreSettled) {
  namespace fs = std::filesystem;
  const auto folder = [&](const char* volume) {
    return fs::path(volumes_.DataPath(volume)).parent_path();
  };
  for (const char* volume : {"half", "whole", "untouched"}) ASSERT_TRUE(volumes_.Create(volume));
  fs::create_directories(folder("half") / "copy/begun");
  fs::create_directories(folder("whole") / "copied/kept");
  ASSERT_TRUE(volumes_.SettleAbandonedCopies());
  EXPECT_FALSE(fs::exists(folder("half") / "copy"));
  EXPECT_TRUE(fs::is_empty(volumes_.DataPath("half")));
  EXPECT_FALSE(fs::exists(folder("whole") / "copied"));
  EXPECT_TRUE(fs::exists(volumes_.DataPath("whole") + "/kept"));
}

TEST_F(VolumesTest, CopyUpResolvesLinksInsideTheImageOnly) {
  // An absolute link means the image's root; "..", too, ends there.
  ASSERT_EQ(::symlink("/data", (folder_ + "/image/alias").c_str()), 0);
  ASSERT_EQ(
      ::symlink(("../../../.." + folder_ + "/trash").c_str(), (folder_ + "/image/out").c_str()), 0);
  Write("/trash/secret", "host");
  ASSERT_TRUE(volumes_.Create("one"));
  EXPECT_TRUE(*volumes_.CopyUp("one", image_.get(), "/alias"));
  EXPECT_EQ(Read("/volumes/one/_data/file"), "content");
  ASSERT_TRUE(volumes_.Create("two"));
  const auto escaped = volumes_.CopyUp("two", image_.get(), "/out");
  EXPECT_FALSE(escaped && *escaped);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/volumes/two/_data"));
  for (const char* path : {"/missing", "/data/file"}) {
    EXPECT_FALSE(*volumes_.CopyUp("two", image_.get(), path)) << path;
  }
}

TEST_F(VolumesTest, CopyThatWasCutShortIsDoneAnew) {
  ASSERT_TRUE(volumes_.Create("data"));
  ASSERT_EQ(::mkdir((folder_ + "/volumes/data/copy").c_str(), 0700), 0);
  Write("/volumes/data/copy/half", "of a copy");
  const auto copied = volumes_.CopyUp("data", image_.get(), "/data");
  ASSERT_TRUE(copied) << copied.error().Text();
  EXPECT_TRUE(*copied);
  EXPECT_EQ(Read("/volumes/data/_data/half"), "?");
  EXPECT_EQ(Read("/volumes/data/_data/file"), "content");
}

TEST_F(VolumesTest, CopyThatWasCutShortNeverCostsWhatOthersHaveWrittenSince) {
  ASSERT_TRUE(volumes_.Create("data"));
  ASSERT_TRUE(ConfigureFailpoints("volumes.copy_up.move=error"));
  ASSERT_FALSE(volumes_.CopyUp("data", image_.get(), "/data"));
  ASSERT_TRUE(ConfigureFailpoints(""));
  Write("/volumes/data/_data/mine", "written by a container");
  Write("/volumes/data/_data/soft", "in place of a link");
  EXPECT_TRUE(*volumes_.CopyUp("data", image_.get(), "/data"));
  EXPECT_EQ(Read("/volumes/data/_data/mine"), "written by a container");
  EXPECT_EQ(Read("/volumes/data/_data/soft"), "in place of a link");
  EXPECT_EQ(Read("/volumes/data/_data/file"), "content");
  EXPECT_FALSE(*volumes_.CopyUp("data", image_.get(), "/data"));
  for (const char* name : {"copy", "copied"}) {
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/volumes/data/" + name)) << name;
  }
}

TEST_F(VolumesTest, DoomedVolumesAreToldFromForgottenOnes) {
  ASSERT_TRUE(volumes_.Create("data"));
  EXPECT_FALSE(volumes_.IsDoomed("data"));
  ASSERT_TRUE(volumes_.Doom("data"));
  EXPECT_TRUE(volumes_.IsDoomed("data"));
  ASSERT_TRUE(volumes_.Spare("data"));
  EXPECT_FALSE(volumes_.IsDoomed("data"));
  EXPECT_TRUE(volumes_.Doom("missing"));
  EXPECT_FALSE(volumes_.IsDoomed("missing"));
}

TEST(LocalOptionsTest, Table) {
  using Options = std::map<std::string, std::string>;
  EXPECT_EQ(ParseLocalOptions({})->bind_source, "");
  EXPECT_EQ(ParseLocalOptions({{"type", "none"}, {"o", "bind"}, {"device", "/x"}})->bind_source,
            "/x");
  EXPECT_TRUE(ParseLocalOptions({{"o", "bind,ro"}, {"device", "/x"}})->read_only);
  for (const Options& options :
       {Options{{"type", "nfs"}, {"o", "addr=1.2.3.4"}, {"device", ":/x"}},
        Options{{"o", "bind"}, {"device", "relative"}}, Options{{"o", "bind"}},
        Options{{"size", "1g"}}, Options{{"type", "tmpfs"}}}) {
    EXPECT_FALSE(ParseLocalOptions(options));
  }
}

}  // namespace
}  // namespace skiff::volumes
