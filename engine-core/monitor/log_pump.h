#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "base/event_loop.h"
#include "engine-core/engine.h"
#include "engine-core/monitor/log_writer.h"
#include "engine-core/monitor/stream.h"

namespace skiff::engine::monitor {

// Moves the container's output into its log and to attached clients. A client that does not keep
// up holds the output back, as with docker; the log holds nothing back.
class LogPump {
 public:
  LogPump(EventLoop* loop, Scratch* scratch, LogWriter* log);
  ~LogPump();
  LogPump(const LogPump&) = delete;
  LogPump& operator=(const LogPump&) = delete;

  // The reading end of a run's stream; replaces the one of the run before.
  Status SetSource(LogStream stream, Fd source);
  // The pump does not own the sink. The sink must call Drained().
  void AddSink(LogStream stream, OutputSink* sink);
  void RemoveSink(OutputSink* sink);
  void Drained();

  // The run is over: takes all that is in the pipes, whether clients keep up or not, and closes
  // them. What somebody outside the container writes later is lost.
  void Finish();

 private:
  struct Source {
    std::optional<Stream> stream;
    bool watched = false;
    std::vector<OutputSink*> sinks;
  };
  // False when nothing is there now, or for ever.
  bool ReadOnce(LogStream stream);
  void Watch(LogStream stream, bool on);
  bool HeldBack(const Source& source) const;
  void Update(LogStream stream);
  Source& Of(LogStream stream) { return sources_[static_cast<size_t>(stream)]; }

  EventLoop* loop_;
  Scratch* scratch_;
  LogWriter* log_;
  std::array<Source, 2> sources_;
};

// A pipe as large as the kernel allows, up to 1 MiB.
Result<Pipe> MakeOutputPipe();

}  // namespace skiff::engine::monitor
