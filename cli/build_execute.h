#pragma once

#include "cli/arguments.h"
#include "cli/build_request.h"
#include "cli/context.h"

namespace skiff::cli {

// Plans and executes what was read, with progress on standard error, and writes what the flags ask
// for: the image's id, --iidfile, --metadata-file.
Result<int> ExecuteBuild(Context& context, const Arguments& arguments, BuildRequest& request);

// --provenance, --sbom, --attest: a list of contents that is asked for is kUnsupported, a provenance a
// warning, since tools ask for it by themselves.
Status CheckAttestations(const Context& context, const Arguments& arguments,
                         const std::vector<std::string>& attestations);

}  // namespace skiff::cli
