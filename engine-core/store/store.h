#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine-core/layout.h"
#include "engine-core/store/database.h"
#include "engine-core/store/records.h"

namespace skiff::engine::store {

template <typename T>
using Ptr = std::shared_ptr<const T>;

// Everything declared: rows of the database as other commands committed them, with this process's
// changes above them. Changes are collected and written by Commit() in one short transaction.
// Rows of auto_remove containers live in the volatile root instead and are written at once, without
// a sync. Any thread may call it; the database is opened by the first call.
//
// Uniqueness of names between processes is not decided here: callers reserve under the state lock
// (engine-core/embedded/reservation.h).
class Store {
 public:
  explicit Store(const Layout& layout) : layout_(layout) {}

  Result<std::vector<Ptr<ContainerRecord>>> Containers();
  // Full id, exact name, unique prefix of an id (reference/engine 4.1).
  Result<Ptr<ContainerRecord>> FindContainer(std::string_view ref);
  // A new container.
  Status Put(ContainerRecord record);
  // Changes one that exists, and returns how it is then. Other processes change other fields of the
  // same container meanwhile: `edit` is done once more on the row as the commit finds it, so that
  // theirs last; it must not depend on anything that does not. One that somebody has removed by
  // then does not come back.
  using Edit = std::function<void(ContainerRecord&)>;
  Result<ContainerRecord> Update(const std::string& id, Edit edit);
  Status EraseContainer(const std::string& id);

  Result<std::vector<Ptr<NetworkRecord>>> Networks();
  // Full id, name, unique prefix of an id.
  Result<Ptr<NetworkRecord>> FindNetwork(std::string_view ref);
  Status Put(NetworkRecord record);
  Status EraseNetwork(const std::string& id);

  Result<std::vector<Ptr<Volume>>> Volumes();
  Result<Ptr<Volume>> FindVolume(std::string_view name);
  Status Put(Volume volume);
  Status EraseVolume(const std::string& name);

  Result<std::vector<Ptr<ImageRecord>>> Images();
  Status Put(ImageRecord image);
  Status EraseImage(const std::string& id);
  // Canonical reference ("docker.io/library/busybox:latest") -> image id.
  Result<std::map<std::string, std::string>> References();
  // Those that stand for images of several platforms.
  Result<std::map<std::string, ReferenceRecord>> PlatformSets();
  Status PutReference(const std::string& reference, const std::string& image_id,
                      std::vector<std::string> other_platforms = {});
  Status EraseReference(const std::string& reference);
  Result<std::vector<Ptr<LayerRecord>>> Layers();
  Status Put(LayerRecord layer);
  Status EraseLayer(const std::string& id);

  Result<std::vector<Ptr<CacheEntry>>> CacheEntries();
  Status Put(CacheEntry entry);
  Status EraseCacheEntry(const std::string& key);

  // True while a change of the container, network or volume waits for a commit.
  bool Changing(const std::string& key);
  // True when Commit() would write.
  bool pending();
  Status Commit();
  // Number of transactions this object has written, for tests and the bench.
  int commits() const { return commits_; }
  // PRAGMA quick_check: kCorrupted with what it says.
  Status CheckFile();

 private:
  template <typename T>
  struct Table {
    std::map<std::string, Ptr<T>> base;
    std::map<std::string, Ptr<T>> changes;  // Null: erased.

    Ptr<T> Find(const std::string& key) const {
      if (const auto it = changes.find(key); it != changes.end()) return it->second;
      const auto it = base.find(key);
      return it == base.end() ? nullptr : it->second;
    }
    std::vector<Ptr<T>> All() const;
    void Settle();
  };

  Status Fresh();
  void EditAnew();
  Status WriteVolatile(const ContainerRecord& record);
  Status Load();
  Status LoadVolatile();
  Status FreshCache();
  Status WriteContainers();
  Status WriteOthers();
  Status WriteAll();

  Layout layout_;
  std::mutex mutex_;
  std::unique_ptr<Database> database_;
  int64_t data_version_ = -1;
  int64_t rows_stamp_ = -1;
  int commits_ = 0;
  Table<ContainerRecord> containers_;
  std::map<std::string, std::vector<Edit>> edits_;  // Of rows that others can change meanwhile.
  std::map<std::string, Ptr<ContainerRecord>> volatile_;
  Table<NetworkRecord> networks_;
  Table<Volume> volumes_;
  Table<ImageRecord> images_;
  Table<ReferenceRecord> references_;
  Table<LayerRecord> layers_;
  // Read only when somebody asks: a build may leave thousands.
  Table<CacheEntry> cache_;
  int64_t cache_version_ = -1;
};

}  // namespace skiff::engine::store
