#include "engine-core/monitor/stream.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace skiff::engine::monitor {
namespace {

constexpr size_t kCopyChunk = 64u << 10;
constexpr int kDrainSteps = 1024;
constexpr int kCopySteps = 8;  // Then others have a turn.
// What stays resident of the scratch memory: enough for small lines without page faults.
constexpr size_t kKeptScratch = 16u << 10;

}  // namespace

Scratch::Scratch() {
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) data_ = static_cast<char*>(memory);
}

Scratch::~Scratch() {
  if (data_ != nullptr) ::munmap(data_, kSize);
}

void Scratch::Used(size_t bytes) {
  if (bytes <= kKeptScratch || large_) return;
  large_ = true;
  if (on_large_) on_large_();
}

void Scratch::Release() {
  if (large_) ::madvise(data_ + kKeptScratch, kSize - kKeptScratch, MADV_DONTNEED);
  large_ = false;
}

StreamKind KindOf(int fd) {
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return StreamKind::kFile;
  if (S_ISFIFO(info.st_mode)) return StreamKind::kPipe;
  if (S_ISSOCK(info.st_mode)) return StreamKind::kSocket;
  if (S_ISCHR(info.st_mode) && ::isatty(fd) == 1) return StreamKind::kTerminal;
  return StreamKind::kFile;
}

