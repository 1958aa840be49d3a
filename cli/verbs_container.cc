// Verbs of docker's for containers of a service: attach, commit, cp, export, top.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "cli/build_archive.h"
#include "cli/copy.h"
#include "cli/process_table.h"
#include "cli/text_table.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

// The container of the service that the first operand and --index name.
Result<std::string> ReplicaOf(Context& context, const Arguments& arguments, bool running) {
  const std::string service = arguments.Operand(0);
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, {service}));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  const int index = static_cast<int>(arguments.Number("index").value_or(0));
  SKIFF_ASSIGN(const engine::Container container,
               compose::FindReplica(use, project.ref, service, index, running));
  return container.id;
}

}  // namespace

Result<int> RunComposeAttach(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const std::string id, ReplicaOf(context, arguments, true));
  return AttachToContainer(context, arguments, id);
}

Result<int> RunComposeCommit(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const std::string id, ReplicaOf(context, arguments, false));
  return CommitContainer(context, arguments, id, arguments.Bool("pause"));
}

Result<int> RunComposeExport(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const std::string id, ReplicaOf(context, arguments, false));
  return ExportContainer(context, arguments, id);
}

Result<int> RunComposeCopy(Context& context, const Arguments& arguments) {
  const CopyPlace from = ParseCopyPlace(arguments.Operand(0));
  const CopyPlace to = ParseCopyPlace(arguments.Operand(1));
  if (!from.container.empty() && !to.container.empty()) {
    return Fail(Code::kInvalidArgument, "copying between services is not supported");
  }
  if (from.container.empty() && to.container.empty()) {
    return Fail(Code::kInvalidArgument, "unknown copy direction");
  }
  const bool out = to.container.empty();
  const std::string& service = out ? from.container : to.container;
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, {service}));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  const int index = static_cast<int>(arguments.Number("index").value_or(0));
  SKIFF_ASSIGN(
      std::vector<engine::Container> replicas,
      compose::FindReplicas(use, project.ref, service, index, arguments.Bool("all")));
  if (out) replicas.resize(1);
  Fd spooled;
  if (!out && from.path == "-" && replicas.size() > 1) {
    SKIFF_ASSIGN(spooled, Spool(context.around().in));  // Each reads it from the beginning.
  }
  const CopyOptions options{arguments.Bool("follow-link"), arguments.Bool("archive")};
  use.progress->Begin("copy");
  for (const engine::Container& replica : replicas) {
    compose::ProgressEvent event;
    event.id = replica.name;
    event.status = "Copying";
    event.details = out ? fmt::format("{}:{} to {}", replica.name, from.path, to.path)
                        : fmt::format("{} to {}:{}", from.path, replica.name, to.path);
    use.progress->Report(event);
    if (!context.globals.dry_run) {
      if (spooled.valid()) ::lseek(spooled.get(), 0, SEEK_SET);
      const int input = spooled.valid() ? spooled.get() : context.around().in;
      const auto copied =
          out ? CopyFromContainer(context, {replica.name, from.path}, to, options)
              : CopyToContainer(context, from, {replica.name, to.path}, options, input);
      if (!copied) {
        use.progress->End(false);
        return Fail(copied.error());
      }
    }
    event.status = "Copied";
    event.phase = compose::ProgressPhase::kDone;
    use.progress->Report(event);
  }
  use.progress->End(true);
  return 0;
}

Result<int> RunComposeTop(Context& context, const Arguments& arguments) {
  compose::PsOptions options;
  options.services = arguments.operands();
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, options.services));
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(project.sources));
  SKIFF_ASSIGN(const auto entries, compose::Ps(use, project.ref, options));
  constexpr size_t kMinimum = 4;
  constexpr size_t kGap = 2;
  TextTable table(kMinimum, kGap);
  std::vector<std::string> titles = {"SERVICE", "#"};
  titles.insert(titles.end(), std::begin(kProcessTitles), std::end(kProcessTitles));
  table.Add(std::move(titles));
  bool any = false;
  for (const compose::PsEntry& entry : entries) {
    SKIFF_ASSIGN(auto processes, ProcessesOf(entry.container.id, context.now()));
    for (std::vector<std::string>& row : processes) {
      row.insert(row.begin(), {entry.service, std::to_string(entry.number)});
      table.Add(std::move(row));
      any = true;
    }
  }
  if (any) SKIFF_TRY(context.Print(table.Render()));
  return 0;
}

}  // namespace skiff::cli
