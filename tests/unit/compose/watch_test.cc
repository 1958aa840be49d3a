// Which changes of files are seen, and which of them matter.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "compose/watch/tree_watch.h"
#include "compose/watch/watch_rules.h"

namespace skiff::compose {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class TreeWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "skiff-watch-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = std::filesystem::canonical(name);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string At(const std::string& path) const { return folder_ + "/" + path; }
  void Write(const std::string& path) {
    std::filesystem::create_directories(std::filesystem::path(At(path)).parent_path());
    std::ofstream(At(path)) << "text";
  }
  void Watch(const std::vector<std::string>& roots, TreeWatch::Skip skip = [](const auto&) {
    return false;
  }) {
    std::vector<std::string> paths;
    for (const std::string& root : roots) paths.push_back(At(root));
    auto watch = TreeWatch::Open(paths, std::move(skip));
    ASSERT_TRUE(watch) << watch.error().Text();
    watch_ = std::move(*watch);
  }
  // What inotify has is there as soon as the call that made it has returned.
  std::vector<std::string> Changes() {
    std::vector<std::string> names;
    const auto changed = watch_->Read();
    EXPECT_TRUE(changed);
    for (const std::string& path : *changed) names.push_back(path.substr(folder_.size() + 1));
    return names;
  }

  std::string folder_;
  std::unique_ptr<TreeWatch> watch_;
};

TEST_F(TreeWatchTest, FilesThatComeChangeAndGo) {
  Write("src/old");
  Write("elsewhere");
  Watch({"src"});
  EXPECT_THAT(Changes(), IsEmpty());
  Write("src/new");
  EXPECT_THAT(Changes(), ElementsAre("src/new"));
  Write("src/new");
  Write("elsewhere");
  EXPECT_THAT(Changes(), ElementsAre("src/new"));
  std::filesystem::rename(At("src/new"), At("src/renamed"));
  std::filesystem::remove(At("src/old"));
  EXPECT_THAT(Changes(), ElementsAre("src/new", "src/old", "src/renamed"));
  std::filesystem::permissions(At("src/renamed"), std::filesystem::perms::owner_all);
  EXPECT_THAT(Changes(), ElementsAre("src/renamed"));
}

TEST_F(TreeWatchTest, FoldersThatComeAreSeenWithWhatIsInThem) {
  Write("ready/deep/file");
  Write("src/old");
  Watch({"src"});
  std::filesystem::rename(At("ready"), At("src/ready"));
  EXPECT_THAT(Changes(), ElementsAre("src/ready", "src/ready/deep", "src/ready/deep/file"));
  Write("src/ready/deep/more");
  EXPECT_THAT(Changes(), ElementsAre("src/ready/deep/more"));
}

TEST_F(TreeWatchTest, AFolderThatWentIsNoConcernAnyMore) {
  Write("src/away/file");
  Watch({"src"});
  std::filesystem::rename(At("src/away"), At("away"));
  EXPECT_THAT(Changes(), ElementsAre("src/away"));
  Write("away/file");
  EXPECT_THAT(Changes(), IsEmpty());
}

TEST_F(TreeWatchTest, AFileAloneIsFollowedByItsName) {
  Write("one");
  Watch({"one"});
  Write("two");
  EXPECT_THAT(Changes(), IsEmpty());
  std::filesystem::rename(At("two"), At("one"));
  EXPECT_THAT(Changes(), ElementsAre("one"));
  std::filesystem::remove(At("one"));
  EXPECT_THAT(Changes(), ElementsAre("one"));
  Write("one");
  EXPECT_THAT(Changes(), ElementsAre("one"));
}

TEST_F(TreeWatchTest, ARootMayComeGoAndComeBack) {
  Watch({"a/b/src"});
  Write("a/b/src/file");
  // Folder by folder, as they are made; perhaps seen when all are there.
  const auto came = Changes();
  EXPECT_THAT(came, ::testing::IsSupersetOf({"a/b/src", "a/b/src/file"}));
  std::filesystem::remove_all(At("a"));
  EXPECT_THAT(Changes(), ::testing::Contains("a/b/src"));
  Write("a/b/src/again");
  EXPECT_THAT(Changes(), ::testing::IsSupersetOf({"a/b/src", "a/b/src/again"}));
  Write("a/b/src/later");
  EXPECT_THAT(Changes(), ElementsAre("a/b/src/later"));
}

TEST_F(TreeWatchTest, WhatIsSkippedIsNotSeen) {
  Write("src/deps/a");
  Watch({"src"}, [](const std::string& folder) { return folder.ends_with("/deps"); });
  Write("src/deps/b");
  Write("src/sub/deps/c");
  EXPECT_THAT(Changes(), ElementsAre("src/sub"));
}

