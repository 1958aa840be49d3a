#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "builder/dockerfile.h"

namespace skiff::builder {

// "<<NAME", "3<<-'NAME'": a here-document without its content, or nothing when `word` is not one.
std::optional<HereDocument> ParseHereDocument(std::string_view word);

// All of a line, in order.
std::vector<HereDocument> HereDocumentsOf(std::string_view line);

}  // namespace skiff::builder
