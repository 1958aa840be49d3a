#include "base/root_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/unit/base/temp_folder.h"

namespace skiff {
namespace {

// Every test runs with openat2 and with the walk that replaces it.
class RootPathTest : public ::testing::TestWithParam<bool> {
 protected:
  RootPathTest() {
    DisableOpenat2ForTesting(GetParam());
    EXPECT_TRUE(MakeDirectories(folder_.Path("root/etc"), 0755));
    EXPECT_TRUE(MakeDirectories(folder_.Path("root/run"), 0755));
    folder_.Write("canary", "outside");
    folder_.Write("root/etc/file", "inside");
    root_ = OpenFile(folder_.Path("root"), O_PATH | O_DIRECTORY).value();
  }
  ~RootPathTest() override { DisableOpenat2ForTesting(false); }

  void Link(const char* target, const std::string& name) {
    ASSERT_EQ(::symlink(target, folder_.Path("root/" + name).c_str()), 0);
  }
  std::string ReadInRoot(std::string_view path) {
    const auto fd = OpenInRoot(root_.get(), path, O_RDONLY);
    if (!fd) return "error: " + std::to_string(fd.error().sys_errno);
    return ReadAll(fd->get(), 100, "file").value();
  }

  testing::TempFolder folder_;
  Fd root_;
};

TEST_P(RootPathTest, ResolvesAbsoluteAndRelativePathsInTheRoot) {
  EXPECT_EQ(ReadInRoot("etc/file"), "inside");
  EXPECT_EQ(ReadInRoot("/etc/file"), "inside");
  EXPECT_EQ(ReadInRoot("//etc/.//./file"), "inside");
  EXPECT_EQ(ReadInRoot("/etc/../etc/file"), "inside");
}

TEST_P(RootPathTest, DotDotStopsAtTheRoot) {
  EXPECT_EQ(ReadInRoot("../../../../etc/file"), "inside");
  EXPECT_EQ(ReadInRoot("../canary"), "error: " + std::to_string(ENOENT));
}

TEST_P(RootPathTest, LinksResolveInsideTheRoot) {
  Link("/etc", "absolute");
  Link("../../../etc", "climbing");
  Link("/etc/file", "file-link");
  EXPECT_EQ(ReadInRoot("absolute/file"), "inside");
  EXPECT_EQ(ReadInRoot("climbing/file"), "inside");
  EXPECT_EQ(ReadInRoot("file-link"), "inside");
}

TEST_P(RootPathTest, LinksToTheOutsideLeadNowhere) {
  Link(folder_.Path("canary").c_str(), "escape");
  EXPECT_EQ(ReadInRoot("escape"), "error: " + std::to_string(ENOENT));
}

TEST_P(RootPathTest, MagicLinksAreRefused) {
  // A root that contains /proc: its magic links lead out of any root.
  const Fd host = OpenFile("/", O_PATH | O_DIRECTORY).value();
  const auto fd = OpenInRoot(host.get(), "/proc/self/root/etc/passwd", O_RDONLY);
  if (GetParam()) {
    // The walk reads the link as the text "/": it begins again at the root it was given.
    EXPECT_TRUE(fd) << fd.error().Text();
  } else {
    ASSERT_FALSE(fd);
    EXPECT_EQ(fd.error().sys_errno, ELOOP);
  }
}

TEST_P(RootPathTest, LinkLoopsEnd) {
  Link("b", "a");
  Link("a", "b");
  EXPECT_EQ(ReadInRoot("a"), "error: " + std::to_string(ELOOP));
  EXPECT_EQ(ReadInRoot("a/x"), "error: " + std::to_string(ELOOP));
}

TEST_P(RootPathTest, NoFollowOpensTheLinkItself) {
  Link("/etc/file", "link");
  const auto fd = OpenInRoot(root_.get(), "link", O_PATH | O_NOFOLLOW);
  ASSERT_TRUE(fd);
  struct stat info = {};
  ASSERT_EQ(::fstat(fd->get(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
}

TEST_P(RootPathTest, ATrailingSlashMeansAFolder) {
  EXPECT_EQ(ReadInRoot("etc/file/"), "error: " + std::to_string(ENOTDIR));
  EXPECT_TRUE(OpenInRoot(root_.get(), "etc/", O_PATH));
}

TEST_P(RootPathTest, RefusesZeroBytesAndLongNames) {
  EXPECT_EQ(ReadInRoot(std::string_view("etc\0/x", 6)), "error: " + std::to_string(EINVAL));
  EXPECT_EQ(ReadInRoot(std::string(300, 'n')), "error: " + std::to_string(ENAMETOOLONG));
}

TEST_P(RootPathTest, CreatesFilesInsideOnly) {
  Link("/created", "to-new");
  const auto fd = OpenInRoot(root_.get(), "to-new", O_WRONLY | O_CREAT, 0600);
  ASSERT_TRUE(fd) << fd.error().Text();
  EXPECT_EQ(::access(folder_.Path("root/created").c_str(), F_OK), 0);
}

TEST_P(RootPathTest, MakeDirectoriesFollowsLinksInside) {
  Link("/run", "var-run");
  Link("/made/by/link", "dangling");
  ASSERT_TRUE(MakeDirectoriesInRoot(root_.get(), "/var-run/a/b", 0755));
  EXPECT_EQ(::access(folder_.Path("root/run/a/b").c_str(), F_OK), 0);
  ASSERT_TRUE(MakeDirectoriesInRoot(root_.get(), "dangling/c", 0755));
  EXPECT_EQ(::access(folder_.Path("root/made/by/link/c").c_str(), F_OK), 0);
  ASSERT_FALSE(MakeDirectoriesInRoot(root_.get(), "etc/file/x", 0755));
}

TEST_P(RootPathTest, MakeFileMakesItOnceAndThroughDanglingLinks) {
  ASSERT_TRUE(MakeFileInRoot(root_.get(), "/new/folder/file", 0644));
  ASSERT_TRUE(MakeFileInRoot(root_.get(), "/new/folder/file", 0644));
  Link("../etc/resolv", "conf");
  ASSERT_TRUE(MakeFileInRoot(root_.get(), "conf", 0644));
  EXPECT_EQ(::access(folder_.Path("root/etc/resolv").c_str(), F_OK), 0);
  EXPECT_EQ(folder_.Read("canary"), "outside");
}

// CVE-2018-15664 and its family: folders are exchanged while a path through them is resolved.
TEST_P(RootPathTest, NeverLeavesTheRootWhileFoldersAreExchanged) {
  ASSERT_TRUE(MakeDirectories(folder_.Path("root/swap"), 0755));
  folder_.Write("root/swap/canary", "inside");
  ASSERT_EQ(::symlink("../..", folder_.Path("root/other").c_str()), 0);
  std::atomic<bool> stop = false;
  std::thread racer([&] {
    const std::string a = folder_.Path("root/swap");
    const std::string b = folder_.Path("root/other");
    while (!stop) {
      if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0) break;
    }
  });
  int outside = 0;
  for (int i = 0; i < 3000; ++i) {
    if (ReadInRoot("swap/canary") == "outside") ++outside;
  }
  stop = true;
  racer.join();
  EXPECT_EQ(outside, 0);
}

INSTANTIATE_TEST_SUITE_P(Means, RootPathTest, ::testing::Bool(),
                         [](const auto& row) { return row.param ? "walk" : "openat2"; });

}  // namespace
}  // namespace skiff
