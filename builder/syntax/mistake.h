#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::builder {

// A mistake in a Dockerfile at its place.
tl::unexpected<Error> Mistake(std::string message, SourceSpan place);
// " (did you mean x?)" with the nearest of `candidates`, or "".
std::string Suggestion(std::string_view word, const std::vector<std::string_view>& candidates);
// Gives an error without a place this one.
Error Placed(Error error, SourceSpan place);

}  // namespace skiff::builder
