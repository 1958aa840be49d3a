#include "tests/e2e/support/warden.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>
#include <vector>

#include "tests/e2e/support/process.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;

// Where the end of the pipe lies that ends with the test.
constexpr int kLife = 3;

void CleanUp(const std::string& directory, const std::string& program) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (!name.ends_with("root")) continue;
    ProcessOptions options;
    options.environment = CleanEnvironment();
    options.environment["SKIFF_ROOT"] = entry.path();
    options.environment["SKIFF_RUN"] = directory + "/" + name.substr(0, name.size() - 4) + "run";
    std::istringstream ids(RunCommand({program, "docker", "ps", "-aq"}, options).out);
    std::vector<std::string> remove = {program, "docker", "rm", "-f", "-v"};
    for (std::string id; ids >> id;) remove.push_back(id);
    if (remove.size() > 5) RunCommand(remove, options);
    RunCommand({program, "system", "retire"}, options);
  }
  fs::remove_all(directory, error);
}

[[noreturn]] void Watch(int life, const std::string& directory, const std::string& program) {
  setsid();
  // Nothing of the test's stays open: who waits for the end of its output is not kept waiting.
  dup2(life, kLife);
  syscall(SYS_close_range, kLife + 1, ~0U, 0U);
  const Fd null = *OpenFile("/dev/null", O_RDWR);
  for (int fd = 0; fd < kLife; ++fd) dup2(null.get(), fd);
  char word = 0;
  ssize_t count = 0;
  do {
    count = read(kLife, &word, 1);
  } while (count < 0 && errno == EINTR);
  if (count == 0) CleanUp(directory, program);
  _exit(0);
}

}  // namespace

Warden Warden::Start(const std::string& directory, const std::string& program) {
  Warden warden;
  Result<Pipe> life = MakePipe();
  if (!life) return warden;
  warden.pid_ = fork();
  if (warden.pid_ == 0) Watch(life->read.get(), directory, program);
  warden.life_ = std::move(life->write);
  return warden;
}

void Warden::Dismiss() {
  if (pid_ <= 0) return;
  // It reads one byte at most; a failure means that it has gone.
  [[maybe_unused]] const Status told = WriteAll(life_.get(), "d", "the warden");
  life_.Reset();
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace skiff::e2e
