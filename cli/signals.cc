#include "cli/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

namespace skiff::cli {
namespace {

// A handler has no context: the write end of the pipe for each signal, -1 without.
constexpr int kSignals = 65;
std::atomic<int> g_pipes[kSignals];

extern "C" void RouteSignal(int number) {
  const int saved = errno;
  const int fd = g_pipes[number].load(std::memory_order_relaxed) - 1;
  const unsigned char byte = static_cast<unsigned char>(number);
  // A full pipe already tells that somebody is waiting to be heard.
  if (fd >= 0) {
    const ssize_t ignored = write(fd, &byte, 1);
    static_cast<void>(ignored);
  }
  errno = saved;
}

}  // namespace

struct SignalRouter::Previous {
  struct Entry {
    int pipe = 0;
    struct sigaction action {};
  };
  std::vector<Entry> entries;
};

SignalRouter::SignalRouter(Pipe pipe, std::vector<int> signals)
    : pipe_(std::move(pipe)),
      signals_(std::move(signals)),
      previous_(std::make_unique<Previous>()) {
  for (int number : signals_) {
    Previous::Entry entry;
    entry.pipe = g_pipes[number].exchange(pipe_.write.get() + 1);
    struct sigaction action {};
    action.sa_handler = RouteSignal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, &entry.action);
    previous_->entries.push_back(entry);
  }
}

Result<std::unique_ptr<SignalRouter>> SignalRouter::Create(std::vector<int> signals) {
  SKIFF_ASSIGN(Pipe pipe, MakePipe(O_NONBLOCK));
  return std::unique_ptr<SignalRouter>(new SignalRouter(std::move(pipe), std::move(signals)));
}

SignalRouter::~SignalRouter() {
  for (size_t i = 0; i < signals_.size(); ++i) {
    sigaction(signals_[i], &previous_->entries[i].action, nullptr);
    g_pipes[signals_[i]].store(previous_->entries[i].pipe);
  }
}

int SignalRouter::Take() {
  unsigned char byte = 0;
  return read(pipe_.read.get(), &byte, 1) == 1 ? byte : 0;
}

void IgnoreBrokenPipes() {
  signal(SIGPIPE, SIG_IGN);
}

}  // namespace skiff::cli
