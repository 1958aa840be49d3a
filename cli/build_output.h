#pragma once

#include <string>
#include <vector>

#include "builder/build.h"
#include "cli/arguments.h"
#include "cli/build_annotations.h"
#include "cli/context.h"

namespace skiff::cli {

// Where the result of a build goes: --output, --load, --push.
// https://docs.docker.com/build/exporters/
struct BuildOutput {
  enum class Kind { kFolder, kTar, kDocker, kOci, kLayout, kRegistry };
  Kind kind = Kind::kFolder;
  std::string path;  // Absolute; "" of an archive: standard output.
  bool split = false;  // Of files: each platform's in a folder of its own.
  engine::LayerCompression compression;
  std::vector<BuildAnnotation> annotations;  // Of --annotation and of its own.
};
struct BuildOutputs {
  bool store = true;               // The image stays here, with its names.
  std::vector<std::string> names;  // Of --tag and of outputs.
  std::vector<BuildOutput> list;   // What there is beside the store.
  bool annotated = false;          // By flags or by one of `list`.

  // Annotations were given, and no output has a place for them.
  bool annotated_in_vain() const;
};
// `several`: platforms.
Result<BuildOutputs> ReadBuildOutputs(const Context& context, const Arguments& arguments,
                                      bool several);

// Everything but the store, one after the other; each is a step of `progress`.
Status WriteBuildOutputs(Context& context, const BuildOutputs& outputs,
                         const builder::BuiltImages& built, builder::BuildProgress& progress);

}  // namespace skiff::cli
