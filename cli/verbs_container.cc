// Verbs of docker's for one container of a service: attach, commit, export, top.
#include <algorithm>

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
