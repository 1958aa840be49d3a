// "${NAME:-word}" and its like in the values of a Compose file.

#include "schema/text/template.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(interpolation) {
  const auto lookup = [](std::string_view name) -> std::optional<std::string> {
    if (name.empty() || name[0] == 'U') return std::nullopt;
    if (name[0] == 'E') return "";
    return "v$" + std::string(name);
  };
  const auto done = skiff::schema::Substitute(input, lookup);
  if (!done.changed && done.issues.empty()) {
    skiff::fuzz::RequireEqual(input, done.text, "what did not change is the same");
  }
  for (const auto& issue : done.issues) {
    skiff::fuzz::Require(issue.offset <= input.size(), "an issue begins in the text");
    skiff::fuzz::Require(issue.length <= input.size() - issue.offset, "an issue ends in the text");
  }
  for (const auto& variable : skiff::schema::ExtractVariables(input)) {
    skiff::fuzz::Require(!variable.name.empty(), "a variable has a name");
  }
}
