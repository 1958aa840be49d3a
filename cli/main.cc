#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "base/event_loop.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "cli/dispatch.h"
#include "cli/exit_status.h"
#include "engine-core/embedded.h"
#include "engine-core/project_lock.h"

extern char** environ;

namespace skiff::cli {
namespace {

std::map<std::string, std::string> ReadEnvironment() {
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const char* equals = std::strchr(*entry, '=');
    if (equals == nullptr) continue;
    environment.emplace(std::string(*entry, static_cast<size_t>(equals - *entry)), equals + 1);
  }
  return environment;
}

std::string WorkingDirectory() {
  char* path = get_current_dir_name();
  if (path == nullptr) return "/";
  std::string copy(path);
  std::free(path);  // get_current_dir_name allocates with malloc.
  return copy;
}

// The composition root: everything the program takes from outside is chosen here.
int Main(int argc, char** argv) {
  const auto configured = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  Status ready = ConfigureFailpoints(configured("SKIFF_FAILPOINTS"));
  if (ready) ready = StartTracing(configured("SKIFF_TRACE"));
  if (!ready) {
    std::fprintf(stderr, "error: %s\n", ready.error().Text().c_str());
    return kExitFailure;
  }
  IgnoreBrokenPipes();
  Surroundings surroundings;
  surroundings.environment = ReadEnvironment();
  surroundings.working_dir = WorkingDirectory();
  surroundings.now = WallClockNanoseconds;
  surroundings.open_engine = engine::OpenEmbeddedEngine;
  surroundings.system_check = engine::SystemCheck;
  surroundings.lock_project = engine::LockProject;
  surroundings.retire_root = engine::RetireRoot;
  surroundings.restore_containers = engine::RestoreContainers;
  TraceSpan span("cli.command");
  return RunProgram(std::vector<std::string>(argv, argv + argc), std::move(surroundings));
}

// Started with `<&-`, the first files we open would be taken for the standard streams.
void FillStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // The lowest free number is `fd`: those below it are open.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) std::abort();
  }
}

}  // namespace
}  // namespace skiff::cli

int main(int argc, char** argv) {
  skiff::cli::FillStandardStreams();
  try {
    return skiff::cli::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: a bug in skiff: %s\n", error.what());
    return skiff::cli::kExitBug;
  }
}
