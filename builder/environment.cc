#include "builder/environment.h"

#include <algorithm>

namespace skiff::builder {

const std::string* Environment::Find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.first == name) return &entry.second;
  }
  return nullptr;
}

void Environment::Set(std::string_view name, std::string_view value) {
  for (Entry& entry : entries_) {
    if (entry.first == name) {
      entry.second = value;
      return;
    }
  }
  entries_.emplace_back(name, value);
}

void Environment::Erase(std::string_view name) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.first == name; });
}

std::vector<std::string_view> Environment::Names() const {
  std::vector<std::string_view> names;
  names.reserve(entries_.size());
  for (const Entry& entry : entries_) names.push_back(entry.first);
  return names;
}

std::vector<std::string> Environment::AsList() const {
  std::vector<std::string> list;
  list.reserve(entries_.size());
  for (const Entry& entry : entries_) list.push_back(entry.first + "=" + entry.second);
  return list;
}

}  // namespace skiff::builder
