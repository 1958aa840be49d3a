#include "tests/e2e/support/registry.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "tests/e2e/support/http_server.h"

namespace skiff::e2e {
namespace {

constexpr const char* kProgram = "/usr/bin/docker-registry";

}  // namespace

bool Registry::Installed() {
  return ::access(kProgram, X_OK) == 0;
}

Registry::Registry(const std::string& folder, const std::string& name,
                   const RegistryOptions& options)
    : host_(options.address + ":" + std::to_string(FreePort())) {
  const std::string file = folder + "/" + name;
  const std::string yaml =
      "version: 0.1\nlog: {level: info, accesslog: {disabled: false}}\nstorage:\n"
      "  filesystem: {rootdirectory: " +
      file + "}\n  delete: {enabled: true}\nhttp:\n  addr: " + host_ + "\n" + options.tls +
      (options.auth.empty() ? "" : "auth:\n" + options.auth);
  EXPECT_TRUE(WriteFileAtomically(file + ".yml", yaml, 0600, Durability::kVolatile));
  ProcessOptions process;
  process.environment = CleanEnvironment();
  process.environment["OTEL_TRACES_EXPORTER"] = "none";
  process.merge_error = true;
  process_ = std::make_unique<Process>(Process::Start({kProgram, "serve", file + ".yml"}, process));
  EXPECT_TRUE(process_->AwaitOutput("listening on")) << process_->out();
}

Registry::~Registry() {
  if (!process_) return;
  process_->Signal(SIGTERM);
  process_->Finish();
}

}  // namespace skiff::e2e
