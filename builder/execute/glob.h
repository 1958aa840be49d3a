#pragma once

#include <string>
#include <string_view>

namespace skiff::builder {

// Go's filepath.Match for one name: `*`, `?`, `[a-z]`, `[^a]`, `\x`. A malformed pattern matches
// nothing.
bool MatchesGlob(std::string_view pattern, std::string_view name);
// True when it has a character that makes it a pattern.
bool IsGlob(std::string_view name);

}  // namespace skiff::builder
