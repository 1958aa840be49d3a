#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/images.h"
#include "engine-core/transfer/registry_client.h"

// What pull and push have in common.
namespace skiff::engine::image {

inline constexpr size_t kTransfersAtOnce = 6;

// Lines of progress from several threads, one at a time.
class ProgressLines {
 public:
  explicit ProgressLines(const ImageProgressSink& sink) : sink_(sink) {}
  void Say(const std::string& text) { Say({"", text, 0, 0}); }
  // `digest`: of the layer, shown by its first twelve digits.
  void Say(const std::string& digest, const std::string& status, int64_t current = 0,
           int64_t total = 0);

 private:
  void Say(const ImageProgress& progress);
  const ImageProgressSink& sink_;
  std::mutex mutex_;
};

// Sessions with one registry: one for each thread that transfers, opened when it is needed, with
// the token the first one got. A worker uses only its own.
class RegistryWorkers {
 public:
  RegistryWorkers(std::string program, transfer::RegistryOpening opening)
      : program_(std::move(program)), opening_(std::move(opening)), clients_(kTransfersAtOnce) {}

  // To be used by the calling thread until Share().
  Result<transfer::RegistryClient*> First();
  // What the first session learned goes to those of the workers.
  void Share(const transfer::RegistryAnswer& learned);
  Result<transfer::RegistryClient*> Of(size_t worker);

 private:
  std::string program_;
  transfer::RegistryOpening opening_;
  std::optional<transfer::RegistryClient> first_;
  std::vector<std::optional<transfer::RegistryClient>> clients_;
};

}  // namespace skiff::engine::image
