#include "engine-core/store/store.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/text.h"

namespace skiff::engine::store {
namespace {

constexpr std::array kMigrations = {
    Migration{1, R"sql(
      CREATE TABLE containers(id TEXT PRIMARY KEY, name TEXT UNIQUE, image_id TEXT NOT NULL,
                              created_at INTEGER NOT NULL, desired INTEGER NOT NULL,
                              document TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE networks(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE,
                            document TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE volumes(name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE images(id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE image_references(name TEXT PRIMARY KEY,
                                    image_id TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE layers(id TEXT PRIMARY KEY, size INTEGER NOT NULL,
                          created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    )sql"},
    Migration{2, R"sql(
      CREATE TABLE build_cache(key TEXT PRIMARY KEY,
                               document TEXT NOT NULL) STRICT, WITHOUT ROWID;
    )sql"},
    Migration{3, R"sql(
      ALTER TABLE image_references ADD COLUMN other_platforms TEXT NOT NULL DEFAULT '';
    )sql"},
    Migration{4, R"sql(
      ALTER TABLE layers ADD COLUMN packed_digest TEXT NOT NULL DEFAULT '';
      ALTER TABLE layers ADD COLUMN packed_size INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE layers ADD COLUMN packed_type TEXT NOT NULL DEFAULT '';
      ALTER TABLE layers ADD COLUMN tar_size INTEGER NOT NULL DEFAULT 0;
    )sql"},
};

std::string Text(std::string_view text) {
  return std::string(text);
}

std::vector<std::string> Words(const std::string& text) {
  const std::vector<std::string_view> words = SplitWords(text);
  return {words.begin(), words.end()};
}

template <typename Record>
Result<std::map<std::string, Ptr<Record>>> LoadDocuments(Database& database, const char* sql) {
  std::map<std::string, Ptr<Record>> rows;
  SKIFF_ASSIGN(Statement statement, database.Prepare(sql));
  while (true) {
    SKIFF_ASSIGN(const bool more, statement.Step());
    if (!more) return rows;
    auto record = std::make_shared<Record>();
    SKIFF_TRY(Decode(statement.Text(1), record.get()));
    rows[statement.Text(0)] = std::move(record);
  }
}

Result<std::map<std::string, Ptr<ContainerRecord>>> LoadContainers(Database& database) {
  std::map<std::string, Ptr<ContainerRecord>> rows;
  SKIFF_ASSIGN(Statement statement,
               database.Prepare("SELECT id, document, name, image_id, created_at, desired "
                                "FROM containers"));
  while (true) {
    SKIFF_ASSIGN(const bool more, statement.Step());
    if (!more) return rows;
    auto record = std::make_shared<ContainerRecord>();
    SKIFF_TRY(Decode(statement.Text(1), record.get()));
    record->id = statement.Text(0);
    record->name = statement.Text(2);
    record->image_id = statement.Text(3);
    record->created_at = statement.Integer(4);
    record->desired = static_cast<Desired>(statement.Integer(5));
    rows[record->id] = std::move(record);
  }
}

// Unique prefix of an id among records that have an `id(record)`.
template <typename Rows, typename Id, typename Name>
auto FindByReference(const Rows& rows, std::string_view ref, Id id, Name name, bool* ambiguous) {
  typename Rows::value_type found = nullptr;
  *ambiguous = false;
  for (const auto& row : rows) {
    if (id(*row) == ref) return row;
  }
  for (const auto& row : rows) {
    if (!ref.empty() && name(*row) == ref) return row;
  }
  for (const auto& row : rows) {
    if (ref.empty() || !id(*row).starts_with(ref)) continue;
    *ambiguous = found != nullptr;
    if (*ambiguous) return found;
    found = row;
  }
  return found;
}

}  // namespace

template <typename T>
std::vector<Ptr<T>> Store::Table<T>::All() const {
  std::vector<Ptr<T>> rows;
  rows.reserve(base.size() + changes.size());
  for (const auto& [key, row] : base) {
    if (!changes.contains(key)) rows.push_back(row);
  }
  for (const auto& [key, row] : changes) {
    if (row) rows.push_back(row);
  }
  return rows;
}

template <typename T>
void Store::Table<T>::Settle() {
  for (auto& [key, row] : changes) {
    if (row) {
      base[key] = std::move(row);
    } else {
      base.erase(key);
    }
  }
  changes.clear();
}

Status Store::Fresh() {
  if (!database_) {
    SKIFF_ASSIGN(database_, Database::Open(layout_.database(), kMigrations));
  }
  // Read before the rows: a commit in between is then seen as a change the next time.
  SKIFF_ASSIGN(const int64_t version, database_->DataVersion());
  if (version != data_version_) {
    SKIFF_TRY(Load());
    EditAnew();
    data_version_ = version;
  }
  return LoadVolatile();
}

// What this process changes, above what others have committed since.
void Store::EditAnew() {
  for (auto it = edits_.begin(); it != edits_.end();) {
    const auto& [id, edits] = *it;
    const auto row = containers_.base.find(id);
    if (row == containers_.base.end()) {
      // Removed meanwhile: it does not rise from the dead.
      containers_.changes.erase(id);
      it = edits_.erase(it);
      continue;
    }
    auto record = std::make_shared<ContainerRecord>(*row->second);
    for (const Edit& edit : edits) edit(*record);
    containers_.changes[id] = std::move(record);
    ++it;
  }
}

Status Store::Load() {
  // One read transaction, so that the tables belong together.
  SKIFF_TRY(database_->Execute("BEGIN"));
  const Status loaded = [&]() -> Status {
    SKIFF_ASSIGN(containers_.base, LoadContainers(*database_));
    SKIFF_ASSIGN(networks_.base,
                 LoadDocuments<NetworkRecord>(*database_, "SELECT id, document FROM networks"));
    SKIFF_ASSIGN(volumes_.base,
                 LoadDocuments<Volume>(*database_, "SELECT name, document FROM volumes"));
    SKIFF_ASSIGN(images_.base,
                 LoadDocuments<ImageRecord>(*database_, "SELECT id, document FROM images"));
    references_.base.clear();
    SKIFF_ASSIGN(Statement references,
                 database_->Prepare("SELECT name, image_id, other_platforms FROM image_references"));
    while (true) {
      SKIFF_ASSIGN(const bool more, references.Step());
      if (!more) break;
      references_.base[references.Text(0)] = std::make_shared<ReferenceRecord>(
          ReferenceRecord{references.Text(1), Words(references.Text(2))});
    }
    layers_.base.clear();
    SKIFF_ASSIGN(Statement layers, database_->Prepare("SELECT id, size, created_at, packed_digest, "
                                                            "packed_size, packed_type, tar_size "
                                                            "FROM layers"));
    while (true) {
      SKIFF_ASSIGN(const bool more, layers.Step());
      if (!more) break;
      layers_.base[layers.Text(0)] = std::make_shared<LayerRecord>(
          LayerRecord{layers.Text(0), layers.Integer(1), layers.Integer(2),
                      {layers.Text(3), layers.Integer(4), layers.Text(5)},
                      layers.Integer(6)});
    }
    return {};
  }();
  SKIFF_TRY(database_->Execute("COMMIT"));
  return loaded;
}

Status Store::LoadVolatile() {
  struct stat info {};
  if (::stat(layout_.run_rows().c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return FailErrno("cannot read '" + layout_.run_rows() + "'");
  }
  const int64_t stamp = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (stamp == rows_stamp_) return {};
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(layout_.run_rows().c_str()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + layout_.run_rows() + "'");
  std::map<std::string, Ptr<ContainerRecord>> rows;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (!name.ends_with(".json") || name.starts_with(".")) continue;
    const auto text = ReadFile(layout_.run_rows() + "/" + name);
    if (!text) continue;  // Removed meanwhile.
    auto record = std::make_shared<ContainerRecord>();
    SKIFF_TRY(DecodeWhole(*text, record.get()));
    rows[record->id] = std::move(record);
  }
  volatile_ = std::move(rows);
  // A stamp as young as the clock's grain may hide a second change: it is not trusted yet.
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  const bool settled = now.tv_sec * 1'000'000'000 + now.tv_nsec - stamp > 20'000'000;
  rows_stamp_ = settled ? stamp : -1;
  return {};
}

Result<std::vector<Ptr<ContainerRecord>>> Store::Containers() {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  auto rows = containers_.All();
  for (const auto& [id, row] : volatile_) rows.push_back(row);
  return rows;
}

Result<Ptr<ContainerRecord>> Store::FindContainer(std::string_view ref) {
  SKIFF_ASSIGN(const auto rows, Containers());
  bool ambiguous = false;
  auto found = FindByReference(
      rows, ref, [](const ContainerRecord& row) -> const std::string& { return row.id; },
      [](const ContainerRecord& row) -> const std::string& { return row.name; }, &ambiguous);
  if (ambiguous) {
    return Fail(Code::kInvalidArgument, "multiple IDs found with provided prefix: " + Text(ref));
  }
  if (!found) return Fail(Code::kNotFound, "No such container: " + Text(ref));
  return found;
}

Status Store::Put(ContainerRecord record) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  if (record.config.auto_remove) return WriteVolatile(record);
  const std::string id = record.id;
  containers_.changes[id] = std::make_shared<ContainerRecord>(std::move(record));
  return {};
}

Status Store::WriteVolatile(const ContainerRecord& record) {
  SKIFF_TRY(Failpoint("store.volatile_row"));
  SKIFF_TRY(WriteFileAtomically(layout_.volatile_row(record.id), EncodeWhole(record), 0600,
                                Durability::kVolatile));
  rows_stamp_ = -1;
  return {};
}

Result<ContainerRecord> Store::Update(const std::string& id, Edit edit) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  if (volatile_.contains(id)) {
    // Written at once: nobody else may read it before and write it after.
    SKIFF_ASSIGN(const FileLock writer,
                 FileLock::Acquire(layout_.lock("rows"), FileLock::Mode::kExclusive));
    rows_stamp_ = -1;
    SKIFF_TRY(LoadVolatile());
    const auto row = volatile_.find(id);
    if (row == volatile_.end()) return Fail(Code::kNotFound, "No such container: " + id);
    ContainerRecord record = *row->second;
    edit(record);
    SKIFF_TRY(WriteVolatile(record));
    return record;
  }
  const auto row = containers_.Find(id);
  if (!row) return Fail(Code::kNotFound, "No such container: " + id);
  auto record = std::make_shared<ContainerRecord>(*row);
  edit(*record);
  if (containers_.base.contains(id)) edits_[id].push_back(std::move(edit));
  containers_.changes[id] = record;
  return *record;
}

Status Store::EraseContainer(const std::string& id) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  if (volatile_.contains(id)) {
    SKIFF_TRY(Failpoint("store.erase_volatile_row"));
    if (::unlink(layout_.volatile_row(id).c_str()) != 0 && errno != ENOENT) {
      return FailErrno("cannot remove '" + layout_.volatile_row(id) + "'");
    }
    rows_stamp_ = -1;
    return {};
  }
  edits_.erase(id);
  if (containers_.base.contains(id)) {
    containers_.changes[id] = nullptr;
  } else {
    containers_.changes.erase(id);
  }
  return {};
}

// The plain tables differ only in their type and key.
#define SKIFF_STORE_TABLE(Type, Plural, Erase, table, key) \
  Result<std::vector<Ptr<Type>>> Store::Plural() {         \
    const std::lock_guard lock(mutex_);                    \
    SKIFF_TRY(Fresh());                                    \
    return table.All();                                    \
  }                                                        \
  Status Store::Put(Type record) {                         \
    const std::lock_guard lock(mutex_);                    \
    SKIFF_TRY(Fresh());                                    \
    auto row = std::make_shared<Type>(std::move(record));  \
    const std::string row_key = row->key;                  \
    table.changes[row_key] = std::move(row);               \
    return {};                                             \
  }                                                        \
  Status Store::Erase(const std::string& row_key) {        \
    const std::lock_guard lock(mutex_);                    \
    SKIFF_TRY(Fresh());                                    \
    if (table.base.contains(row_key)) {                    \
      table.changes[row_key] = nullptr;                    \
    } else {                                               \
      table.changes.erase(row_key);                        \
    }                                                      \
    return {};                                             \
  }
SKIFF_STORE_TABLE(NetworkRecord, Networks, EraseNetwork, networks_, network.id)
SKIFF_STORE_TABLE(Volume, Volumes, EraseVolume, volumes_, config.name)
SKIFF_STORE_TABLE(ImageRecord, Images, EraseImage, images_, image.id)
SKIFF_STORE_TABLE(LayerRecord, Layers, EraseLayer, layers_, id)
#undef SKIFF_STORE_TABLE

Status Store::FreshCache() {
  SKIFF_TRY(Fresh());
  if (cache_version_ == data_version_) return {};
  SKIFF_ASSIGN(cache_.base,
               LoadDocuments<CacheEntry>(*database_, "SELECT key, document FROM build_cache"));
  cache_version_ = data_version_;
  return {};
}

Result<std::vector<Ptr<CacheEntry>>> Store::CacheEntries() {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(FreshCache());
  return cache_.All();
}

Status Store::Put(CacheEntry entry) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(FreshCache());
  const std::string key = entry.key;
  cache_.changes[key] = std::make_shared<CacheEntry>(std::move(entry));
  return {};
}

Status Store::EraseCacheEntry(const std::string& key) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(FreshCache());
  cache_.changes[key] = nullptr;
  return {};
}

Result<Ptr<NetworkRecord>> Store::FindNetwork(std::string_view ref) {
  SKIFF_ASSIGN(const auto rows, Networks());
  bool ambiguous = false;
  auto found = FindByReference(
      rows, ref, [](const NetworkRecord& row) -> const std::string& { return row.network.id; },
      [](const NetworkRecord& row) -> const std::string& { return row.network.config.name; },
      &ambiguous);
  if (ambiguous) {
    return Fail(Code::kInvalidArgument,
                "network " + Text(ref) + " is ambiguous (several ids begin with it)");
  }
  if (!found) return Fail(Code::kNotFound, "network " + Text(ref) + " not found");
  return found;
}

Result<Ptr<Volume>> Store::FindVolume(std::string_view name) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  auto row = volumes_.Find(Text(name));
  if (!row) return Fail(Code::kNotFound, "get " + Text(name) + ": no such volume");
  return row;
}

Result<std::map<std::string, std::string>> Store::References() {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  std::map<std::string, std::string> all;
  for (const auto& [name, row] : references_.base) all[name] = row->image_id;
  for (const auto& [name, row] : references_.changes) {
    if (row) {
      all[name] = row->image_id;
    } else {
      all.erase(name);
    }
  }
  return all;
}

Result<std::map<std::string, ReferenceRecord>> Store::PlatformSets() {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  std::map<std::string, ReferenceRecord> sets;
  for (const auto& [name, row] : references_.base) {
    if (!references_.changes.contains(name) && !row->other_platforms.empty()) sets[name] = *row;
  }
  for (const auto& [name, row] : references_.changes) {
    if (row && !row->other_platforms.empty()) sets[name] = *row;
  }
  return sets;
}

Status Store::PutReference(const std::string& reference, const std::string& image_id,
                           std::vector<std::string> other_platforms) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  references_.changes[reference] =
      std::make_shared<ReferenceRecord>(ReferenceRecord{image_id, std::move(other_platforms)});
  return {};
}

