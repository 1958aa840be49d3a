#include "engine-core/image/work_folder.h"

#include <unistd.h>

#include <filesystem>

#include "tests/unit/engine-core/temp_roots.h"

namespace skiff::engine::image {
namespace {

using WorkFolderTest = TempRoots;

TEST_F(WorkFolderTest, GoesWithItsObjectAndIsNotTakenFromUnderIt) {
  {
    const auto work = WorkFolder::Make(layout_);
    ASSERT_TRUE(work) << work.error().Text();
    EXPECT_TRUE(std::filesystem::is_directory(work->path()));
    EXPECT_EQ(*WorkFolder::RemoveAbandoned(layout_), 0);
    EXPECT_TRUE(std::filesystem::is_directory(work->path()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(layout_.tmp()));
}

TEST_F(WorkFolderTest, OneOfADeadProcessIsRemoved) {
  // A lock file nobody holds, with a folder beside it, is what a killed process leaves.
  ASSERT_TRUE(WriteFileAtomically(layout_.tmp() + "/dead.lock", "", 0600, Durability::kVolatile));
  ASSERT_TRUE(MakeDirectories(layout_.tmp() + "/dead/deep"));
  EXPECT_EQ(*WorkFolder::RemoveAbandoned(layout_), 1);
  EXPECT_TRUE(std::filesystem::is_empty(layout_.tmp()));
}

}  // namespace
}  // namespace skiff::engine::image
