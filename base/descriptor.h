#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace skiff {

// Where the file of the descriptor lies, absolute. `what` names it in errors.
Result<std::string> PathOfDescriptor(int fd, std::string_view what);

// Makes an eventfd readable.
void RaiseEvent(const Fd& event);

}  // namespace skiff
