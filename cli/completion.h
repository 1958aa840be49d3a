#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/command.h"

namespace skiff::cli {

// Completion scripts for bash, zsh and fish, made from the tables of commands.
Result<std::string> CompletionScript(std::string_view shell);
// A manual page in roff: of the whole program for a null command.
std::string ManualPage(const Command* command);

}  // namespace skiff::cli
