#include "base/atomic_file.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/failpoint.h"
#include "tests/unit/base/temp_folder.h"

namespace skiff {
namespace {

using testing::TempFolder;

int EntriesIn(const std::string& path) {
  int count = 0;
  DIR* dir = ::opendir(path.c_str());
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count - 2;
}

TEST(WriteFileAtomically, ReplacesContentAndMode) {
  TempFolder folder;
  ASSERT_TRUE(WriteFileAtomically(folder.Path("a"), "one", 0600, Durability::kDurable));
  ASSERT_TRUE(WriteFileAtomically(folder.Path("a"), "two", 0640, Durability::kVolatile));
  EXPECT_EQ(folder.Read("a"), "two");
  struct stat info = {};
  ASSERT_EQ(::stat(folder.Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  EXPECT_EQ(EntriesIn(folder.path()), 1);
}

TEST(WriteFileAtomically, LeavesTheOldFileAndNoTemporaryOnFailure) {
  TempFolder folder;
  folder.Write("a", "old");
  ASSERT_TRUE(ConfigureFailpoints("base.atomic_file.before_rename=error:ENOSPC"));
  const Status failed = WriteFileAtomically(folder.Path("a"), "new", 0600, Durability::kVolatile);
  ASSERT_TRUE(ConfigureFailpoints(""));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kExhausted);
  EXPECT_EQ(folder.Read("a"), "old");
  EXPECT_EQ(EntriesIn(folder.path()), 1);
}

TEST(RemoveTemporaries, RemovesThoseOfTheDeadOnly) {
  TempFolder folder;
  folder.Write(".a.tmp-0123456789abcdef", "half");
  folder.Write(".b.tmp-0123456789abcdef", "being written");
  folder.Write(".hidden", "somebody's");
  folder.Write("c.tmp-0123456789abcdef", "somebody's");
  {
    const auto writer =
        FileLock::Acquire(folder.Path(".b.tmp-0123456789abcdef"), FileLock::Mode::kExclusive);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(RemoveTemporaries(folder.path()));
  }
  EXPECT_EQ(EntriesIn(folder.path()), 3);
  EXPECT_EQ(folder.Read(".b.tmp-0123456789abcdef"), "being written");
  ASSERT_TRUE(RemoveTemporaries(folder.path()));
  EXPECT_EQ(EntriesIn(folder.path()), 2);
  EXPECT_TRUE(RemoveTemporaries(folder.Path("missing")));
}

TEST(WriteFileAtomically, NamesThePathWhenTheFolderIsMissing) {
  TempFolder folder;
  const Status failed = WriteFileAtomically(folder.Path("no/a"), "x", 0600, Durability::kVolatile);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kNotFound);
  EXPECT_NE(failed.error().Text().find(folder.Path("no/")), std::string::npos);
}

TEST(MakeDirectories, MakesAllAndAcceptsExisting) {
  TempFolder folder;
  ASSERT_TRUE(MakeDirectories(folder.Path("a/b/c"), 0711));
  ASSERT_TRUE(MakeDirectories(folder.Path("a/b/c"), 0711));
  struct stat info = {};
  ASSERT_EQ(::stat(folder.Path("a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0711u);
  folder.Write("file", "");
  const Status failed = MakeDirectories(folder.Path("file"), 0700);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().sys_errno, ENOTDIR);
}

TEST(RemoveTree, RemovesDeepTreesWithoutFollowingLinks) {
  TempFolder folder;
  folder.Write("canary", "alive");
  ASSERT_TRUE(MakeDirectories(folder.Path("tree/x/y")));
  folder.Write("tree/x/y/file", "1");
  ASSERT_EQ(::symlink(folder.Path("canary").c_str(), folder.Path("tree/x/link").c_str()), 0);
  ASSERT_EQ(::symlink(folder.path().c_str(), folder.Path("tree/loop").c_str()), 0);
  ASSERT_TRUE(RemoveTree(folder.Path("tree")));
  ASSERT_TRUE(RemoveTree(folder.Path("tree")));
  EXPECT_EQ(folder.Read("canary"), "alive");
  EXPECT_EQ(EntriesIn(folder.path()), 1);
}

TEST(FileLock, ExcludesAnotherHolder) {
  TempFolder folder;
  {
    Result<FileLock> held = FileLock::Acquire(folder.Path("l"), FileLock::Mode::kExclusive);
    ASSERT_TRUE(held);
    const Result<FileLock> second =
        FileLock::TryAcquire(folder.Path("l"), FileLock::Mode::kExclusive);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::kFailedPrecondition);
  }
  EXPECT_TRUE(FileLock::TryAcquire(folder.Path("l"), FileLock::Mode::kExclusive));
}

TEST(FileLock, SharedHoldersDoNotExcludeEachOther) {
  TempFolder folder;
  Result<FileLock> first = FileLock::Acquire(folder.Path("l"), FileLock::Mode::kShared);
  ASSERT_TRUE(first);
  EXPECT_TRUE(FileLock::TryAcquire(folder.Path("l"), FileLock::Mode::kShared));
  EXPECT_FALSE(FileLock::TryAcquire(folder.Path("l"), FileLock::Mode::kExclusive));
}

}  // namespace
}  // namespace skiff
