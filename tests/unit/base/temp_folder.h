#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "base/atomic_file.h"
#include "base/fd.h"

namespace skiff::testing {

// A folder of the test's own, removed with everything in it at the end.
class TempFolder {
 public:
  TempFolder() {
    const char* base = ::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/skiff-test-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "mkdtemp failed for " << path_;
  }
  ~TempFolder() {
    const Status removed = RemoveTree(path_);
    EXPECT_TRUE(removed) << removed.error().Text();
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string Path(std::string_view name) const { return path_ + "/" + std::string(name); }
  void Write(std::string_view name, std::string_view content) const {
    const Status written = WriteFileAtomically(Path(name), content, 0644, Durability::kVolatile);
    ASSERT_TRUE(written) << written.error().Text();
  }
  std::string Read(std::string_view name) const {
    Result<std::string> content = ReadFile(Path(name));
    EXPECT_TRUE(content) << content.error().Text();
    return content ? *content : "";
  }

 private:
  std::string path_;
};

}  // namespace skiff::testing
