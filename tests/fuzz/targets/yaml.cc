// Bytes to a tree of nodes, and the tree to YAML and JSON and back.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "schema/load.h"
#include "schema/yaml/parser.h"
#include "tests/fuzz/target.h"

namespace {

using skiff::Diagnostics;
using skiff::SourceMap;
using skiff::fuzz::Require;
using skiff::fuzz::RequireEqual;
using skiff::schema::Node;

// JSON has no word for infinity; the loader refuses it.
bool IsFinite(const Node& node) {
  if (node.kind == Node::Kind::kFloat && !std::isfinite(node.real)) return false;
  return std::all_of(node.entries.begin(), node.entries.end(),
                     [](const auto& entry) { return IsFinite(entry.value); });
}

void CheckPlaces(const SourceMap& sources, const Node& node) {
  if (node.span.valid()) sources.Describe(node.span);
  for (const auto& entry : node.entries) {
    if (entry.key_span.valid()) sources.Describe(entry.key_span);
    CheckPlaces(sources, entry.value);
  }
}

}  // namespace

SKIFF_FUZZ(yaml) {
  SourceMap sources;
  Diagnostics found;
  const uint32_t file = sources.Add("compose.yaml", std::string(input));
  const auto documents = skiff::schema::ParseYaml(sources, file, found, {1 << 20, 4000, 8000, 64});
  FormatDiagnostics(found, sources, {true});
  for (const auto& diagnostic : found.list()) {
    Require(nlohmann::json::accept(DiagnosticToJson(diagnostic, sources)), "diagnostics are JSON");
  }
  for (const Node& document : documents) {
    CheckPlaces(sources, document);
    if (!IsFinite(document)) continue;
    const std::string json = RenderJson(document);
    Require(nlohmann::json::accept(json), "a tree is JSON");
    // A dollar sign is printed twice, for the next reading to interpolate.
    const bool with_dollar = json.find('$') != json.npos;
    if (found.HasErrors() || !document.IsMapping() || with_dollar) continue;
    Diagnostics again;
    const uint32_t rendered = sources.Add("rendered.yaml", RenderYaml(document));
    const auto read = skiff::schema::ParseYaml(sources, rendered, again);
    if (again.HasErrors()) {
      RequireEqual(RenderYaml(document), FormatDiagnostics(again, sources), "what is printed can be read");
    }
    Require(read.size() == 1, "one document is printed");
    RequireEqual(json, RenderJson(read.front()), "what is printed reads back the same");
  }
}
