#pragma once

#include "cli/arguments.h"
#include "cli/build_request.h"
#include "cli/context.h"

namespace skiff::cli {

// Plans and executes what was read, with progress on standard error, and writes what the flags ask
// for: the image's id, --iidfile, --metadata-file.
Result<int> ExecuteBuild(Context& context, const Arguments& arguments, BuildRequest& request);

}  // namespace skiff::cli
