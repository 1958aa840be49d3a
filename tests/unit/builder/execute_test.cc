// The parts of a build that decide without doing.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/fd.h"
#include "builder/execute/archive_kind.h"
#include "builder/execute/glob.h"
#include "builder/execute/ownership.h"
#include "builder/execute/source_tree.h"
#include "builder/execute/step_key.h"
#include "builder/execute/tree_digest.h"

namespace skiff::builder {
namespace {

namespace fs = std::filesystem;

TEST(GlobTest, MatchesAsGoDoes) {
  struct Row {
    const char *pattern, *name;
    bool matches;
  };
  const Row rows[] = {
      {"abc", "abc", true},
      {"abc", "ab", false},
      {"*", "", true},
      {"*.c", "x.c", true},
      {"*.c", "x.h", false},
      {"a*b*c", "aXXbYYc", true},
      {"a*b*c", "aXXcYYb", false},
      {"?", "ü", true},
      {"??", "ü", false},
      {"[a-c]x", "bx", true},
      {"[a-c]x", "dx", false},
      {"[^a-c]x", "dx", true},
      {"[[]b]", "[b]", true},
      {"\\*", "*", true},
      {"\\*", "x", false},
      {"[a", "a", false},
      {"[]a]", "]", false},
      {"[\\]]", "]", true},
      {"*a", "aaaaaaaaaaab", false},
      {"[-x]", "x", false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(MatchesGlob(row.pattern, row.name), row.matches) << row.pattern << " " << row.name;
  }
  EXPECT_TRUE(IsGlob("a*"));
  EXPECT_FALSE(IsGlob("a\\*"));
}

TEST(OwnershipTest, ModesChangeAsChmodDoes) {
  struct Row {
    const char* change;
    mode_t mode;
    bool folder;
    mode_t result;
  };
  const Row rows[] = {
      {"755", 0600, false, 0755},         {"04711", 0600, false, 04711},
      {"u=rwX,go-w", 0666, false, 0644},  {"u=rwX,go-w", 0777, true, 0755},
      {"a+X", 0640, false, 0640},         {"a+X", 0640, true, 0751},
      {"u=rw,g=r,o=", 0777, false, 0640}, {"+x", 0644, false, 0755},
      {"u+s,g+s", 0755, false, 06755},    {"g=u", 0700, false, 0770},
      {"o-rwx,u+r-w", 0777, false, 0570},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(ApplyMode(row.change, row.mode, row.folder), row.result) << row.change;
  }
}

TEST(OwnershipTest, NewFoldersTakeOctalModesOnly) {
  EXPECT_EQ(NewFolderMode(""), 0755U);
  EXPECT_EQ(NewFolderMode("640"), 0640U);
  EXPECT_EQ(NewFolderMode("04711"), 0711U);
  EXPECT_EQ(NewFolderMode("u=rwX,go-rwx"), 0755U);
}

TEST(StepKeyTest, NoTwoListsOfValuesAreTheSame) {
  EXPECT_NE(StepKey("a").Add("bc").Finish(), StepKey("a").Add("b").Add("c").Finish());
  EXPECT_NE(StepKey("a").Add(std::vector<std::string>{"b", "c"}).Finish(),
            StepKey("a").Add(std::vector<std::string>{"b"}).Add("c").Finish());
  EXPECT_EQ(StepKey("a").Add("b").Finish(), StepKey("a").Add("b").Finish());
}

TEST(ArchiveKindTest, CompressionsAndTarHeadersAreKnown) {
  EXPECT_TRUE(LooksLikeArchive("\x1f\x8b\x08rest"));
  EXPECT_TRUE(LooksLikeArchive("BZh9"));
  EXPECT_FALSE(LooksLikeArchive("plain text"));
  EXPECT_FALSE(LooksLikeArchive(std::string(512, '\0')));
  std::string header(512, '\0');
  header[0] = 'f';
  header.replace(148, 7, "000546 ");  // 'f' and eight blanks.
  EXPECT_TRUE(LooksLikeArchive(header));
  header[0] = 'g';
  EXPECT_FALSE(LooksLikeArchive(header));
}

class TreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "skiff-tree-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    fs::create_directories(folder_ + "/tree/sub/deep");
    Write("tree/a", "a");
    Write("tree/sub/b", "b");
    Write("tree/sub/deep/c", "c");
    fs::create_symlink("/etc", folder_ + "/tree/out");
    fs::create_symlink("sub", folder_ + "/tree/in");
    root_ = std::move(*OpenFile(folder_ + "/tree", O_RDONLY | O_DIRECTORY));
  }
  void TearDown() override { fs::remove_all(folder_); }
  void Write(const std::string& path, const std::string& text) {
    std::ofstream(folder_ + "/" + path) << text;
  }
  static void Flatten(const std::string& prefix, const TreeNode& node, std::string& out) {
    for (const TreeNode& child : node.children) {
      out += prefix + child.name + " ";
      Flatten(prefix + child.name + "/", child, out);
    }
  }
  std::string Selected(const SourceQuery& query, const IgnoreMatcher* ignore = nullptr) {
    const auto items = SelectSources({root_.get(), ignore}, query);
    if (!items) return items.error().message;
    std::string out;
    for (const SourceItem& item : *items) {
      out += "(" + item.path + ") ";
      Flatten("", item.node, out);
    }
    return out;
  }
  std::string Digest() {
    auto items = SelectSources({root_.get(), nullptr}, {"/", "", {}});
    DigestStore store(folder_ + "/digests");
    EXPECT_TRUE(DigestFiles(root_.get(), *items, &store));
    EXPECT_TRUE(store.Save());
    return DigestItems(root_.get(), *items, true).value_or("");
  }

