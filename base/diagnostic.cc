#include "base/diagnostic.h"

#include <algorithm>
#include <tuple>

#include "base/json_text.h"

namespace skiff {
namespace {

constexpr std::string_view kRed = "\033[1;31m";
constexpr std::string_view kYellow = "\033[1;33m";
constexpr std::string_view kCyan = "\033[36m";
constexpr std::string_view kBold = "\033[1m";
constexpr std::string_view kReset = "\033[0m";

class Painter {
 public:
  explicit Painter(bool color) : color_(color) {}
  std::string operator()(std::string_view code, std::string_view text) const {
    if (!color_) return std::string(text);
    return std::string(code) + std::string(text) + std::string(kReset);
  }

 private:
  bool color_;
};

// Blanks as wide as `text`: tabs stay tabs, continuation bytes take no column.
std::string Indent(std::string_view text) {
  std::string blanks;
  for (const char c : text) {
    if (c == '\t') {
      blanks += '\t';
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      blanks += ' ';
    }
  }
  return blanks;
}

size_t CodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

void AppendExcerpt(std::string& out, SourceSpan span, const SourceMap& sources,
                   std::string_view margin, const Painter& paint) {
  const SourceFile& file = sources.File(span.file);
  const LineColumn place = file.Locate(span.offset);
  const std::string_view line = file.Line(place.line);
  const uint32_t line_begin = file.OffsetOf(place.line - 1, 0);
  const size_t before = std::min<size_t>(span.offset - line_begin, line.size());
  const size_t under = std::min<size_t>(std::max<uint32_t>(span.length, 1), line.size() - before);
  const std::string number = std::to_string(place.line);
  const std::string gutter(number.size(), ' ');
  out += std::string(margin) + paint(kCyan, number + " | ") + std::string(line) + "\n";
  std::string caret = "^";
  const size_t width = CodePoints(line.substr(before, under));
  if (width > 1) caret.append(width - 1, '~');
  out += std::string(margin) + paint(kCyan, gutter + " | ") + Indent(line.substr(0, before)) +
         paint(kRed, caret) + "\n";
}

std::string PlaceJson(SourceSpan span, const SourceMap& sources) {
  if (!span.valid()) return "";
  const SourceFile& file = sources.File(span.file);
  const LineColumn place = file.Locate(span.offset);
  return ",\"file\":" + JsonQuote(file.name()) + ",\"line\":" + std::to_string(place.line) +
         ",\"column\":" + std::to_string(place.column) +
         ",\"length\":" + std::to_string(span.length);
}

// Optimal string alignment: insertions, deletions, substitutions, adjacent swaps cost 1.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

bool Diagnostics::HasErrors() const {
  return std::any_of(list_.begin(), list_.end(),
                     [](const Diagnostic& d) { return d.severity == Severity::kError; });
}

void Diagnostics::SortAndDeduplicate() {
  const auto key = [](const Diagnostic& d) {
    return std::make_tuple(d.error.span.file, d.error.span.offset, d.severity);
  };
  std::stable_sort(list_.begin(), list_.end(),
                   [&](const Diagnostic& a, const Diagnostic& b) { return key(a) < key(b); });
  const auto same = [&](const Diagnostic& a, const Diagnostic& b) {
    return key(a) == key(b) && a.error.message == b.error.message;
  };
  list_.erase(std::unique(list_.begin(), list_.end(), same), list_.end());
}

std::string FormatDiagnostic(const Diagnostic& diagnostic, const SourceMap& sources,
                             DiagnosticStyle style) {
  const Painter paint(style.color);
  const Error& error = diagnostic.error;
  std::string out;
  if (error.span.valid()) out += paint(kBold, sources.Describe(error.span) + ":") + " ";
  out +=
      diagnostic.severity == Severity::kError ? paint(kRed, "error:") : paint(kYellow, "warning:");
  out += " " + error.Text() + "\n";
  if (error.span.valid()) AppendExcerpt(out, error.span, sources, "  ", paint);
  for (const Note& note : error.notes) {
    out += "  ";
    out += paint(kBold, "note:") + " ";
    if (note.span.valid()) out += sources.Describe(note.span) + ": ";
    out += note.message + "\n";
    if (note.span.valid()) AppendExcerpt(out, note.span, sources, "    ", paint);
  }
  return out;
}

std::string FormatDiagnostics(const Diagnostics& diagnostics, const SourceMap& sources,
                              DiagnosticStyle style) {
  std::string out;
  for (const Diagnostic& d : diagnostics.list()) out += FormatDiagnostic(d, sources, style);
  return out;
}

std::string DiagnosticToJson(const Diagnostic& diagnostic, const SourceMap& sources) {
  const Error& error = diagnostic.error;
  std::string out = "{\"severity\":";
  out += diagnostic.severity == Severity::kError ? "\"error\"" : "\"warning\"";
  out += ",\"code\":" + JsonQuote(CodeName(error.code));
  out += ",\"message\":" + JsonQuote(error.Text());
  out += PlaceJson(error.span, sources);
  out += ",\"notes\":[";
  for (size_t i = 0; i < error.notes.size(); ++i) {
    if (i > 0) out += ',';
    out += "{\"message\":" + JsonQuote(error.notes[i].message) +
           PlaceJson(error.notes[i].span, sources) + "}";
  }
  return out + "]}";
}

std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, std::min<size_t>(2, word.size() / 3)) + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate == word) continue;
    const size_t longer = std::max(candidate.size(), word.size());
    const size_t shorter = std::min(candidate.size(), word.size());
    if (longer - shorter > 2 || longer > 200) continue;
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return std::string(best);
}

}  // namespace skiff
