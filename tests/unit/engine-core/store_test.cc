#include "engine-core/store/store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "tests/unit/engine-core/temp_roots.h"

namespace skiff::engine::store {
namespace {

class StoreTest : public TempRoots {
 protected:
  ContainerRecord Row(const std::string& id, const std::string& name) {
    ContainerRecord record;
    record.id = id;
    record.name = name;
    return record;
  }
  Store store_{layout_};
};

TEST_F(StoreTest, PendingRowsAreSeenHereAndElsewhereOnlyAfterTheCommit) {
  ASSERT_TRUE(store_.Put(Row("aaaa", "one")));
  Store other(layout_);
  EXPECT_EQ(store_.Containers()->size(), 1u);
  EXPECT_EQ(other.Containers()->size(), 0u);
  EXPECT_TRUE(store_.pending());
  ASSERT_TRUE(store_.Commit());
  EXPECT_FALSE(store_.pending());
  EXPECT_EQ(store_.commits(), 1);
  EXPECT_EQ(other.Containers()->size(), 1u);
  ASSERT_TRUE(store_.Commit());
  EXPECT_EQ(store_.commits(), 1) << "nothing to write is no transaction";
}

TEST_F(StoreTest, LookupByIdThenNameThenPrefix) {
  ASSERT_TRUE(store_.Put(Row("aaaa1", "bbbb")));
  ASSERT_TRUE(store_.Put(Row("aaaa2", "aaaa1x")));
  ASSERT_TRUE(store_.Put(Row("bbbb3", "third")));
  EXPECT_EQ((*store_.FindContainer("aaaa2"))->name, "aaaa1x");
  EXPECT_EQ((*store_.FindContainer("bbbb"))->id, "aaaa1") << "a name wins over a prefix";
  EXPECT_EQ((*store_.FindContainer("bbbb3"))->id, "bbbb3");
  const auto ambiguous = store_.FindContainer("aaaa");
  ASSERT_FALSE(ambiguous);
  EXPECT_EQ(ambiguous.error().code, Code::kInvalidArgument);
  EXPECT_EQ(ambiguous.error().message, "multiple IDs found with provided prefix: aaaa");
  const auto missing = store_.FindContainer("zzz");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "No such container: zzz");
  EXPECT_FALSE(store_.FindContainer(""));
}

TEST_F(StoreTest, NamesMoveBetweenRowsInOneCommit) {
  ASSERT_TRUE(store_.Put(Row("a", "first")));
  ASSERT_TRUE(store_.Put(Row("b", "second")));
  ASSERT_TRUE(store_.Commit());
  ASSERT_TRUE(store_.Put(Row("a", "second")));
  ASSERT_TRUE(store_.Put(Row("b", "first")));
  const auto committed = store_.Commit();
  ASSERT_TRUE(committed) << committed.error().Text();
  EXPECT_EQ((*Store(layout_).FindContainer("first"))->id, "b");
}

TEST_F(StoreTest, TwoProcessesChangeOneContainerAndNothingIsLost) {
  ASSERT_TRUE(store_.Put(Row("a", "one")));
  ASSERT_TRUE(store_.Put(Row("b", "other")));
  ASSERT_TRUE(store_.Commit());
  Store other(layout_);
  ASSERT_TRUE(other.Update("a", [](ContainerRecord& row) { row.desired = Desired::kRunning; }));
  ASSERT_TRUE(other.Update("b", [](ContainerRecord& row) { row.desired = Desired::kRunning; }));
  const auto renamed = store_.Update("a", [](ContainerRecord& row) { row.name = "two"; });
  ASSERT_TRUE(renamed);
  EXPECT_EQ(renamed->name, "two");
  ASSERT_TRUE(store_.EraseContainer("b"));
  ASSERT_TRUE(store_.Commit());
  EXPECT_EQ((*other.FindContainer("two"))->desired, Desired::kRunning) << "above what it reads";
  ASSERT_TRUE(other.Commit());
  for (Store* store : {&store_, &other}) {
    const auto rows = store->Containers();
    ASSERT_EQ(rows->size(), 1u) << "one that was removed does not come back";
    EXPECT_EQ(rows->front()->name, "two");
    EXPECT_EQ(rows->front()->desired, Desired::kRunning);
  }
  EXPECT_FALSE(store_.Update("b", [](ContainerRecord&) {}));
}

TEST_F(StoreTest, FailedCommitKeepsTheChanges) {
  ASSERT_TRUE(store_.Put(Row("a", "one")));
  ASSERT_TRUE(ConfigureFailpoints("store.before_commit=error:ENOSPC@1"));
  const auto failed = store_.Commit();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kExhausted);
  EXPECT_TRUE(store_.pending());
  ASSERT_TRUE(store_.Commit());
  ASSERT_TRUE(ConfigureFailpoints(""));
  EXPECT_EQ(Store(layout_).Containers()->size(), 1u);
}