Result<Stream> Stream::Open(Fd fd, bool for_writing) {
  const StreamKind kind = KindOf(fd.get());
  if (kind == StreamKind::kSocket || kind == StreamKind::kFile) return Stream(std::move(fd), kind);
  const int flags = (for_writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY;
  SKIFF_ASSIGN(Fd mine, OpenFile("/proc/self/fd/" + std::to_string(fd.get()), flags));
  return Stream(std::move(mine), kind);
}

Result<Stream> Stream::Own(Fd fd) {
  SKIFF_TRY(SetNonBlocking(fd.get(), true));
  const StreamKind kind = KindOf(fd.get());
  return Stream(std::move(fd), kind);
}

ssize_t Stream::Read(char* data, size_t size) const {
  for (;;) {
    const ssize_t n = kind_ == StreamKind::kSocket ? ::recv(fd_.get(), data, size, MSG_DONTWAIT)
                                                   : ::read(fd_.get(), data, size);
    if (n >= 0 || errno != EINTR) return n;
  }
}

ssize_t Stream::Write(std::string_view data) const {
  for (;;) {
    const ssize_t n = kind_ == StreamKind::kSocket
                          ? ::send(fd_.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                          : ::write(fd_.get(), data.data(), data.size());
    if (n >= 0 || errno != EINTR) return n;
  }
}

// ---- OutputSink --------------------------------------------------------------------------------

OutputSink::OutputSink(EventLoop* loop, Stream stream, std::function<void()> drained)
    : loop_(loop), stream_(std::move(stream)), drained_(std::move(drained)) {}

OutputSink::~OutputSink() {
  Watch(false);
}

void OutputSink::Watch(bool on) {
  if (on == watched_) return;
  if (!on) {
    loop_->Remove(stream_.fd());
    watched_ = false;
    return;
  }
  const Status added = loop_->Add(stream_.fd(), EPOLLOUT, [this](uint32_t) { Flush(); });
  if (!added) return Break();
  watched_ = true;
}

void OutputSink::Break() {
  broken_ = true;
  std::string().swap(pending_);
  offset_ = 0;
  Watch(false);
}

void OutputSink::Write(std::string_view data) {
  if (broken_) return;
  while (pending() == 0 && !data.empty()) {
    const ssize_t n = stream_.Write(data);
    if (n < 0 && errno != EAGAIN) return Break();
    if (n <= 0) break;
    data.remove_prefix(static_cast<size_t>(n));
  }
  if (data.empty()) return;
  pending_.append(data);
  Watch(true);
}

void OutputSink::Flush() {
  while (pending() > 0) {
    const ssize_t n = stream_.Write(std::string_view(pending_).substr(offset_));
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      Break();
      break;
    }
    offset_ += static_cast<size_t>(n);
  }
  std::string().swap(pending_);
  offset_ = 0;
  Watch(false);
  if (drained_) drained_();
}

std::string OutputSink::TakePending() {
  std::string rest = pending_.substr(offset_);
  Break();
  return rest;
}

// ---- StreamCopy --------------------------------------------------------------------------------

StreamCopy::StreamCopy(EventLoop* loop, Scratch* scratch, Stream source, Stream sink,
                       std::function<void()> ended)
    : loop_(loop),
      scratch_(scratch),
      source_(std::move(source)),
      sink_(std::move(sink)),
      ended_(std::move(ended)) {}

StreamCopy::~StreamCopy() {
  Watch(source_.fd(), &source_watched_, false, 0);
  Watch(sink_.fd(), &sink_watched_, false, 0);
}

// A descriptor that is of no interest now leaves the loop: with an empty set of events epoll would
// still report a hang-up, again and again.
void StreamCopy::Watch(int fd, bool* flag, bool on, uint32_t events) {
  if (*flag == on) return;
  if (!on) {
    loop_->Remove(fd);
    *flag = false;
    return;
  }
  *flag = loop_->Add(fd, events, [this](uint32_t) { Pump(); }).has_value();
  if (!*flag) finished_ = true;
}

StreamCopy::Step StreamCopy::MoveOnce() {
  if (finished_) return Step::kEnded;
  std::string_view data = pending_;
  if (data.empty()) {
    const ssize_t n = source_.Read(scratch_->data(), std::min(kCopyChunk, scratch_->size()));
    if (n < 0 && errno == EAGAIN) return Step::kSourceEmpty;
    if (n <= 0) return Step::kEnded;  // End of file; EIO of a terminal nobody holds any more.
    scratch_->Used(static_cast<size_t>(n));
    data = {scratch_->data(), static_cast<size_t>(n)};
  }
  const ssize_t written = sink_.Write(data);
  if (written < 0 && errno != EAGAIN) return Step::kEnded;
  if (written > 0) data.remove_prefix(static_cast<size_t>(written));
  pending_ = std::string(data);
  return pending_.empty() ? Step::kMoved : Step::kSinkFull;
}

void StreamCopy::Pump() {
  Step step = Step::kMoved;
  for (int i = 0; i < kCopySteps && step == Step::kMoved; ++i) step = MoveOnce();
  if (step == Step::kMoved && !source_.pollable()) step = Step::kSinkFull;  // Come again by it.
  if (step != Step::kEnded) {
    const bool full = step == Step::kSinkFull;
    Watch(source_.fd(), &source_watched_, !full && source_.pollable(), EPOLLIN);
    Watch(sink_.fd(), &sink_watched_, full && sink_.pollable(), EPOLLOUT);
    if (!finished_) {
      if (progress_) progress_();
      return;
    }
  }
  finished_ = true;
  std::string().swap(pending_);
  Watch(source_.fd(), &source_watched_, false, 0);
  Watch(sink_.fd(), &sink_watched_, false, 0);
  if (progress_) {
    const auto progress = progress_;
    progress();
  }
  if (ended_) {
    const auto ended = std::move(ended_);
    ended_ = nullptr;
    ended();
  }
}

bool StreamCopy::Drain() {
  // Somebody outside may hold the pipe and write for ever: a whole pipe is enough.
  for (int i = 0; i < kDrainSteps; ++i) {
    switch (MoveOnce()) {
      case Step::kMoved:
        continue;
      case Step::kSinkFull:
        Watch(source_.fd(), &source_watched_, false, 0);
        Watch(sink_.fd(), &sink_watched_, sink_.pollable(), EPOLLOUT);
        return finished_;
      case Step::kSourceEmpty:
        return true;
      case Step::kEnded:
        return true;
    }
  }
  return true;
}

}  // namespace skiff::engine::monitor
