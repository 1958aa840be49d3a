#pragma once

#include <string>

#include "schema/tree.h"

namespace skiff::schema {

void AppendJsonScalar(std::string& out, const Node& node);
// On one line with sorted keys, `$` as it is.
std::string RenderCompactJson(const Node& tree);
std::string EscapeDollars(std::string text);
// The order in which go-yaml prints the keys of a map: digits count as numbers.
bool NaturalLess(const std::string& a, const std::string& b);

}  // namespace skiff::schema
