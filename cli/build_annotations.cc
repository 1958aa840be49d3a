#include "cli/build_annotations.h"

#include <fmt/format.h>

#include "base/text.h"
#include "engine-core/image_config.h"

namespace skiff::cli {
namespace {

constexpr std::string_view kField = "annotation";
constexpr std::string_view kManifest = "manifest";
constexpr std::string_view kManifestDescriptor = "manifest-descriptor";

// "manifest[linux/amd64]"
Result<BuildAnnotation> ParseType(std::string_view word) {
  BuildAnnotation annotation;
  const size_t bracket = word.find('[');
  annotation.type = word.substr(0, bracket);
  if (annotation.type.empty()) annotation.type = kManifest;
  for (const std::string_view known :
       {kManifest, kManifestDescriptor, std::string_view("index"), std::string_view("index-descriptor")}) {
    if (annotation.type != known) continue;
    if (bracket == std::string_view::npos) return annotation;
    if (!word.ends_with(']')) break;
    SKIFF_ASSIGN(annotation.platform,
                 builder::ParsePlatform(word.substr(bracket + 1, word.size() - bracket - 2)));
    return annotation;
  }
  return Fail(Error(Code::kInvalidArgument, fmt::format("unknown annotation type \"{}\"", word))
                  .With("use manifest, manifest-descriptor, index or index-descriptor, each with or "
                        "without [PLATFORM]"));
}

}  // namespace

Status ParseAnnotation(const std::string& text, std::vector<BuildAnnotation>& out) {
  if (text.empty()) return {};
  const size_t equals = text.find('=');
  if (equals == std::string::npos) {
    return Fail(Code::kInvalidArgument,
                fmt::format("invalid annotation \"{}\", expected key=value", text));
  }
  const std::string name = text.substr(0, equals);
  const size_t colon = name.find(':');
  const std::string types = colon == std::string::npos ? "" : name.substr(0, colon);
  for (const std::string_view word : Split(types, ',')) {
    SKIFF_ASSIGN(BuildAnnotation annotation, ParseType(word));
    annotation.key = colon == std::string::npos ? name : name.substr(colon + 1);
    annotation.value = text.substr(equals + 1);
    out.push_back(std::move(annotation));
  }
  return {};
}

bool IsAnnotationField(std::string_view name) {
  return name.starts_with(kField) && name.size() > kField.size() &&
         std::string_view("-.[").find(name[kField.size()]) != std::string_view::npos;
}

Status ParseAnnotationField(const std::string& name, const std::string& value,
                            std::vector<BuildAnnotation>& out) {
  std::string_view rest = std::string_view(name).substr(kField.size());
  if (rest.starts_with('-')) rest.remove_prefix(1);
  // A platform has no dot.
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid annotation \"{}\": no key", name));
  }
  SKIFF_ASSIGN(BuildAnnotation annotation, ParseType(rest.substr(0, dot)));
  annotation.key = rest.substr(dot + 1);
  annotation.value = value;
  out.push_back(std::move(annotation));
  return {};
}

Result<engine::ImageAnnotations> AnnotationsOf(const std::vector<BuildAnnotation>& annotations,
                                               const std::string& config) {
  engine::ImageAnnotations out;
  if (annotations.empty()) return out;
  SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(config));
  for (const BuildAnnotation& annotation : annotations) {
    if (annotation.type.starts_with("index")) {
      return Fail(Error(Code::kInvalidArgument,
                        "index annotations not supported for single platform export")
                      .With("manifest:KEY=VALUE annotates the image"));
    }
    if (annotation.platform && (annotation.platform->os != document.os ||
                                annotation.platform->architecture != document.architecture ||
                                annotation.platform->variant != document.variant)) {
      continue;
    }
    auto& place = annotation.type == kManifest ? out.manifest : out.descriptor;
    place.insert_or_assign(annotation.key, annotation.value);
  }
  return out;
}

}  // namespace skiff::cli
