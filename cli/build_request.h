#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/diagnostic.h"
#include "base/source.h"
#include "builder/build.h"
#include "builder/dockerfile.h"
#include "builder/ignore_file.h"
#include "builder/plan.h"
#include "cli/arguments.h"
#include "cli/context.h"

namespace skiff::cli {

// --call=METHOD[,format=json][,ignorestatus]
struct BuildCall {
  std::string method;  // build, check, outline, targets, plan
  bool json = false;
  bool ignore_status = false;
};
Result<BuildCall> ParseBuildCall(const Arguments& arguments);

// What is to be built, read and parsed.
struct BuildRequest {
  SourceMap sources;
  uint32_t file = SourceSpan::kNoFile;  // The Dockerfile.
  std::string context;                  // The directory; "" when there is none.
  // The folder of a context that came as an archive.
  std::unique_ptr<engine::WritableLayer> unpacked;
  // Contexts at addresses, by name; that of the build has the name "".
  std::map<std::string, builder::RemoteContext, std::less<>> fetched;
  std::vector<std::string> layout_images;  // Of OCI layouts, to be removed after the build.
  std::optional<builder::IgnoreMatcher> ignore;
  // Of named contexts that are folders with an ignore file of their own.
  std::map<std::string, builder::IgnoreMatcher, std::less<>> context_ignores;
  builder::PlanOptions options;  // `ignore` points into this request; without a platform.
  std::vector<builder::Platform> platforms;  // As asked for, each once; none: the host's.
  builder::Dockerfile dockerfile;
  Diagnostics diagnostics;  // What is wrong with the Dockerfile.

  // The folder of the context is there in the next build, too.
  bool lasting() const { return unpacked == nullptr && !fetched.contains(""); }
};
// Reads the Dockerfile and the ignore file. Mistakes of the Dockerfile are in the result; anything
// else that is wrong fails. `sources` of the error, if it has a place, are those of `request`.
Status ReadBuildRequest(Context& context, const Arguments& arguments, BuildRequest& request);
// Those of a plan for each platform: images of OCI layouts among the contexts are chosen for it.
Result<std::vector<builder::PlanOptions>> PlanOptionsOf(Context& context, BuildRequest& request);

}  // namespace skiff::cli
