#include "engine-core/monitor/log_pump.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

namespace skiff::engine::monitor {
namespace {

constexpr LogStream kStreams[] = {LogStream::kStdout, LogStream::kStderr};
// Reads of one stream at its end: more than a full pipe, less than for ever.
constexpr int kFinishReads = 64;

}  // namespace

Result<Pipe> MakeOutputPipe() {
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  // Large pipes halve the cost of a byte; a user's quota of pipe memory may be used up.
  for (const int size : {1 << 20, 256 << 10}) {
    if (::fcntl(pipe.read.get(), F_SETPIPE_SZ, size) >= 0) break;
  }
  return pipe;
}

LogPump::LogPump(EventLoop* loop, Scratch* scratch, LogWriter* log)
    : loop_(loop), scratch_(scratch), log_(log) {}

LogPump::~LogPump() {
  for (const LogStream stream : kStreams) Watch(stream, false);
}

Status LogPump::SetSource(LogStream stream, Fd source) {
  Watch(stream, false);
  Of(stream).stream.reset();
  SKIFF_ASSIGN(Of(stream).stream, Stream::Own(std::move(source)));
  Update(stream);
  return {};
}

void LogPump::AddSink(LogStream stream, OutputSink* sink) {
  Of(stream).sinks.push_back(sink);
}

void LogPump::RemoveSink(OutputSink* sink) {
  for (Source& source : sources_) std::erase(source.sinks, sink);
  Drained();
}

void LogPump::Drained() {
  for (const LogStream stream : kStreams) Update(stream);
}

bool LogPump::HeldBack(const Source& source) const {
  return std::ranges::any_of(source.sinks,
                             [](const OutputSink* sink) { return sink->pending() > 0; });
}

void LogPump::Update(LogStream stream) {
  Source& source = Of(stream);
  Watch(stream, source.stream && !HeldBack(source));
}

void LogPump::Watch(LogStream stream, bool on) {
  Source& source = Of(stream);
  if (source.watched == on || !source.stream) return;
  if (!on) {
    loop_->Remove(source.stream->fd());
    source.watched = false;
    return;
  }
  source.watched = loop_
                       ->Add(source.stream->fd(), EPOLLIN,
                             [this, stream](uint32_t) {
                               ReadOnce(stream);
                               Update(stream);
                             })
                       .has_value();
}

bool LogPump::ReadOnce(LogStream stream) {
  Source& source = Of(stream);
  if (!source.stream) return false;
  const ssize_t n = source.stream->Read(scratch_->data(), scratch_->size());
  if (n < 0 && errno == EAGAIN) return false;
  if (n <= 0) {  // All writers are gone (EIO: of a terminal).
    Watch(stream, false);
    source.stream.reset();
    log_->End(stream, WallClockNanoseconds());
    return false;
  }
  scratch_->Used(static_cast<size_t>(n));
  const std::string_view data(scratch_->data(), static_cast<size_t>(n));
  for (OutputSink* sink : source.sinks) sink->Write(data);
  log_->Write(stream, data, WallClockNanoseconds());
  return true;
}

void LogPump::Finish() {
  for (const LogStream stream : kStreams) {
    for (int i = 0; i < kFinishReads && ReadOnce(stream); ++i) {
    }
    Watch(stream, false);
    Of(stream).stream.reset();
    log_->End(stream, WallClockNanoseconds());
  }
}

}  // namespace skiff::engine::monitor