  std::string folder_;
  Fd root_;
};

TEST_F(TreeTest, SelectsWhatPatternsAndRulesLeave) {
  EXPECT_EQ(Selected({"/", "", {}}), "() a in out sub sub/b sub/deep sub/deep/c ");
  EXPECT_EQ(Selected({"/in", "", {}}), "(in) b deep deep/c ");
  EXPECT_EQ(Selected({"/s*", "", {"deep"}}), "(sub) b ");
  EXPECT_EQ(Selected({"/", "sub/deep", {}}), "() sub sub/deep sub/deep/c ");
  EXPECT_EQ(Selected({"/", "**/c", {}}), "() sub sub/deep sub/deep/c ");
  EXPECT_EQ(Selected({"/nothing*", "", {}}), "");
  EXPECT_EQ(Selected({"/nothing", "", {}}), "\"/nothing\": not found");
  EXPECT_EQ(Selected({"/out/passwd", "", {}}), "\"/out/passwd\": not found");
  const auto ignore = IgnoreMatcher::FromPatterns({"sub", "!sub/deep/c", "a"});
  ASSERT_TRUE(ignore);
  EXPECT_EQ(Selected({"/", "", {}}, &*ignore), "() in out sub sub/deep sub/deep/c ");
  EXPECT_EQ(Selected({"/a", "", {}}, &*ignore), "\"/a\": not found");
  EXPECT_EQ(Selected({"/in", "", {}}, &*ignore), "(in) deep deep/c ");
}

TEST_F(TreeTest, DigestsSeeContentsAndModesButNoTimes) {
  const std::string first = Digest();
  EXPECT_EQ(Digest(), first);
  const timespec times[] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (folder_ + "/tree/a").c_str(), times, 0), 0);
  EXPECT_EQ(Digest(), first);
  // The same size and times: only the time of change tells.
  Write("tree/a", "A");
  ASSERT_EQ(::utimensat(AT_FDCWD, (folder_ + "/tree/a").c_str(), times, 0), 0);
  EXPECT_NE(Digest(), first);
  Write("tree/a", "a");
  EXPECT_EQ(Digest(), first);
  ASSERT_EQ(::chmod((folder_ + "/tree/sub").c_str(), 0700), 0);
  EXPECT_NE(Digest(), first);
}

}  // namespace
}  // namespace skiff::builder
