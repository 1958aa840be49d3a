#include "netmgr/netlink/namespace_thread.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>

#include <cstdio>
#include <cstdlib>

namespace skiff::net {
namespace {

constexpr char kOwnNamespace[] = "/proc/thread-self/ns/net";

}  // namespace

Result<std::unique_ptr<NamespaceThread>> NamespaceThread::Start() {
  std::unique_ptr<NamespaceThread> self(new NamespaceThread);
  SKIFF_ASSIGN(self->home_, OpenFile(kOwnNamespace, O_RDONLY));
  self->thread_ = std::thread([thread = self.get()] { thread->Loop(); });
  return self;
}

NamespaceThread::~NamespaceThread() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void NamespaceThread::Run(const std::function<void()>& work) {
  const std::lock_guard turn(callers_);
  std::unique_lock lock(mutex_);
  work_ = &work;
  changed_.notify_all();
  changed_.wait(lock, [&] { return work_ == nullptr; });
}

void NamespaceThread::Loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return work_ != nullptr || stopping_; });
    if (work_ == nullptr) return;
    const std::function<void()>* const work = work_;
    lock.unlock();
    (*work)();
    lock.lock();
    work_ = nullptr;
    changed_.notify_all();
  }
}

Result<NetlinkSocket*> NamespaceThread::HomeSocket() {
  if (!home_socket_) {
    SKIFF_ASSIGN(home_socket_, NetlinkSocket::Open(NETLINK_ROUTE));
  }
  return &*home_socket_;
}

void NamespaceThread::GoHome() {
  if (::setns(home_.get(), CLONE_NEWNET) == 0) return;
  std::perror("skiff: cannot return to the host's network namespace");
  std::abort();
}

Result<Fd> NamespaceThread::MakeNamespace(const std::function<Status()>& inside) {
  if (::unshare(CLONE_NEWNET) != 0) return FailErrno("cannot make a network namespace");
  Result<Fd> made = OpenFile(kOwnNamespace, O_RDONLY);
  const Status done = made ? inside() : Status();
  GoHome();
  SKIFF_TRY(done);
  return made;
}

Status NamespaceThread::Enter(int network_namespace, const std::function<Status()>& inside) {
  if (::setns(network_namespace, CLONE_NEWNET) != 0) {
    return FailErrno("cannot enter a network namespace");
  }
  const Status done = inside();
  GoHome();
  return done;
}

}  // namespace skiff::net
