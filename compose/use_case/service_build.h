#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "base/source.h"
#include "builder/dockerfile.h"
#include "compose/build.h"

namespace skiff::compose {

// The build of one service, read and parsed.
struct ServiceBuild {
  const schema::Service* service = nullptr;
  std::string image;
  SourceMap sources;
  uint32_t file = SourceSpan::kNoFile;  // The Dockerfile.
  builder::Dockerfile dockerfile;
  Diagnostics diagnostics;
  std::optional<builder::IgnoreMatcher> ignore;
  std::map<std::string, builder::IgnoreMatcher, std::less<>> context_ignores;
  // Contexts at addresses, by name; that of the build has the name "".
  std::map<std::string, builder::RemoteContext, std::less<>> fetched;
  std::vector<std::string> layout_images;  // Of OCI layouts, to be removed after the builds.
  std::vector<builder::PlanOptions> plans;  // One for each platform.
  builder::BuildSettings settings;
  std::vector<std::string> waits_for;  // Services whose images it uses, sorted.
};

// Errors with a place are about the project's files.
Status ReadServiceBuild(engine::Engine& engine, const schema::Project& project,
                        const schema::Service& service, const BuildOptions& options,
                        const BuildTools& tools, ServiceBuild& out);

}  // namespace skiff::compose