TEST_F(StoreTest, VolatileRowsNeedNoCommitAndAreSeenByOthers) {
  Store other(layout_);
  EXPECT_EQ(other.Containers()->size(), 0u);
  ContainerRecord record = Row("a", "brief");
  record.config.auto_remove = true;
  ASSERT_TRUE(store_.Put(record));
  EXPECT_FALSE(store_.pending());
  EXPECT_EQ(other.Containers()->size(), 1u);
  EXPECT_EQ((*other.FindContainer("brief"))->id, "a");
  ASSERT_TRUE(other.EraseContainer("a"));
  EXPECT_EQ(store_.Containers()->size(), 0u);
}

TEST_F(StoreTest, ErasingARowThatWasNeverWrittenWritesNothing) {
  ASSERT_TRUE(store_.Put(Row("a", "one")));
  ASSERT_TRUE(store_.EraseContainer("a"));
  EXPECT_FALSE(store_.pending());
}

TEST_F(StoreTest, EveryTableIsWrittenAndErased) {
  NetworkRecord network;
  network.network.id = "n";
  network.network.config.name = "net";
  Volume volume;
  volume.config.name = "vol";
  ImageRecord image;
  image.image.id = "sha256:i";
  ASSERT_TRUE(store_.Put(network));
  ASSERT_TRUE(store_.Put(volume));
  ASSERT_TRUE(store_.Put(image));
  ASSERT_TRUE(store_.Put(LayerRecord{"l", 7, 8, {"sha256:b", 5, "gzip"}, 9}));
  ASSERT_TRUE(store_.PutReference("docker.io/library/x:latest", "sha256:i", {"sha256:a", "sha256:b"}));
  ASSERT_TRUE(store_.Commit());
  Store other(layout_);
  EXPECT_EQ((*other.FindNetwork("net"))->network.id, "n");
  EXPECT_TRUE(other.FindVolume("vol"));
  EXPECT_EQ(other.Images()->size(), 1u);
  EXPECT_EQ(other.References()->at("docker.io/library/x:latest"), "sha256:i");
  EXPECT_EQ(other.PlatformSets()->at("docker.io/library/x:latest").other_platforms,
            (std::vector<std::string>{"sha256:a", "sha256:b"}));
  EXPECT_EQ((*other.Layers())[0]->size, 7);
  EXPECT_EQ((*other.Layers())[0]->packed.digest, "sha256:b");
  EXPECT_EQ((*other.Layers())[0]->packed.size, 5);
  EXPECT_EQ((*other.Layers())[0]->tar_size, 9);
  EXPECT_EQ((*other.Layers())[0]->packed.media_type, "gzip");
  ASSERT_TRUE(other.EraseNetwork("n"));
  ASSERT_TRUE(other.EraseVolume("vol"));
  ASSERT_TRUE(other.EraseImage("sha256:i"));
  ASSERT_TRUE(other.EraseReference("docker.io/library/x:latest"));
  ASSERT_TRUE(other.EraseLayer("l"));
  ASSERT_TRUE(other.Commit());
  EXPECT_EQ(store_.Networks()->size() + store_.Volumes()->size() + store_.Images()->size() +
                store_.References()->size() + store_.PlatformSets()->size() +
                store_.Layers()->size(),
            0u);
  EXPECT_EQ(store_.FindNetwork("net").error().message, "network net not found");
  EXPECT_EQ(store_.FindVolume("vol").error().message, "get vol: no such volume");
}

TEST_F(StoreTest, RebootDiscardsTheVolatileRootOnly) {
  ASSERT_TRUE(store_.Put(Row("a", "one")));
  ASSERT_TRUE(store_.Commit());
  ASSERT_TRUE(MakeDirectories(layout_.run_container("a")));
  ASSERT_EQ(::setenv("SKIFF_TEST_BOOT_ID", "later", 1), 0);
  EXPECT_FALSE(layout_.Prepared());
  EXPECT_EQ(::unlink(layout_.fresh_boot().c_str()), 0);
  const auto prepared = layout_.Prepare();
  ::unsetenv("SKIFF_TEST_BOOT_ID");
  ASSERT_TRUE(prepared);
  EXPECT_EQ(::access(layout_.fresh_boot().c_str(), F_OK), 0);
  EXPECT_NE(::access(layout_.run_container("a").c_str(), F_OK), 0);
  EXPECT_EQ(Store(layout_).Containers()->size(), 1u);
}

}  // namespace
}  // namespace skiff::engine::store