Status Store::EraseReference(const std::string& reference) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  references_.changes[reference] = nullptr;
  return {};
}

bool Store::Changing(const std::string& key) {
  const std::lock_guard lock(mutex_);
  return containers_.changes.contains(key) || networks_.changes.contains(key) ||
         volumes_.changes.contains(key);
}

bool Store::pending() {
  const std::lock_guard lock(mutex_);
  return !containers_.changes.empty() || !networks_.changes.empty() || !volumes_.changes.empty() ||
         !images_.changes.empty() || !references_.changes.empty() || !layers_.changes.empty() ||
         !cache_.changes.empty();
}

Status Store::WriteContainers() {
  SKIFF_ASSIGN(Statement erase, database_->Prepare("DELETE FROM containers WHERE id=?1"));
  // Names may move between rows of one commit: all are given up before any is taken.
  SKIFF_ASSIGN(Statement unname, database_->Prepare("UPDATE containers SET name=NULL WHERE id=?1"));
  for (const auto& [id, row] : containers_.changes) {
    Statement& statement = row ? unname : erase;
    statement.Bind(1, id);
    SKIFF_TRY(statement.Step());
    statement.Reset();
  }
  SKIFF_ASSIGN(Statement put,
               database_->Prepare(
                   "INSERT INTO containers(id, name, image_id, created_at, desired, document) "
                   "VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(id) DO UPDATE SET name=?2, image_id=?3, "
                   "created_at=?4, desired=?5, document=?6"));
  for (const auto& [id, row] : containers_.changes) {
    if (!row) continue;
    put.Bind(1, id);
    if (row->name.empty()) {
      put.BindNull(2);
    } else {
      put.Bind(2, row->name);
    }
    put.Bind(3, row->image_id);
    put.Bind(4, row->created_at);
    put.Bind(5, static_cast<int64_t>(row->desired));
    put.Bind(6, Encode(*row));
    SKIFF_TRY(put.Step());
    put.Reset();
  }
  return {};
}

