#include "netmgr/dns/table_text.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::net::dns {
namespace {

constexpr std::string_view kMagic = "skiff-names 1 ";

// Takes the first line off `text`.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// Takes the first word off a line whose words are separated by one space.
std::string_view TakeWord(std::string_view& line) {
  const size_t end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

std::string_view NetworkOf(std::string_view& text) {
  const std::string_view first = TakeLine(text);
  return first.starts_with(kMagic) ? first.substr(kMagic.size()) : std::string_view();
}

// The container's part of "web.shop_default", or the name itself.
std::string_view WithoutNetwork(std::string_view name, std::string_view network) {
  if (!network.empty() && name.size() > network.size() + 1 &&
      name[name.size() - network.size() - 1] == '.' &&
      EqualsIgnoreCase(name.substr(name.size() - network.size()), network)) {
    return name.substr(0, name.size() - network.size() - 1);
  }
  return {};
}

bool HasName(std::string_view names, std::string_view name, std::string_view short_name) {
  while (!names.empty()) {
    const std::string_view candidate = TakeWord(names);
    if (EqualsIgnoreCase(candidate, name)) return true;
    if (!short_name.empty() && EqualsIgnoreCase(candidate, short_name)) return true;
  }
  return false;
}

std::string Field(std::string_view word) {
  return word == "-" ? "" : std::string(word);
}

}  // namespace

std::string FormatTable(const Table& table) {
  std::string out = std::string(kMagic) + table.network_name + "\n";
  for (const NameEntry& entry : table.entries) {
    out += entry.endpoint_id;
    out += ' ';
    out += entry.address_v4.empty() ? "-" : entry.address_v4;
    out += ' ';
    out += entry.address_v6.empty() ? "-" : entry.address_v6;
    for (const std::string& name : entry.names) {
      out += ' ';
      out += name;
    }
    out += '\n';
  }
  return out;
}

Result<Table> ParseTable(std::string_view text, std::string_view path) {
  const auto corrupted = [&] {
    return Fail(Code::kCorrupted, "cannot read name table '" + std::string(path) + "'");
  };
  if (!text.starts_with(kMagic)) return corrupted();
  Table table;
  table.network_name = NetworkOf(text);
  while (!text.empty()) {
    std::string_view line = TakeLine(text);
    if (line.empty()) continue;
    NameEntry entry;
    entry.endpoint_id = TakeWord(line);
    entry.address_v4 = Field(TakeWord(line));
    entry.address_v6 = Field(TakeWord(line));
    while (!line.empty()) {
      if (const std::string_view name = TakeWord(line); !name.empty()) entry.names.emplace_back(name);
    }
    if (entry.address_v4.empty() && entry.address_v6.empty()) return corrupted();
    table.entries.push_back(std::move(entry));
  }
  return table;
}

Found FindAddresses(std::string_view table_text, std::string_view name, bool v6) {
  Found found;
  const std::string_view network = NetworkOf(table_text);
  const std::string_view short_name = WithoutNetwork(name, network);
  while (!table_text.empty()) {
    std::string_view line = TakeLine(table_text);
    TakeWord(line);
    const std::string_view address_v4 = TakeWord(line);
    const std::string_view address_v6 = TakeWord(line);
    if (!HasName(line, name, short_name)) continue;
    found.known = true;
    if (const auto address = IpAddress::Parse(v6 ? address_v6 : address_v4)) {
      found.addresses.push_back(*address);
    }
  }
  return found;
}

std::string FindName(std::string_view table_text, const IpAddress& address) {
  const std::string_view network = NetworkOf(table_text);
  const std::string text = address.Text();
  while (!table_text.empty()) {
    std::string_view line = TakeLine(table_text);
    TakeWord(line);
    const std::string_view address_v4 = TakeWord(line);
    const std::string_view address_v6 = TakeWord(line);
    if ((address.v6 ? address_v6 : address_v4) != text || line.empty()) continue;
    std::string name(TakeWord(line));
    if (!network.empty()) name += "." + std::string(network);
    return name;
  }
  return "";
}

}  // namespace skiff::net::dns
