// The little languages of single values: ports, volumes, command lines, sizes, times.

#include "base/units.h"
#include "schema/text/short_syntax.h"
#include "tests/fuzz/target.h"

namespace {

template <typename T>
void RequirePlace(const skiff::Result<T>& result, std::string_view input) {
  if (result) return;
  skiff::fuzz::Require(!result.error().message.empty(), "an error has a text");
  const auto span = result.error().span;
  if (span.valid()) skiff::fuzz::Require(span.offset <= input.size(), "an error lies in the text");
}

}  // namespace

SKIFF_FUZZ(short_syntax) {
  using namespace skiff::schema;
  if (input.size() > 4096) return;
  const auto ports = ParsePortSpec(input);
  RequirePlace(ports, input);
  if (ports) skiff::fuzz::Require(!ports->empty(), "ports are one or more");
  RequirePlace(ParseVolumeSpec(input), input);
  const auto words = SplitShellWords(input);
  RequirePlace(words, input);
  RequirePlace(ParseTimeSpan(input), input);
  RequirePlace(skiff::ParseBytes(input), input);
  RequirePlace(skiff::ParseTimestamp(input), input);
  const auto duration = skiff::ParseDuration(input);
  RequirePlace(duration, input);
  if (duration) {
    const auto again = skiff::ParseDuration(skiff::FormatDuration(*duration));
    skiff::fuzz::Require(again && *again == *duration, "a duration reads back the same");
  }
  const std::string clean = CleanPath(input);
  skiff::fuzz::RequireEqual(clean, CleanPath(clean), "a clean path stays as it is");
  IsIpAddress(input);
  IsWindowsAbsolute(input);
}