namespace {

template <typename Changes, typename BindRow>
Status WriteChanges(Database& database, const Changes& changes, const char* erase_sql,
                    const char* put_sql, BindRow bind) {
  if (changes.empty()) return {};
  SKIFF_ASSIGN(Statement erase, database.Prepare(erase_sql));
  for (const auto& [key, row] : changes) {
    if (row) continue;
    erase.Bind(1, key);
    SKIFF_TRY(erase.Step());
    erase.Reset();
  }
  SKIFF_ASSIGN(Statement put, database.Prepare(put_sql));
  for (const auto& [key, row] : changes) {
    if (!row) continue;
    put.Bind(1, key);
    bind(put, *row);
    SKIFF_TRY(put.Step());
    put.Reset();
  }
  return {};
}

}  // namespace

Status Store::WriteOthers() {
  SKIFF_TRY(WriteChanges(*database_, networks_.changes, "DELETE FROM networks WHERE id=?1",
                         "INSERT INTO networks(id, name, document) VALUES(?1,?2,?3) "
                         "ON CONFLICT(id) DO UPDATE SET name=?2, document=?3",
                         [](Statement& put, const NetworkRecord& row) {
                           put.Bind(2, row.network.config.name);
                           put.Bind(3, Encode(row));
                         }));
  SKIFF_TRY(WriteChanges(*database_, volumes_.changes, "DELETE FROM volumes WHERE name=?1",
                         "INSERT OR REPLACE INTO volumes(name, document) VALUES(?1,?2)",
                         [](Statement& put, const Volume& row) { put.Bind(2, Encode(row)); }));
  SKIFF_TRY(WriteChanges(*database_, images_.changes, "DELETE FROM images WHERE id=?1",
                         "INSERT OR REPLACE INTO images(id, document) VALUES(?1,?2)",
                         [](Statement& put, const ImageRecord& row) { put.Bind(2, Encode(row)); }));
  SKIFF_TRY(WriteChanges(*database_, references_.changes,
                         "DELETE FROM image_references WHERE name=?1",
                         "INSERT OR REPLACE INTO image_references(name, image_id, other_platforms) "
                         "VALUES(?1,?2,?3)",
                         [](Statement& put, const ReferenceRecord& row) {
                           put.Bind(2, row.image_id);
                           put.Bind(3, Join(row.other_platforms, " "));
                         }));
  SKIFF_TRY(WriteChanges(*database_, cache_.changes, "DELETE FROM build_cache WHERE key=?1",
                         "INSERT OR REPLACE INTO build_cache(key, document) VALUES(?1,?2)",
                         [](Statement& put, const CacheEntry& row) { put.Bind(2, Encode(row)); }));
  return WriteChanges(*database_, layers_.changes, "DELETE FROM layers WHERE id=?1",
                      "INSERT OR REPLACE INTO layers(id, size, created_at, packed_digest, "
                      "packed_size, packed_type, tar_size) VALUES(?1,?2,?3,?4,?5,?6,?7)",
                      [](Statement& put, const LayerRecord& row) {
                        put.Bind(2, row.size);
                        put.Bind(3, row.created_at);
                        put.Bind(4, row.packed.digest);
                        put.Bind(5, row.packed.size);
                        put.Bind(6, row.packed.media_type);
                        put.Bind(7, row.tar_size);
                      });
}

