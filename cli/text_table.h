#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace skiff::cli {

// Lines of cells, aligned as docker's command lines do it: a column is as wide as its widest cell
// plus `gap` spaces, and at least `minimum_width`; the last cell of a line is not padded. Widths
// count Unicode code points.
class TextTable {
 public:
  explicit TextTable(size_t minimum_width, size_t gap = 3)
      : minimum_width_(minimum_width), gap_(gap) {}
  void Add(std::vector<std::string> cells) { lines_.push_back(std::move(cells)); }
  // A line with cells separated by tabs.
  void AddLine(std::string_view line);
  std::string Render() const;

 private:
  size_t minimum_width_, gap_;
  std::vector<std::vector<std::string>> lines_;
};

// At most `width` code points, the last one "…" when something was cut off.
std::string Ellipsis(std::string_view text, size_t width);

}  // namespace skiff::cli