TEST_F(TreeWatchTest, WhenTheKernelLosesCountAllMayHaveChanged) {
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  int most = 0;
  limit >> most;
  Write("src/a");
  Write("src/b");
  Watch({"src"});
  // Two files in turn, since the same event twice counts once.
  std::ofstream a(At("src/a")), b(At("src/b"));
  for (int i = 0; i <= most / 2; ++i) {
    a << "a" << std::flush;
    b << "b" << std::flush;
  }
  Write("src/late/file");
  EXPECT_THAT(Changes(), ::testing::IsSupersetOf({"src", "src/a", "src/b", "src/late",
                                                  "src/late/file"}));
  Write("src/late/more");
  EXPECT_THAT(Changes(), ElementsAre("src/late/more"));
}

class WatchRulesTest : public ::testing::Test {
 protected:
  schema::WatchTrigger& Add(const std::string& path, const std::string& action) {
    schema::Service& service = project_.services["web"];
    service.name = "web";
    service.watch.push_back({path, action, "/app/", {}, {}, false, {}, {}});
    return service.watch.back();
  }
  WatchRules Make() {
    auto rules = WatchRules::Make(project_, {}, true,
                                  [&](const Error& error) { warnings_.push_back(error.message); });
    EXPECT_TRUE(rules) << rules.error().Text();
    return std::move(*rules);
  }
  std::string ErrorOf(bool can_build = true) {
    const auto rules = WatchRules::Make(project_, {}, can_build, [](const Error&) {});
    return rules ? "" : rules.error().message;
  }
  schema::Project project_;
  std::vector<std::string> warnings_;
};

TEST_F(WatchRulesTest, PathsAreBelowTheRuleAndNotIgnored) {
  Add("/src", "sync").ignore = {"*.log", "deps/", "!deps/mine"};
  const WatchRules rules = Make();
  for (const char* path : {"/src", "/src/a", "/src/b/c", "/src/b/a.log", "/src/deps/mine"}) {
    EXPECT_TRUE(rules.Matches(0, path)) << path;
  }
  for (const char* path : {"/", "/srcs", "/other/a", "/src/a.log", "/src/deps/a", "/src/.git/HEAD",
                           "/src/b/.git/x", "/src/b/a~", "/src/.a.swp", "/src/.idea/x",
                           "/src/4913"}) {
    EXPECT_FALSE(rules.Matches(0, path)) << path;
  }
  EXPECT_EQ(rules.rules()[0].TargetOf("/src"), "/app");
  EXPECT_EQ(rules.rules()[0].TargetOf("/src/b/c"), "/app/b/c");
  Add("/src", "sync").target = "opt";
  EXPECT_EQ(Make().rules()[1].TargetOf("/src/a"), "/opt/a");
}

TEST_F(WatchRulesTest, AFolderIsSkippedWhenNothingInItCanMatter) {
  Add("/src", "sync").ignore = {"deps", "kept", "!kept/some"};
  WatchRules rules = Make();
  EXPECT_TRUE(rules.Skips("/src/deps"));
  EXPECT_TRUE(rules.Skips("/src/a/.git"));
  EXPECT_FALSE(rules.Skips("/src/kept"));
  EXPECT_FALSE(rules.Skips("/src/other"));
  // Another rule wants it.
  Add("/src", "restart");
  EXPECT_FALSE(Make().Skips("/src/deps"));
}

TEST_F(WatchRulesTest, WhatIsIncludedIsAllThatCounts) {
  Add("/src", "sync").include = {"**/*.cc", "docs"};
  const WatchRules rules = Make();
  EXPECT_TRUE(rules.Matches(0, "/src/deep/a.cc"));
  EXPECT_TRUE(rules.Matches(0, "/src/docs/a.md"));
  EXPECT_FALSE(rules.Matches(0, "/src/a.md"));
  EXPECT_FALSE(rules.Matches(0, "/src"));
}

TEST_F(WatchRulesTest, MountedPathsAreNotSynced) {
  Add("/src/a", "sync");
  Add("/src/b", "restart");
  project_.services["web"].volumes.push_back(
      {.type = schema::VolumeMountType::kBind, .source = "/src", .target = "/x"});
  const WatchRules rules = Make();
  EXPECT_THAT(rules.Paths(), ElementsAre("/src/b"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("path '/src/a' also declared by a bind mount")));
}

TEST_F(WatchRulesTest, WhatAServiceCannotDo) {
  EXPECT_THAT(ErrorOf(), HasSubstr("none of the selected services"));
  Add("/src", "rebuild");
  EXPECT_THAT(ErrorOf(), HasSubstr("without a build context"));
  project_.services["web"].build.emplace().context = "https://example.org/x.git";
  EXPECT_EQ(ErrorOf(), "");
  EXPECT_EQ(ErrorOf(false), "--no-build is incompatible with watch action rebuild in service web");
  Add("/src", "sync").ignore = {"[a"};
  EXPECT_THAT(ErrorOf(), HasSubstr("[a"));
}

}  // namespace
}  // namespace skiff::compose
