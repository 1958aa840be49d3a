#include "cli/build_annotations.h"

#include <fmt/format.h>

#include "base/text.h"
#include "engine-core/image_config.h"

namespace skiff::cli {
namespace {

constexpr std::string_view kField = "annotation";

// "manifest[linux/amd64]"
Result<BuildAnnotation> ParseType(std::string_view word) {
  BuildAnnotation annotation;
  const size_t bracket = word.find('[');
  const std::string_view type = word.substr(0, bracket);
  annotation.of_index = type == "index" || type == "index-descriptor";
  annotation.of_descriptor = type == "manifest-descriptor" || type == "index-descriptor";
  const bool known =
      type.empty() || type == "manifest" || annotation.of_index || annotation.of_descriptor;
  const bool closed = bracket == std::string_view::npos || word.ends_with(']');
  if (!known || !closed || (annotation.of_index && bracket != std::string_view::npos)) {
    return Fail(
        Error(Code::kInvalidArgument, fmt::format("unknown annotation type \"{}\"", word))
            .With("use manifest or manifest-descriptor, each with or without [PLATFORM], index or "
                  "index-descriptor"));
  }
  if (bracket != std::string_view::npos) {
    SKIFF_ASSIGN(annotation.platform,
                 builder::ParsePlatform(word.substr(bracket + 1, word.size() - bracket - 2)));
  }
  return annotation;
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
    if (annotation.of_index) continue;
    if (annotation.platform && (annotation.platform->os != document.os ||
                                annotation.platform->architecture != document.architecture ||
                                annotation.platform->variant != document.variant)) {
      continue;
    }
    auto& place = annotation.of_descriptor ? out.descriptor : out.manifest;
    place.insert_or_assign(annotation.key, annotation.value);
  }
  return out;
}

engine::ListAnnotations ListAnnotationsOf(const std::vector<BuildAnnotation>& annotations) {
  engine::ListAnnotations out;
  for (const BuildAnnotation& annotation : annotations) {
    if (!annotation.of_index) continue;
    auto& place = annotation.of_descriptor ? out.descriptor : out.list;
    place.insert_or_assign(annotation.key, annotation.value);
  }
  return out;
}

Status RefuseListAnnotations(const std::vector<BuildAnnotation>& annotations) {
  for (const BuildAnnotation& annotation : annotations) {
    if (!annotation.of_index) continue;
    return Fail(Error(Code::kInvalidArgument,
                      "index annotations not supported for single platform export")
                    .With("manifest:KEY=VALUE annotates the image"));
  }
  return {};
}

}  // namespace skiff::cli
