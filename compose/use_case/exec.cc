#include "compose/use_case/use_case.h"

namespace skiff::compose {

Result<int> Exec(const Context& context, const ProjectRef& project, const ExecOptions& options,
                 SessionDriver& driver) {
  SKIFF_ASSIGN(const engine::Container target,
               FindReplica(context, project, options.service, options.index, true));
  engine::ExecConfig config;
  config.command = options.command;
  config.environment = options.environment;
  config.user = options.user;
  config.working_dir = options.working_dir;
  config.privileged = options.privileged;
  config.tty = options.tty && !options.detach;
  const engine::StandardStreams streams =
      options.detach ? engine::StandardStreams{} : driver.streams();
  SKIFF_ASSIGN(const std::unique_ptr<engine::Session> session,
               context.engine->Exec(target.id, config, streams,
                                    config.tty ? driver.size() : engine::TerminalSize{}));
  if (options.detach) return 0;
  return driver.Drive(*session);
}

}  // namespace skiff::compose
