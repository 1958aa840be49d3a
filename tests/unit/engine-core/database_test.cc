#include "engine-core/store/database.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/unit/engine-core/temp_roots.h"

namespace skiff::engine::store {
namespace {

using DatabaseTest = TempRoots;

constexpr std::array kFirst = {Migration{1, "CREATE TABLE a(x INTEGER) STRICT"}};
constexpr std::array kSecond = {Migration{1, "CREATE TABLE a(x INTEGER) STRICT"},
                                Migration{2, "ALTER TABLE a ADD COLUMN y TEXT"}};

TEST_F(DatabaseTest, MigrationKeepsTheRowsAndACopyOfTheOldFile) {
  const std::string path = layout_.database();
  {
    auto database = Database::Open(path, kFirst);
    ASSERT_TRUE(database) << database.error().Text();
    ASSERT_TRUE((*database)->Execute("INSERT INTO a VALUES(7)"));
  }
  auto migrated = Database::Open(path, kSecond);
  ASSERT_TRUE(migrated) << migrated.error().Text();
  auto rows = (*migrated)->Prepare("SELECT x, y FROM a");
  ASSERT_TRUE(rows);
  ASSERT_TRUE(rows->Step().value_or(false));
  EXPECT_EQ(rows->Integer(0), 7);
  EXPECT_TRUE(rows->IsNull(1));
  auto copy = Database::Open(path + ".backup-v1", kFirst);
  ASSERT_TRUE(copy) << copy.error().Text();
}

TEST_F(DatabaseTest, NewerSchemaIsRefusedInWords) {
  const std::string path = layout_.database();
  ASSERT_TRUE(Database::Open(path, kSecond));
  const auto refused = Database::Open(path, kFirst);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_EQ(refused.error().message, "the database '" + path +
                                         "' has schema 2, made by a newer skiff; this one knows "
                                         "schema 1");
}

TEST_F(DatabaseTest, FailedMigrationLeavesTheOldSchema) {
  const std::string path = layout_.database();
  ASSERT_TRUE(Database::Open(path, kFirst));
  constexpr std::array kBroken = {kFirst[0], Migration{2, "ALTER TABLE nothing ADD COLUMN y TEXT"}};
  ASSERT_FALSE(Database::Open(path, kBroken));
  EXPECT_TRUE(Database::Open(path, kFirst));
}

TEST_F(DatabaseTest, FileThatIsNoDatabaseIsCorrupted) {
  ASSERT_TRUE(
      WriteFileAtomically(layout_.database(), std::string(4096, 'x'), 0600, Durability::kVolatile));
  const auto opened = Database::Open(layout_.database(), kFirst);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kCorrupted);
}

}  // namespace
}  // namespace skiff::engine::store
