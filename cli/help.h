#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/command.h"

namespace skiff::cli {

// "Usage:  skiff up [OPTIONS] [SERVICE...]". `spelling`: how the command was called, "skiff up".
std::string UsageLine(const Command& command, std::string_view spelling);
// The text of `--help`: usage, summary, aliases, options, examples. `program` goes before each line
// of the examples.
std::string CommandHelp(const Command& command, std::string_view spelling,
                        std::string_view program);
// The list of a group's commands. `nouns`: groups below it, listed too.
std::string GroupHelp(const Group& group, std::string_view spelling, std::span<const Flag> flags,
                      std::span<const Group> nouns);

}  // namespace skiff::cli
