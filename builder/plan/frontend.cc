// "# syntax=...": who is to read the file.
#include "builder/plan.h"
#include "engine-core/references.h"

namespace skiff::builder {
namespace {

// Any version, from wherever it is mirrored.
bool IsDockerfileFrontend(std::string_view text) {
  if (text.empty() || text == "dockerfile.v0") return true;
  const auto reference = engine::ParseReference(text);
  if (!reference) return false;
  const std::string path = "/" + reference->path;
  return path.ends_with("/docker/dockerfile") || path.ends_with("/docker/dockerfile-upstream");
}

}  // namespace

Status CheckFrontend(const Dockerfile& file, const PlanOptions& options) {
  const auto chosen = options.arguments.find("BUILDKIT_SYNTAX");
  std::string_view text;
  if (file.syntax) text = file.syntax->text;
  if (chosen != options.arguments.end()) text = chosen->second;
  text = text.substr(0, text.find_first_of(" \t"));
  if (IsDockerfileFrontend(text)) return {};
  Error error(Code::kUnsupported, "the frontend \"" + std::string(text) + "\" is not supported");
  if (chosen == options.arguments.end()) error.span = file.syntax->span;
  error.notes.push_back(
      {"Skiff reads Dockerfiles itself, as docker/dockerfile of any version does, and runs no other "
       "frontend",
       {}});
  return Fail(std::move(error));
}

}  // namespace skiff::builder
