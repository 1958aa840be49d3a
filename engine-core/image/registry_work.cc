#include "engine-core/image/registry_work.h"

#include "engine-core/image/layer_store.h"

namespace skiff::engine::image {
namespace {

constexpr size_t kShortId = 12;

}  // namespace

void ProgressLines::Say(const std::string& digest, const std::string& status, int64_t current,
                        int64_t total) {
  Say({DigestHex(digest).substr(0, kShortId), status, current, total});
}

void ProgressLines::Say(const ImageProgress& progress) {
  if (!sink_) return;
  const std::lock_guard lock(mutex_);
  sink_(progress);
}

Result<transfer::RegistryClient*> RegistryWorkers::First() {
  if (!first_) {
    SKIFF_ASSIGN(auto client, transfer::RegistryClient::Open(program_, opening_));
    first_.emplace(std::move(client));
  }
  return &*first_;
}

void RegistryWorkers::Share(const transfer::RegistryAnswer& learned) {
  opening_.token = learned.token;
  // No second search for the way: but a certificate nobody vouches for was accepted for the host.
  if (!learned.base.empty()) opening_.host = learned.base;
}

Result<transfer::RegistryClient*> RegistryWorkers::Of(size_t worker) {
  std::optional<transfer::RegistryClient>& client = clients_[worker];
  if (!client) {
    SKIFF_ASSIGN(auto opened, transfer::RegistryClient::Open(program_, opening_));
    client.emplace(std::move(opened));
  }
  return &*client;
}

}  // namespace skiff::engine::image
