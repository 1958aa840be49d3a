#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/e2e/support/process.h"

namespace skiff::e2e {

// A repository below FOLDER/git and the daemon that serves it on loopback, ended when destroyed.
class GitServer {
 public:
  static bool Installed();
  explicit GitServer(const std::string& folder);
  ~GitServer();
  GitServer(const GitServer&) = delete;
  GitServer& operator=(const GitServer&) = delete;

  // Of the branch main.
  void Commit(const std::map<std::string, std::string>& files);
  void Tag(const std::string& name);
  // A symbolic link, committed.
  void Link(const std::string& name, const std::string& target);
  std::string Head();  // The commit, 40 digits.
  // From now on; before, Address() means nothing.
  void Serve();
  // "git://127.0.0.1:PORT/repo", and `rest`.
  std::string Address(const std::string& rest = "") const;

 private:
  std::string Git(const std::vector<std::string>& words);
  std::string folder_;
  int port_ = 0;
  std::vector<Process> daemons_;
};

}  // namespace skiff::e2e
