#pragma once

#include "builder/build.h"
#include "cli/arguments.h"
#include "cli/build_request.h"
#include "cli/context.h"

namespace skiff::cli {

// What the flags of `docker build` say about how to execute a plan.
Result<builder::BuildSettings> ReadBuildSettings(const Context& context, const Arguments& arguments,
                                                 const BuildRequest& request);
// --secret id=NAME[,src=PATH|env=VARIABLE]
Result<std::pair<std::string, builder::BuildSecret>> ParseSecret(const Context& context,
                                                                 const std::string& text);
// Where builds keep what is worth keeping.
std::string BuildCacheFolder(Context& context);
// The same, with the time, registries, proxies and the environment of this command. `context`
// outlives it.
Result<builder::BuilderOptions> ReadBuilderOptions(Context& context);

}  // namespace skiff::cli
