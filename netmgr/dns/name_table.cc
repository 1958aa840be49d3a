#include "netmgr/name_table.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "netmgr/dns/table_text.h"

namespace skiff::net {
namespace {

constexpr size_t kMaximumName = 253;  // RFC 1035, in text form.

std::string LockPath(const std::string& table_path) {
  return table_path + ".lock";
}

Status CheckNames(std::string_view network_name, std::span<const NameEntry> entries) {
  const auto usable = [](std::string_view name) {
    return !name.empty() && name.size() <= kMaximumName &&
           name.find_first_of(" \t\r\n") == std::string_view::npos;
  };
  for (const NameEntry& entry : entries) {
    for (const std::string& name : entry.names) {
      if (!usable(name)) return Fail(Code::kInvalidArgument, "invalid name '" + name + "'");
    }
    if (!usable(entry.endpoint_id)) return Fail(Code::kInvalidArgument, "invalid endpoint id");
    if (entry.address_v4.empty() && entry.address_v6.empty()) {
      return Fail(Code::kInvalidArgument, "cannot name an endpoint that has no address");
    }
  }
  if (network_name.find_first_of("\r\n") != std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "invalid network name");
  }
  return {};
}

Result<dns::Table> Load(const std::string& table_path) {
  Result<std::string> text = ReadFile(table_path, dns::kMaximumNameTable);
  if (!text && text.error().sys_errno == ENOENT) return dns::Table();
  if (!text) return tl::unexpected(text.error());
  return dns::ParseTable(*text, table_path);
}

Status Save(const std::string& table_path, const dns::Table& table) {
  SKIFF_TRY(Failpoint("net.names.replace"));
  return WriteFileAtomically(table_path, dns::FormatTable(table), 0600, Durability::kVolatile);
}

}  // namespace

Status AddEndpoints(const std::string& table_path, std::string_view network_name,
                    std::span<const NameEntry> entries) {
  SKIFF_TRY(CheckNames(network_name, entries));
  SKIFF_ASSIGN(const FileLock lock,
               FileLock::Acquire(LockPath(table_path), FileLock::Mode::kExclusive));
  SKIFF_ASSIGN(dns::Table table, Load(table_path));
  table.network_name = network_name;
  for (const NameEntry& entry : entries) {
    std::erase_if(table.entries,
                  [&](const NameEntry& old) { return old.endpoint_id == entry.endpoint_id; });
    table.entries.push_back(entry);
  }
  return Save(table_path, table);
}

Status RemoveEndpoints(const std::string& table_path, std::span<const std::string> endpoint_ids) {
  // Without a table there is nothing to take out, and no lock file to make either: the network may
  // be gone already.
  if (::access(table_path.c_str(), F_OK) != 0 && errno == ENOENT) return {};
  SKIFF_ASSIGN(const FileLock lock,
               FileLock::Acquire(LockPath(table_path), FileLock::Mode::kExclusive));
  SKIFF_ASSIGN(dns::Table table, Load(table_path));
  const size_t removed = std::erase_if(table.entries, [&](const NameEntry& entry) {
    return std::find(endpoint_ids.begin(), endpoint_ids.end(), entry.endpoint_id) !=
           endpoint_ids.end();
  });
  return removed == 0 ? Status() : Save(table_path, table);
}

Status WriteNameTable(const std::string& table_path, std::string_view network_name,
                      std::span<const NameEntry> entries) {
  SKIFF_TRY(CheckNames(network_name, entries));
  SKIFF_ASSIGN(const FileLock lock,
               FileLock::Acquire(LockPath(table_path), FileLock::Mode::kExclusive));
  dns::Table table;
  table.network_name = network_name;
  table.entries.assign(entries.begin(), entries.end());
  return Save(table_path, table);
}

Status RemoveNameTable(const std::string& table_path) {
  for (const std::string& path : {table_path, LockPath(table_path)}) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return FailErrno("cannot remove '" + path + "'");
    }
  }
  return {};
}

Result<std::vector<NameEntry>> ReadNameTable(const std::string& table_path) {
  SKIFF_ASSIGN(const std::string text, ReadFile(table_path, dns::kMaximumNameTable));
  SKIFF_ASSIGN(dns::Table table, dns::ParseTable(text, table_path));
  return std::move(table.entries);
}

}  // namespace skiff::net
