// --format of listings and inspect.

#include <nlohmann/json.hpp>

#include "cli/go_template.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(format_template) {
  if (input.size() > 2048) return;
  static const auto data = nlohmann::ordered_json::parse(
      R"({"ID":"abc","Names":["/a","/b"],"State":{"Pid":7,"Running":true},"Labels":{"k":"v"},)"
      R"("Size":1.5,"Mounts":[{"Type":"bind"}],"Empty":null})");
  const std::string text = skiff::cli::UnescapeFormat(input);
  // Each level of loops multiplies the output; a person may want that.
  constexpr int kLoops = 4;
  int loops = 0;
  for (size_t at = 0; (at = text.find("range", at)) != text.npos; ++at) ++loops;
  if (loops > kLoops) return;
  const auto parsed = skiff::cli::GoTemplate::Parse(text);
  if (!parsed) {
    skiff::fuzz::Require(!parsed.error().message.empty(), "an error has a text");
    return;
  }
  const auto printed = parsed->Execute(data);
  if (printed && text.find("{{") == text.npos) {
    skiff::fuzz::RequireEqual(*printed, text, "plain text stays as it is");
  }
}
