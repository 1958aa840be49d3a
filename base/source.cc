#include "base/source.h"

#include <algorithm>

namespace skiff {

SourceFile::SourceFile(std::string name, std::string text)
    : name_(std::move(name)), text_(std::move(text)) {
  line_starts_.push_back(0);
  for (size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') line_starts_.push_back(static_cast<uint32_t>(i + 1));
  }
}

LineColumn SourceFile::Locate(uint32_t offset) const {
  offset = std::min<uint32_t>(offset, static_cast<uint32_t>(text_.size()));
  const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const uint32_t line = static_cast<uint32_t>(next - line_starts_.begin());
  uint32_t column = 1;
  for (uint32_t i = line_starts_[line - 1]; i < offset; ++i) {
    const bool continuation = (static_cast<unsigned char>(text_[i]) & 0xc0) == 0x80;
    if (!continuation) ++column;
  }
  return {line, column};
}

std::string_view SourceFile::Line(uint32_t line) const {
  if (line == 0 || line > line_starts_.size()) return {};
  const uint32_t begin = line_starts_[line - 1];
  const uint32_t end =
      line < line_starts_.size() ? line_starts_[line] : static_cast<uint32_t>(text_.size());
  std::string_view view = std::string_view(text_).substr(begin, end - begin);
  while (!view.empty() && (view.back() == '\n' || view.back() == '\r')) view.remove_suffix(1);
  return view;
}

uint32_t SourceFile::OffsetOf(uint32_t line, uint32_t byte_column) const {
  const uint32_t size = static_cast<uint32_t>(text_.size());
  if (line >= line_starts_.size()) return size;
  return std::min(line_starts_[line] + byte_column, size);
}

uint32_t SourceMap::Add(std::string name, std::string text) {
  files_.push_back(std::make_unique<SourceFile>(std::move(name), std::move(text)));
  return static_cast<uint32_t>(files_.size() - 1);
}

std::string SourceMap::Describe(SourceSpan span) const {
  if (!span.valid() || span.file >= files_.size()) return "";
  const SourceFile& file = *files_[span.file];
  const LineColumn place = file.Locate(span.offset);
  return file.name() + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

}  // namespace skiff
