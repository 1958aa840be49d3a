#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/source.h"

namespace skiff {

enum class Severity { kError, kWarning };

struct Diagnostic {
  Severity severity = Severity::kError;
  Error error;
};

// Everything found wrong with the user's input, collected instead of stopping at the first.
class Diagnostics {
 public:
  void AddError(Error error) { list_.push_back({Severity::kError, std::move(error)}); }
  void AddWarning(Error error) { list_.push_back({Severity::kWarning, std::move(error)}); }

  bool HasErrors() const;
  bool empty() const { return list_.empty(); }
  const std::vector<Diagnostic>& list() const { return list_; }
  // By file, offset, then severity; equal entries (same place and text) are kept once.
  void SortAndDeduplicate();

 private:
  std::vector<Diagnostic> list_;
};

struct DiagnosticStyle {
  bool color = false;
};

// Renders one diagnostic, ending in a newline:
//
//   compose.yaml:4:12: error: services.web.ports.0: invalid port '80800'
//     4 |       - "80800:80"
//       |          ^~~~~
//     note: ports are 1 to 65535
//
// The caret line is omitted without a valid span. Tabs and wide characters keep the caret aligned.
std::string FormatDiagnostic(const Diagnostic& diagnostic, const SourceMap& sources,
                             DiagnosticStyle style = {});
std::string FormatDiagnostics(const Diagnostics& diagnostics, const SourceMap& sources,
                              DiagnosticStyle style = {});

// One diagnostic as a JSON object on one line, for --progress json and --format json:
// {"severity","code","message","file","line","column","length","notes":[{"message",...}]}
std::string DiagnosticToJson(const Diagnostic& diagnostic, const SourceMap& sources);

// The candidate nearest to `word` when it is near enough to be a likely typing mistake (optimal
// string alignment distance at most 2 and at most a third of the length), or "".
std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace skiff
