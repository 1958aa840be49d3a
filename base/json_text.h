#pragma once

#include <string>
#include <string_view>

namespace skiff {

// `text` as a JSON string literal with its quotes. Invalid UTF-8 becomes U+FFFD; control characters
// are escaped. For programs that write JSON without a JSON library (the monitor).
std::string JsonQuote(std::string_view text);
void AppendJsonQuoted(std::string& out, std::string_view text);

}  // namespace skiff
