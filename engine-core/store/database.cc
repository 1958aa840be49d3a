#include "engine-core/store/database.h"

#include <sqlite3.h>
#include <unistd.h>

#include "base/failpoint.h"

namespace skiff::engine::store {
namespace {

Code CodeOf(int result) {
  switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kUnavailable;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return Code::kExhausted;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Code::kPermissionDenied;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kCorrupted;
    case SQLITE_CONSTRAINT:
      return Code::kAlreadyExists;
    default:
      return Code::kSystem;
  }
}

tl::unexpected<Error> FailSqlite(sqlite3* handle, const std::string& what) {
  const int result = handle != nullptr ? sqlite3_extended_errcode(handle) : SQLITE_NOMEM;
  const char* text = handle != nullptr ? sqlite3_errmsg(handle) : "out of memory";
  return Fail(Error(CodeOf(result), what + ": " + text));
}

}  // namespace

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

void Statement::Bind(int index, std::string_view text) {
  sqlite3_bind_text(statement_, index, text.data(), static_cast<int>(text.size()),
                    SQLITE_TRANSIENT);
}
void Statement::Bind(int index, int64_t value) {
  sqlite3_bind_int64(statement_, index, value);
}
void Statement::BindNull(int index) {
  sqlite3_bind_null(statement_, index);
}

Result<bool> Statement::Step() {
  switch (sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return FailSqlite(sqlite3_db_handle(statement_), "cannot use the database");
  }
}
void Statement::Reset() {
  sqlite3_reset(statement_);
}

std::string Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr
             ? std::string()
             : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}
int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}
bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path,
                                                 std::span<const Migration> migrations) {
  sqlite3* handle = nullptr;
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (result != SQLITE_OK) return FailSqlite(handle, "cannot open the database '" + path + "'");
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  SKIFF_TRY(
      database->Execute("PRAGMA journal_mode=PERSIST; PRAGMA synchronous=FULL;"
                        "PRAGMA journal_size_limit=1048576; PRAGMA trusted_schema=OFF;"));
  SKIFF_TRY(database->Migrate(path, migrations));
  return database;
}

Database::~Database() {
  data_version_.reset();
  sqlite3_close(handle_);
}

Status Database::Execute(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return FailSqlite(handle_, "cannot use the database");
  }
  return {};
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) !=
      SQLITE_OK) {
    return FailSqlite(handle_, "cannot prepare '" + std::string(sql) + "'");
  }
  return Statement(statement);
}

Result<int64_t> Database::DataVersion() {
  if (!data_version_) {
    SKIFF_ASSIGN(Statement statement, Prepare("PRAGMA data_version"));
    data_version_ = std::make_unique<Statement>(std::move(statement));
  }
  SKIFF_TRY(data_version_->Step());
  const int64_t version = data_version_->Integer(0);
  data_version_->Reset();
  return version;
}

Result<int> Database::UserVersion() {
  SKIFF_ASSIGN(Statement statement, Prepare("PRAGMA user_version"));
  SKIFF_TRY(statement.Step());
  return static_cast<int>(statement.Integer(0));
}

Status Database::Migrate(const std::string& path, std::span<const Migration> migrations) {
  const int wanted = migrations.empty() ? 0 : migrations.back().version;
  SKIFF_ASSIGN(int version, UserVersion());
  if (version == wanted) return {};
  if (version > wanted) {
    return Fail(Error(Code::kUnsupported, "the database '" + path + "' has schema " +
                                              std::to_string(version) +
                                              ", made by a newer skiff; this one knows schema " +
                                              std::to_string(wanted))
                    .With("use the newer skiff, or another --root"));
  }
  if (version > 0) {
    const std::string backup = path + ".backup-v" + std::to_string(version);
    if (::unlink(backup.c_str()) != 0 && errno != ENOENT) {
      return FailErrno("cannot remove '" + backup + "'");
    }
    SKIFF_ASSIGN(Statement copy, Prepare("VACUUM INTO ?1"));
    copy.Bind(1, backup);
    SKIFF_TRY(copy.Step());
  }
  // Another command may be migrating too: the version is read again with the lock held.
  SKIFF_TRY(Execute("BEGIN IMMEDIATE"));
  const Status migrated = [&]() -> Status {
    SKIFF_ASSIGN(version, UserVersion());
    for (const Migration& migration : migrations) {
      if (migration.version <= version) continue;
      SKIFF_TRY(Failpoint("store.migrate"));
      SKIFF_TRY(Execute(migration.sql));
      const std::string stamp = "PRAGMA user_version=" + std::to_string(migration.version);
      SKIFF_TRY(Execute(stamp.c_str()));
    }
    return Execute("COMMIT");
  }();
  // Without this the connection would go on holding the write lock. Its own failure adds nothing.
  if (!migrated) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  return migrated;
}

}  // namespace skiff::engine::store
