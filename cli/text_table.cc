#include "cli/text_table.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::cli {
namespace {

size_t CodePoints(std::string_view text) {
  size_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

}  // namespace

void TextTable::AddLine(std::string_view line) {
  std::vector<std::string> cells;
  for (std::string_view cell : Split(line, '\t')) cells.emplace_back(cell);
  Add(std::move(cells));
}

std::string TextTable::Render() const {
  std::vector<size_t> widths;
  for (const auto& line : lines_) {
    for (size_t i = 0; i + 1 < line.size(); ++i) {
      if (i == widths.size()) widths.push_back(minimum_width_);
      widths[i] = std::max(widths[i], CodePoints(line[i]) + gap_);
    }
  }
  std::string out;
  for (const auto& line : lines_) {
    for (size_t i = 0; i < line.size(); ++i) {
      out += line[i];
      if (i + 1 < line.size()) out.append(widths[i] - CodePoints(line[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

std::string Ellipsis(std::string_view text, size_t width) {
  if (CodePoints(text) <= width) return std::string(text);
  size_t end = 0;
  for (size_t count = 0; end < text.size(); ++end) {
    if ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) continue;
    if (count++ == width - 1) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace skiff::cli
