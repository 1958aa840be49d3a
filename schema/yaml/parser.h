#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/source.h"
#include "schema/tree.h"

namespace skiff::schema {

// Bounds against files that are made to exhaust the reader. compose-go visits at most 100,000
// nodes of a document; what aliases and merge keys add is counted apart.
struct YamlLimits {
  size_t document_bytes = 8u << 20;
  size_t nodes = 100'000;
  size_t expanded_nodes = 400'000;
  size_t depth = 256;
};

// The documents of one file, as go.yaml.in/yaml v4 reads them for docker compose: aliases and merge
// keys are expanded, plain scalars resolved, mapping keys are unique strings. A document that
// cannot be read adds errors and is left out; one with smaller mistakes adds errors too, but what
// can be understood of it is returned. An empty document is a null node.
std::vector<Node> ParseYaml(const SourceMap& sources, uint32_t file, Diagnostics& diagnostics,
                            const YamlLimits& limits = {});

// The value of an untagged plain scalar by the core schema of YAML 1.2 with the octal ("0644") and
// "_" of numbers that the reference keeps; a string when it is nothing else.
Node ResolvePlainScalar(std::string_view text, SourceSpan where);

// Where the scalar, flow or block collection that starts at `offset` (after tag and anchor) ends,
// for scalars only; nothing when a quoted scalar is not closed.
struct ScalarExtent {
  uint32_t offset = 0;  // Of the first character of the value: tag and anchor are skipped.
  uint32_t length = 0;
  bool literal = false;  // A plain or quoted scalar on one line without escapes.
};
std::optional<ScalarExtent> MeasureScalar(std::string_view text, uint32_t offset, bool plain,
                                          std::string_view value);

}  // namespace skiff::schema
