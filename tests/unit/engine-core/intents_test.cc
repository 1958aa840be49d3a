#include "engine-core/embedded/intents.h"

#include <fcntl.h>
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

// A command may be killed while a process that it starts has not yet let go of what it has: the locks
// are held, and nobody works under them.
TEST_F(IntentsTest, OfADeadProcessAreLeftOversThoughAChildHoldsItsLocks) {
  int hold[2];
  ASSERT_EQ(::pipe2(hold, O_CLOEXEC), 0);
  int born[2];
  ASSERT_EQ(::pipe2(born, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    IntentLog log(layout_);
    if (!log.Append(Container("dead"))) ::_exit(1);
    const pid_t child = ::fork();
    if (child == 0) {
      char byte = 0;
      ::close(hold[1]);
      (void)!::write(born[1], &byte, 1);
      (void)!::read(hold[0], &byte, 1);
    }
    ::_exit(child < 0 ? 1 : 0);
  }
  ::close(hold[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  char byte = 0;
  ASSERT_EQ(::read(born[0], &byte, 1), 1);
  const auto leftovers = IntentLog(layout_).Leftovers();
  EXPECT_EQ(IntentLog(layout_).Others()->size(), 0u);
  ::close(hold[1]);
  ASSERT_TRUE(leftovers);
  ASSERT_EQ(leftovers->size(), 1u);
  EXPECT_EQ((*leftovers)[0].intents, std::vector<Intent>{Container("dead")});
}

TEST_F(IntentsTest, ATornReplacementLeavesTheOldOnes) {
  {
    IntentLog log(layout_);
    ASSERT_TRUE(log.Append(Container("a")));
    ASSERT_TRUE(log.Append(Container("b")));
    ASSERT_TRUE(log.Replace({Container("b")}));
    for (const auto& entry : std::filesystem::directory_iterator(layout_.intents())) {
      std::filesystem::resize_file(entry.path(), std::filesystem::file_size(entry.path()) - 3);
    }
  }
  const auto leftovers = IntentLog(layout_).Leftovers();
  ASSERT_EQ(leftovers->size(), 1u);
  EXPECT_EQ((*leftovers)[0].intents, (std::vector<Intent>{Container("a"), Container("b")}));
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
