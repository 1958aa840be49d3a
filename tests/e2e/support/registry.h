#pragma once

#include <memory>
#include <string>

#include "tests/e2e/support/process.h"

namespace skiff::e2e {

struct RegistryOptions {
  std::string address = "127.0.0.1";
  std::string tls;   // YAML below `http:`.
  std::string auth;  // YAML below `auth:`.
};

// Debian's docker-registry with its files below FOLDER/NAME, ended when destroyed.
class Registry {
 public:
  static bool Installed();
  Registry(const std::string& folder, const std::string& name,
           const RegistryOptions& options = RegistryOptions());
  ~Registry();
  Registry(Registry&&) = default;
  Registry& operator=(Registry&&) = delete;

  // "127.0.0.1:PORT"
  const std::string& host() const { return host_; }
  // It writes a line for each request.
  Process& process() { return *process_; }

 private:
  std::string host_;
  std::unique_ptr<Process> process_;
};

}  // namespace skiff::e2e