Status Store::WriteAll() {
  if (!containers_.changes.empty()) SKIFF_TRY(WriteContainers());
  SKIFF_TRY(WriteOthers());
  SKIFF_TRY(Failpoint("store.before_commit"));
  return database_->Execute("COMMIT");
}

Status Store::Commit() {
  if (!pending()) return {};
  // Writers queue here: SQLite's own waiting is a poll without fairness.
  SKIFF_ASSIGN(const FileLock writer,
               FileLock::Acquire(layout_.lock("store"), FileLock::Mode::kExclusive));
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  SKIFF_TRY(database_->Execute("BEGIN IMMEDIATE"));
  if (Status written = WriteAll(); !written) {
    // The changes stay pending; a failed rollback would only repeat the first failure.
    [[maybe_unused]] const Status undone = database_->Execute("ROLLBACK");
    return written;
  }
  ++commits_;
  edits_.clear();
  containers_.Settle();
  networks_.Settle();
  volumes_.Settle();
  images_.Settle();
  references_.Settle();
  layers_.Settle();
  cache_.Settle();
  return Failpoint("store.after_commit");
}

Status Store::CheckFile() {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Fresh());
  SKIFF_ASSIGN(Statement check, database_->Prepare("PRAGMA quick_check"));
  SKIFF_TRY(check.Step());
  if (const std::string text = check.Text(0); text != "ok") {
    return Fail(Code::kCorrupted, "the database '" + layout_.database() + "' is damaged: " + text);
  }
  return {};
}

}  // namespace skiff::engine::store
