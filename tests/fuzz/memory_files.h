#pragma once

#include <map>
#include <string>

#include "schema/files.h"

namespace skiff::fuzz {

// Files in memory, by absolute and clean path; folders are what files lie in.
class MemoryFiles : public schema::Files {
 public:
  std::map<std::string, std::string> files;

  Kind KindOf(const std::string& path) const override {
    if (files.count(path) != 0) return Kind::kFile;
    const auto below = files.lower_bound(path + "/");
    const bool folder = below != files.end() && below->first.starts_with(path + "/");
    return folder ? Kind::kFolder : Kind::kAbsent;
  }
  Result<std::string> Read(const std::string& path) const override {
    const auto found = files.find(path);
    if (found != files.end()) return found->second;
    return Fail(Code::kNotFound, "cannot open '" + path + "'");
  }
  std::optional<std::string> RealPath(const std::string& path) const override {
    if (KindOf(path) == Kind::kAbsent) return std::nullopt;
    return path;
  }
};

}  // namespace skiff::fuzz
