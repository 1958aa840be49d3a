#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "engine-core/transfer/process.h"
#include "engine-core/transfer/registry_protocol.h"

namespace skiff::engine::transfer {

// A command's side of one session with a registry: one skiff-transfer, used by the thread that
// opened it.
class RegistryClient {
 public:
  static Result<RegistryClient> Open(const std::string& program, const RegistryOpening& opening);

  // `fd`: -1 for none.
  Result<RegistryAnswer> Do(const RegistryRequest& request, int fd,
                            const std::function<void(int64_t)>& progress = {});
  // Sends bytes, or gets them, through a file without a name.
  Result<RegistryAnswer> Send(const RegistryRequest& request, const std::string& body);
  Result<RegistryAnswer> Receive(const RegistryRequest& request, std::string* body, size_t limit);

 private:
  explicit RegistryClient(Process process) : process_(std::move(process)) {}
  Process process_;
};

}  // namespace skiff::engine::transfer
