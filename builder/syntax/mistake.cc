#include "builder/syntax/mistake.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::builder {
namespace {

constexpr size_t kNear = 2;

// Levenshtein.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

tl::unexpected<Error> Mistake(std::string message, SourceSpan place) {
  return Fail(Error(Code::kInvalidArgument, std::move(message)).At(place));
}

std::string Suggestion(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  size_t best_distance = kNear + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate == word) return "";
    const bool too_far =
        candidate.size() > word.size() + kNear || word.size() > candidate.size() + kNear;
    if (too_far) continue;
    const size_t distance = Distance(word, candidate);
    if (distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  return best.empty() ? "" : " (did you mean " + std::string(best) + "?)";
}

Error Placed(Error error, SourceSpan place) {
  if (!error.span.valid()) error.span = place;
  return error;
}

}  // namespace skiff::builder
