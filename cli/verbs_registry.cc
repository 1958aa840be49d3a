// Compose verbs about registries: pull, push.
#include "cli/flag_values.h"
#include "cli/pull_services.h"
#include "cli/registry_config.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

compose::AccessSource AccessOf(const Context& context) {
  return [&context](const std::string& image) { return AccessToImage(context, image); };
}

}  // namespace

Status PullServices(Context& context, const schema::LoadResult& model,
                    const compose::PullOptions& options) {
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model.sources.get()));
  return compose::Pull(use, model.project, options, AccessOf(context));
}

Status PushServices(Context& context, const schema::LoadResult& model,
                    const compose::PushOptions& options) {
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model.sources.get()));
  return compose::Push(use, model.project, options, AccessOf(context));
}

Result<int> RunComposePull(Context& context, const Arguments& arguments) {
  SKIFF_TRY(CheckChoice(arguments, "policy", {"", "missing", "always"}));
  compose::PullOptions options;
  options.services = arguments.operands();
  options.policy = arguments.Text("policy");
  options.with_dependencies = arguments.Bool("include-deps");
  options.ignore_buildable = arguments.Bool("ignore-buildable");
  options.ignore_failures = arguments.Bool("ignore-pull-failures");
  options.quiet = arguments.Bool("quiet");
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, options.services));
  SKIFF_TRY(PullServices(context, *model, options));
  return 0;
}

Result<int> RunComposePush(Context& context, const Arguments& arguments) {
  compose::PushOptions options;
  options.services = arguments.operands();
  options.with_dependencies = arguments.Bool("include-deps");
  options.ignore_failures = arguments.Bool("ignore-push-failures");
  options.quiet = arguments.Bool("quiet");
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, options.services));
  SKIFF_TRY(PushServices(context, *model, options));
  return 0;
}

}  // namespace skiff::cli
