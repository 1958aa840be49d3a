#include "engine-core/embedded/intents.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "tests/unit/engine-core/temp_roots.h"

namespace skiff::engine::embedded {
namespace {

class IntentsTest : public TempRoots {
 protected:
  Intent Container(const std::string& id) {
    Intent intent;
    intent.id = id;
    intent.name = "name-" + id;
    intent.addresses = {"net/10.0.0.2", "net/fd00::2"};
    return intent;
  }
};

TEST_F(IntentsTest, AreSeenByOthersWhileTheirOwnerLives) {
  IntentLog mine(layout_);
  IntentLog other(layout_);
  ASSERT_TRUE(mine.Append(Container("a")));
  ASSERT_TRUE(mine.Append(Container("b")));
  EXPECT_EQ(mine.Others()->size(), 0u);
  EXPECT_EQ(*other.Others(), (std::vector<Intent>{Container("a"), Container("b")}));
  EXPECT_EQ(other.Leftovers()->size(), 0u);
  ASSERT_TRUE(mine.Replace({Container("b")}));
  EXPECT_EQ(*other.Others(), std::vector<Intent>{Container("b")});
  ASSERT_TRUE(mine.Replace({}));
  EXPECT_EQ(other.Others()->size(), 0u);
}

TEST_F(IntentsTest, OfADeadProcessAreLeftOvers) {
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    IntentLog log(layout_);
    if (!log.Append(Container("dead"))) ::_exit(1);
    ::_exit(0);  // Without the destructor: as a killed process.
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  IntentLog mine(layout_);
  EXPECT_EQ(mine.Others()->size(), 0u);
  const auto leftovers = mine.Leftovers();
  ASSERT_TRUE(leftovers);
  ASSERT_EQ(leftovers->size(), 1u);
  EXPECT_EQ((*leftovers)[0].intents, std::vector<Intent>{Container("dead")});
  ASSERT_TRUE(IntentLog::Forget((*leftovers)[0]));
  EXPECT_TRUE(std::filesystem::is_empty(layout_.intents()));
}

TEST_F(IntentsTest, ATornLastEntryIsLeftOut) {
  {
    IntentLog log(layout_);
    ASSERT_TRUE(log.Append(Container("whole")));
    ASSERT_TRUE(log.Append(Container("torn")));
    for (const auto& entry : std::filesystem::directory_iterator(layout_.intents())) {
      std::filesystem::resize_file(entry.path(), std::filesystem::file_size(entry.path()) - 3);
    }
  }
  const auto leftovers = IntentLog(layout_).Leftovers();
  ASSERT_EQ(leftovers->size(), 1u);
  EXPECT_EQ((*leftovers)[0].intents, std::vector<Intent>{Container("whole")});
}

TEST_F(IntentsTest, NothingIsLeftWhenAllIsDone) {
  {
    IntentLog log(layout_);
    ASSERT_TRUE(log.Append(Container("a")));
    ASSERT_TRUE(log.Replace({}));
  }
  EXPECT_TRUE(std::filesystem::is_empty(layout_.intents()));
}

}  // namespace
}  // namespace skiff::engine::embedded
