#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skiff::schema {

// The value of a variable, or nothing when it is unset.
using Lookup = std::function<std::optional<std::string>(std::string_view name)>;

// compose-spec: interpolation (12-interpolation.md), as compose-go's template reads it.
struct TemplateIssue {
  enum class Kind { kUnset, kInvalid, kRequired, kTooLong };
  Kind kind;
  std::string name;     // The variable; of kInvalid the malformed text.
  std::string message;  // Of kRequired: what the file says about it.
  uint32_t offset = 0;  // In the text that was given; nested places count from its start too.
  uint32_t length = 0;
};

struct Substitution {
  std::string text;
  std::vector<TemplateIssue> issues;
  bool changed = false;
};

// Variables give at most `limit` bytes together, so that texts which repeat each other
// (A=$B$B, B=$C$C, ...) do not fill the memory; beyond it there is an issue kTooLong.
inline constexpr size_t kMaximumSubstitution = 8u << 20;
Substitution Substitute(std::string_view text, const Lookup& lookup,
                        size_t limit = kMaximumSubstitution);

// A variable that a text refers to, for `config --variables`.
struct TemplateVariable {
  std::string name, default_value, alternate_value;
  bool required = false;
};
std::vector<TemplateVariable> ExtractVariables(std::string_view text);

}  // namespace skiff::schema
