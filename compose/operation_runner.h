#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "compose/execute.h"
#include "compose/plan.h"
#include "compose/progress.h"
#include "engine-core/engine.h"

namespace skiff::compose {

// Carries out single operations of a plan. Thread safe.
class OperationRunner {
 public:
  OperationRunner(const Plan& plan, engine::Engine& engine, Progress& progress,
                  const ExecuteOptions& options)
      : plan_(plan),
        engine_(engine),
        progress_(progress),
        options_(options),
        created_(plan.operations.size()) {}

  // One engine call, with progress before and after it. Not for waits.
  Status Run(int index);
  // Of a container that exists, or that an operation that is done has made.
  std::string IdOf(const ContainerTarget& target) const;
  void Report(std::string id, std::string_view status, ProgressPhase phase,
              std::string details = "") const;

 private:
  Status Call(int index, const Operation& operation);
  Status CallContainer(const Operation& operation, const std::string& id);
  Status Create(int index, const Operation& operation);
  Status RunHook(const Operation& operation, const std::string& id);
  Status Tolerate(const Operation& operation, Status status) const;

  const Plan& plan_;
  engine::Engine& engine_;
  Progress& progress_;
  const ExecuteOptions& options_;
  mutable std::mutex mutex_;
  std::vector<std::string> created_;  // Ids by operation. Guarded by mutex_.
};

}  // namespace skiff::compose
