#include "engine-core/project_lock.h"

#include <thread>

#include "tests/unit/engine-core/temp_roots.h"

namespace skiff::engine {
namespace {

using ProjectLockTest = TempRoots;

TEST_F(ProjectLockTest, ASecondCommandWaitsAndSaysSo) {
  auto first = LockProject(layout_.run(), "shop");
  ASSERT_TRUE(first) << first.error().Text();
  auto held = std::make_unique<FileLock>(std::move(*first));
  EXPECT_TRUE(LockProject(layout_.run(), "another"));
  bool waited = false;
  std::thread second([&] {
    // The first one ends when it is told that somebody waits.
    const auto lock = LockProject(layout_.run(), "shop", [&] {
      waited = true;
      held.reset();
    });
    EXPECT_TRUE(lock);
  });
  second.join();
  EXPECT_TRUE(waited);
}

}  // namespace
}  // namespace skiff::engine
