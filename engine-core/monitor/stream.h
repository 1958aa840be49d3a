#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/fd.h"

// Bytes between descriptors of clients and the container. Nothing here ever blocks: a client may be
// slow, stopped or hostile.
namespace skiff::engine::monitor {

// Memory for one read, shared by everything in the single-threaded monitor. Its pages go back to
// the kernel when the monitor falls idle.
class Scratch {
 public:
  static constexpr size_t kSize = 256u << 10;
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  char* data() const { return data_; }
  size_t size() const { return data_ == nullptr ? 0 : kSize; }
  // Every reader calls it. The first large read since Release() is announced.
  void Used(size_t bytes);
  void Release();
  void set_on_large(std::function<void()> on_large) { on_large_ = std::move(on_large); }

 private:
  char* data_ = nullptr;
  bool large_ = false;
  std::function<void()> on_large_;
};

enum class StreamKind : uint8_t { kPipe, kSocket, kTerminal, kFile };

// A descriptor for non-blocking use. The flags of an open file are shared with the client's other
// programs (its shell!), so pipes and terminals are opened anew; sockets use MSG_DONTWAIT; regular
// files do not block.
class Stream {
 public:
  static Result<Stream> Open(Fd fd, bool for_writing);
  // Of a descriptor nobody else uses: O_NONBLOCK is set.
  static Result<Stream> Own(Fd fd);

  int fd() const { return fd_.get(); }
  StreamKind kind() const { return kind_; }
  bool pollable() const { return kind_ != StreamKind::kFile; }
  // As read(2) and write(2); EINTR is retried.
  ssize_t Read(char* data, size_t size) const;
  ssize_t Write(std::string_view data) const;

 private:
  Stream(Fd fd, StreamKind kind) : fd_(std::move(fd)), kind_(kind) {}
  Fd fd_;
  StreamKind kind_ = StreamKind::kFile;
};

StreamKind KindOf(int fd);

// A sink with a queue: what the descriptor does not take at once is kept. The owner stops reading
// while pending() is not 0, which bounds the queue to one read.
class OutputSink {
 public:
  OutputSink(EventLoop* loop, Stream stream, std::function<void()> drained);
  ~OutputSink();
  OutputSink(const OutputSink&) = delete;
  OutputSink& operator=(const OutputSink&) = delete;

  void Write(std::string_view data);
  size_t pending() const { return pending_.size() - offset_; }
  // The reader is gone: nothing is kept any more.
  bool broken() const { return broken_; }
  // Takes what has not been written, and stops.
  std::string TakePending();

 private:
  void Flush();
  void Watch(bool on);
  void Break();

  EventLoop* loop_;
  Stream stream_;
  std::function<void()> drained_;
  std::string pending_;
  size_t offset_ = 0;
  bool watched_ = false;
  bool broken_ = false;
};

// Copies from one descriptor to another until the source ends or the sink breaks.
class StreamCopy {
 public:
  // `ended` is called once, from the loop; it may destroy the copy.
  StreamCopy(EventLoop* loop, Scratch* scratch, Stream source, Stream sink,
             std::function<void()> ended);
  ~StreamCopy();
  StreamCopy(const StreamCopy&) = delete;
  StreamCopy& operator=(const StreamCopy&) = delete;

  void Start() { Pump(); }
  // Takes what the source has now. True when everything is written or the sink is broken: nothing
  // is lost by an end. False: call again when progress() was called.
  bool Drain();
  void set_progress(std::function<void()> progress) { progress_ = std::move(progress); }

 private:
  enum class Step : uint8_t { kMoved, kSourceEmpty, kSinkFull, kEnded };
  Step MoveOnce();
  void Pump();
  void Watch(int fd, bool* flag, bool on, uint32_t events);

  EventLoop* loop_;
  Scratch* scratch_;
  Stream source_;
  Stream sink_;
  std::function<void()> ended_;
  std::function<void()> progress_;
  std::string pending_;
  bool source_watched_ = false;
  bool sink_watched_ = false;
  bool finished_ = false;
};

}  // namespace skiff::engine::monitor
