#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "builder/platform.h"
#include "engine-core/images.h"

namespace skiff::cli {

// One --annotation. https://docs.docker.com/build/metadata/annotations/
struct BuildAnnotation {
  bool of_index = false;       // Of the list of several images, not of an image.
  bool of_descriptor = false;  // In the list that names it, not in itself.
  std::optional<builder::Platform> platform;  // Of the image it is for; none: every one.
  std::string key, value;
};

// "[TYPE[[PLATFORM]][,...]:]KEY=VALUE", appended to `out`. kInvalidArgument.
Status ParseAnnotation(const std::string& text, std::vector<BuildAnnotation>& out);
// An attribute of an output: "annotation[-TYPE][[PLATFORM]].KEY".
bool IsAnnotationField(std::string_view name);
Status ParseAnnotationField(const std::string& name, const std::string& value,
                            std::vector<BuildAnnotation>& out);

// Those for an image of these bytes of configuration.
Result<engine::ImageAnnotations> AnnotationsOf(const std::vector<BuildAnnotation>& annotations,
                                               const std::string& config);
// Those for the list of several.
engine::ListAnnotations ListAnnotationsOf(const std::vector<BuildAnnotation>& annotations);
// kInvalidArgument: one is for a list of images, which a build for one platform does not make.
Status RefuseListAnnotations(const std::vector<BuildAnnotation>& annotations);

}  // namespace skiff::cli
