#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff {

// A place as people write it. Lines and columns start at 1; a column counts Unicode code points.
struct LineColumn {
  uint32_t line = 1;
  uint32_t column = 1;
};

// One file that was read: its name as the user knows it and its whole text.
class SourceFile {
 public:
  SourceFile(std::string name, std::string text);

  const std::string& name() const { return name_; }
  std::string_view text() const { return text_; }

  LineColumn Locate(uint32_t offset) const;
  // The line (starting at 1) without its end of line.
  std::string_view Line(uint32_t line) const;
  uint32_t LineCount() const { return static_cast<uint32_t>(line_starts_.size()); }
  // Offset of a line and column that count bytes, both from 0. Clamped to the text.
  uint32_t OffsetOf(uint32_t line, uint32_t byte_column) const;

 private:
  std::string name_;
  std::string text_;
  std::vector<uint32_t> line_starts_;
};

// All files one command has read. Files are never removed, so spans and string views stay valid as
// long as the map lives. Not thread safe; the loader owns it.
class SourceMap {
 public:
  // Returns the index that spans use.
  uint32_t Add(std::string name, std::string text);
  const SourceFile& File(uint32_t index) const { return *files_[index]; }
  size_t size() const { return files_.size(); }
  // "file:line:column", or "" for an invalid span.
  std::string Describe(SourceSpan span) const;

 private:
  std::vector<std::unique_ptr<SourceFile>> files_;
};

}  // namespace skiff
