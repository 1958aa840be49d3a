#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/fd.h"
#include "netmgr/netlink/netlink.h"

namespace skiff::net {

// The one thread that talks to the kernel about links, and the only one that changes its network
// namespace. Run() hands it one piece of work and waits; pieces run one after another.
class NamespaceThread {
 public:
  // Its home is the network namespace of the calling thread.
  static Result<std::unique_ptr<NamespaceThread>> Start();
  ~NamespaceThread();
  NamespaceThread(const NamespaceThread&) = delete;
  NamespaceThread& operator=(const NamespaceThread&) = delete;

  void Run(const std::function<void()>& work);
  // Run() for work with a result.
  template <typename Work>
  auto Call(const Work& work) -> decltype(work()) {
    std::optional<decltype(work())> result;
    Run([&] { result.emplace(work()); });
    return std::move(*result);
  }

  // ---- Only from work
  // ----------------------------------------------------------------------------

  int home() const { return home_.get(); }
  // The rtnetlink socket of the home namespace.
  Result<NetlinkSocket*> HomeSocket();
  // A namespace that nothing else is in. The thread is at home again when this returns.
  Result<Fd> MakeNamespace(const std::function<Status()>& inside);
  // Runs `inside` in another namespace. A thread that cannot come back ends the process: it would
  // change the wrong namespace from then on.
  Status Enter(int network_namespace, const std::function<Status()>& inside);

 private:
  NamespaceThread() = default;
  void Loop();
  void GoHome();

  Fd home_;
  std::optional<NetlinkSocket> home_socket_;
  std::mutex callers_;  // Held by the caller whose work runs.
  std::mutex mutex_;    // Guards what follows.
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace skiff::net
