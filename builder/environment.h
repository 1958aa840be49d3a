#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skiff::builder {

// Variables in the order of their first definition; a later value replaces the earlier one in
// place.
class Environment {
 public:
  using Entry = std::pair<std::string, std::string>;

  // The value, or null when the variable is not set. Valid until the next change.
  const std::string* Find(std::string_view name) const;
  void Set(std::string_view name, std::string_view value);
  void Erase(std::string_view name);

  const std::vector<Entry>& entries() const { return entries_; }
  std::vector<std::string_view> Names() const;
  // "NAME=value", as images and processes want them.
  std::vector<std::string> AsList() const;

 private:
  std::vector<Entry> entries_;
};

}  // namespace skiff::builder
