#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "engine-core/child/child.h"
#include "engine-core/child/inside/plan.h"

namespace skiff::engine::child {

// Memory of a plan: lists and texts the new process reads through plain pointers. What it refers to
// in the RuntimeSpec must outlive the clone call only.
class PlanMemory {
 public:
  const char* Keep(std::string text) { return texts_.emplace_back(std::move(text)).c_str(); }
  template <typename T>
  inside::List<T> KeepList(std::vector<T> items) {
    auto owned = std::make_shared<std::vector<T>>(std::move(items));
    inside::List<T> list = {owned->data(), owned->size()};
    owners_.push_back(std::move(owned));
    return list;
  }
  int KeepFd(Fd fd) { return fds_.emplace_back(std::move(fd)).get(); }

 private:
  std::deque<std::string> texts_;
  std::vector<std::shared_ptr<void>> owners_;
  std::vector<Fd> fds_;
};

struct InitInput {
  const RuntimeSpec& spec;
  int network_namespace = -1;
  Stdio stdio;
  int status = -1;  // The new process's end of the status socket.
  OverlayMethod overlay = OverlayMethod::kAutomatic;
  char* title = nullptr;
  size_t title_size = 0;
};
// Opens what has to be opened on the host's side (namespaces to join, entries of cgroups).
Result<inside::InitPlan> BuildInitPlan(const InitInput& input, PlanMemory& memory);

struct ExecInput {
  const RuntimeSpec& spec;
  const ExecSpec& exec;
  int init_pidfd = -1;
  Stdio stdio;
  int status = -1;
};
Result<inside::ExecPlan> BuildExecPlan(const ExecInput& input, PlanMemory& memory);

}  // namespace skiff::engine::child
