#include "builder/cache_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skiff::builder {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

TEST(CachePlaceTest, SourcesAreRead) {
  const auto names = ParseCacheSources("user/app:cache,other", "/w");
  ASSERT_TRUE(names);
  EXPECT_THAT(*names, ElementsAre(Field(&CachePlace::reference, "user/app:cache"),
                                  Field(&CachePlace::reference, "other")));
  const auto registry =
      ParseCacheSources("type=registry,ref=localhost:5000/app:c,image-manifest=true", "/w");
  ASSERT_TRUE(registry);
  EXPECT_EQ(registry->front().kind, CacheKind::kRegistry);
  EXPECT_EQ(registry->front().Shown(), "localhost:5000/app:c");
  const auto folder = ParseCacheSources("type=local,src=c,tag=t", "/w");
  ASSERT_TRUE(folder);
  EXPECT_EQ(folder->front().kind, CacheKind::kFolder);
  EXPECT_EQ(folder->front().folder, "/w/c");
  EXPECT_EQ(folder->front().name, "t");
  const std::string digest = "sha256:" + std::string(64, 'a');
  EXPECT_EQ(ParseCacheSources("type=local,src=/c,tag=t,digest=" + digest, "/w")->front().name,
            digest);
  // Whatever a service we do not know takes.
  EXPECT_EQ(ParseCacheSources("type=gha,scope=x", "/w")->front().kind, CacheKind::kUnreachable);
}

TEST(CachePlaceTest, TargetsAreRead) {
  const auto name = ParseCacheTarget("user/app:cache", "/w");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->reference, "user/app:cache");
  EXPECT_FALSE(name->every_stage);
  const auto folder = ParseCacheTarget("type=local,dest=c,mode=max,compression=zstd", "/w");
  ASSERT_TRUE(folder);
  EXPECT_EQ(folder->folder, "/w/c");
  EXPECT_EQ(folder->name, "latest");
  EXPECT_TRUE(folder->every_stage);
  const auto registry = ParseCacheTarget("type=registry,ref=a,mode=min,ignore-error=true", "/w");
  ASSERT_TRUE(registry);
  EXPECT_TRUE(registry->ignore_error);
  EXPECT_EQ(ParseCacheTarget("type=inline", "/w")->kind, CacheKind::kInline);
}

TEST(CachePlaceTest, WrongOnesAreRefused) {
  struct Row {
    std::string_view text, message;
  };
  static constexpr Row kSources[] = {
      {"type=local,dest=x", "local cache importer requires src"},
      {"type=registry", "registry cache importer requires ref"},
      {"type=registry,ref=A B", "invalid reference format: repository name (A B) must be lowercase"},
      {"type=inline", "unknown cache importer: inline"},
      {"src=x", "type required form> \"src=x\""},
      {"type=local,src=x,digset=y", "unknown option 'digset' of a local cache"},
      {"type=local,x", "invalid value x"},
  };
  for (const Row& row : kSources) {
    const auto places = ParseCacheSources(row.text, "/w");
    ASSERT_FALSE(places) << row.text;
    EXPECT_EQ(places.error().message, row.message);
  }
  static constexpr Row kTargets[] = {
      {"type=local,src=x", "local cache exporter requires dest"},
      {"type=registry,mode=max", "registry cache exporter requires ref"},
      {"type=local,dest=x,mode=all", "unsupported cache export mode: all"},
      {"type=magic", "unknown cache exporter: magic"},
  };
  for (const Row& row : kTargets) {
    const auto target = ParseCacheTarget(row.text, "/w");
    ASSERT_FALSE(target) << row.text;
    EXPECT_EQ(target.error().message, row.message);
  }
}

TEST(CachePlaceTest, ABuildArgumentAsksForAnInlineCache) {
  EXPECT_EQ(ParseCachePlaces({}, {}, {{"BUILDKIT_INLINE_CACHE", "1"}}, "/w")->targets.size(), 1u);
  EXPECT_EQ(ParseCachePlaces({}, {}, {{"BUILDKIT_INLINE_CACHE", "0"}}, "/w")->targets.size(), 0u);
}

}  // namespace
}  // namespace skiff::builder
