#include "engine-core/embedded/names.h"

#include <gtest/gtest.h>

#include <set>

namespace skiff::engine::embedded {
namespace {

TEST(NamesTest, GrammarIsDockers) {
  for (const char* name : {"ab", "a.b", "A_1", "0-x", "a-----b"}) {
    EXPECT_TRUE(ValidateContainerName(name)) << name;
  }
  for (const char* name : {"", "a", "-a", ".a", "_a", "a b", "a/b", "a:b", "\xc3\xa4x"}) {
    EXPECT_FALSE(ValidateContainerName(name)) << name;
  }
  EXPECT_EQ(ValidateContainerName("a b").error().message,
            "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

TEST(NamesTest, GeneratedNamesAreValidAndMany) {
  std::set<std::string> names;
  for (uint64_t seed = 0; seed < 64 * 64; ++seed) {
    const std::string name = GeneratedName(seed, 0);
    EXPECT_TRUE(ValidateContainerName(name)) << name;
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 64u * 64u);
  EXPECT_EQ(GeneratedName(3, 2), GeneratedName(3, 0) + "2");
}

}  // namespace
}  // namespace skiff::engine::embedded
