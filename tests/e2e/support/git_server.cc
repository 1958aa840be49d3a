#include "tests/e2e/support/git_server.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/e2e/support/http_server.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {

namespace fs = std::filesystem;

bool GitServer::Installed() {
  return ::access("/usr/bin/git", X_OK) == 0;
}

GitServer::GitServer(const std::string& folder) : folder_(folder) {
  fs::create_directories(folder_ + "/git/repo");
  Git({"init", "--quiet", "--initial-branch=main", "."});
}

GitServer::~GitServer() {
  for (Process& daemon : daemons_) {
    daemon.Signal(SIGTERM);
    daemon.Finish();
  }
}

std::string GitServer::Git(const std::vector<std::string>& words) {
  Words command = {"/usr/bin/git", "-c", "user.name=t", "-c", "user.email=t@t"};
  command.insert(command.end(), words.begin(), words.end());
  ProcessOptions options;
  options.environment = {{"PATH", "/usr/bin:/bin"},
                         {"HOME", folder_},
                         {"GIT_CONFIG_NOSYSTEM", "1"},
                         {"GIT_COMMITTER_DATE", "1700000000 +0000"}};
  options.directory = folder_ + "/git/repo";
  const Outcome outcome = RunCommand(command, options);
  EXPECT_THAT(outcome, Succeeds()) << outcome;
  return outcome.out;
}

void GitServer::Commit(const std::map<std::string, std::string>& files) {
  for (const auto& [name, content] : files) {
    const fs::path path = folder_ + "/git/repo/" + name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  Git({"add", "--all"});
  Git({"commit", "--quiet", "-m", "change"});
}

void GitServer::Tag(const std::string& name) {
  Git({"tag", "-a", "-m", "a tag", name});
}

void GitServer::Link(const std::string& name, const std::string& target) {
  fs::create_symlink(target, folder_ + "/git/repo/" + name);
  Commit({});
}

std::string GitServer::Head() {
  return Git({"rev-parse", "HEAD"}).substr(0, 40);
}

void GitServer::Serve() {
  // A port somebody takes meanwhile makes it end; then another one is tried.
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = FreePort();
    ProcessOptions options;
    options.environment = {{"PATH", "/usr/bin:/bin"}, {"HOME", folder_}};
    options.merge_error = true;
    daemons_.push_back(Process::Start(
        {"/usr/bin/git", "-c", "safe.directory=*", "daemon", "--verbose", "--export-all",
         "--listen=127.0.0.1", "--port=" + std::to_string(port_), "--reuseaddr",
         "--base-path=" + folder_ + "/git"},
        options));
    if (daemons_.back().AwaitOutput("Ready to rumble")) return;
  }
  FAIL() << daemons_.back().out();
}

std::string GitServer::Address(const std::string& rest) const {
  return "git://127.0.0.1:" + std::to_string(port_) + "/repo" + rest;
}

}  // namespace skiff::e2e
