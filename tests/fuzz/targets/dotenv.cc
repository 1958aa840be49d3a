// Files of variables, in both formats.

#include "schema/text/dotenv.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(dotenv) {
  skiff::SourceMap sources;
  const uint32_t file = sources.Add("a.env", std::string(input));
  const auto lookup = [](std::string_view name) -> std::optional<std::string> {
    if (name.starts_with("O")) return "outer";
    return std::nullopt;
  };
  for (const bool raw : {false, true}) {
    skiff::Diagnostics found;
    std::map<std::string, std::string> variables;
    const bool good = raw ? skiff::schema::ParseRawEnv(sources, file, lookup, variables, found)
                          : skiff::schema::ParseDotenv(sources, file, lookup, variables, found);
    skiff::fuzz::Require(good == !found.HasErrors(), "a refusal has a reason, and only a refusal");
    for (const auto& diagnostic : found.list()) {
      const auto span = diagnostic.error.span;
      skiff::fuzz::Require(span.valid() && span.offset <= input.size(), "errors have a place");
    }
    FormatDiagnostics(found, sources);
    for (const auto& [name, value] : variables) {
      // The reference takes "=x" for a variable without a name, but not in the raw format.
      skiff::fuzz::Require(!raw || !name.empty(), "a variable has a name");
    }
  }
}
