#include "engine-core/transfer/tree_writer.h"

#include <gtest/gtest.h>

namespace skiff::engine::transfer {
namespace {

TEST(CleanEntryPathTest, Table) {
  const std::pair<std::string, std::string> good[] = {
      {"", ""},
      {".", ""},
      {"./", ""},
      {"/", ""},
      {"a", "a"},
      {"./a/b", "a/b"},
      {"/etc/x", "etc/x"},
      {"a//b/./c/", "a/b/c"},
      {"..a/b..", "..a/b.."},
  };
  for (const auto& [path, clean] : good) {
    const auto result = CleanEntryPath(path);
    ASSERT_TRUE(result) << path;
    EXPECT_EQ(*result, clean) << path;
  }
  std::string deep;
  for (int i = 0; i < 1100; ++i) deep += "a/";
  for (const std::string& path : {std::string(".."), std::string("../x"), std::string("a/../b"),
                                  std::string("a/.."), std::string("/../x"), std::string("a\0b", 3),
                                  std::string(256, 'n'), std::string(5000, '/'), deep}) {
    EXPECT_FALSE(CleanEntryPath(path)) << path.substr(0, 40);
  }
}

}  // namespace
}  // namespace skiff::engine::transfer
