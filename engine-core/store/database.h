#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace skiff::engine::store {

// One prepared statement of a Database, which outlives it.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Parameters count from 1. Bound text is copied.
  void Bind(int index, std::string_view text);
  void Bind(int index, int64_t value);
  void BindNull(int index);
  // True: a row is there; false: done.
  Result<bool> Step();
  void Reset();

  std::string Text(int column) const;
  int64_t Integer(int column) const;
  bool IsNull(int column) const;

 private:
  sqlite3_stmt* statement_;
};

// Brings a database from `version` - 1 to `version`.
struct Migration {
  int version;
  const char* sql;
};

// One connection, used by one thread at a time. Never kept across a fork that goes on to use it.
// Rollback journal (PERSIST), FULL sync: reference/reliability 2.3 tells why not WAL. A database
// somebody else has locked is waited for, at most kBusyMilliseconds, then kUnavailable.
class Database {
 public:
  static constexpr int kBusyMilliseconds = 10'000;

  // Opens or makes the file and applies the migrations it lacks, after a copy to
  // "<path>.backup-v<old>" when there was something to lose. A newer file than the last migration
  // is kUnsupported.
  static Result<std::unique_ptr<Database>> Open(const std::string& path,
                                                std::span<const Migration> migrations);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Status Execute(const char* sql);
  Result<Statement> Prepare(std::string_view sql);
  // Changes whenever another connection has committed.
  Result<int64_t> DataVersion();

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  Status Migrate(const std::string& path, std::span<const Migration> migrations);
  Result<int> UserVersion();

  sqlite3* handle_;
  std::unique_ptr<Statement> data_version_;
};

}  // namespace skiff::engine::store
