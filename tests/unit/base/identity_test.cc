#include "base/identity.h"

#include <gtest/gtest.h>

#include <set>

namespace skiff {
namespace {

TEST(Sha256, MatchesTheStandardsExamples) {  // FIPS 180-4, appendix B.
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 million;
  for (int i = 0; i < 1000; ++i) million.Update(std::string(1000, 'a'));
  EXPECT_EQ(million.FinishHex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(NewObjectId, IsUniqueAndNeverStartsWithTwelveDigits) {
  std::set<std::string> seen;
  for (int i = 0; i < 2000; ++i) {
    const std::string id = NewObjectId();
    ASSERT_EQ(id.size(), 64u);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_LT(id.find_first_not_of("0123456789"), 12u);
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(BootId, IsTheKernelsWithoutItsNewline) {
  const std::string id = BootId().value();
  EXPECT_EQ(id.size(), 36u);
}

}  // namespace
}  // namespace skiff
