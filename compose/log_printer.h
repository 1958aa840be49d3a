#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "compose/use_cases.h"

namespace skiff::compose {

// Writes output of several containers as docker compose does: whole lines with an aligned prefix
// ("web-1  | "), a colour per service, stdout and stderr kept apart. Thread safe.
class LogPrinter {
 public:
  // `buffered`: gathers lines in big writes; for output that is not followed.
  LogPrinter(const OutputStreams& output, const LogStyle& style, bool buffered = false)
      : output_(output), style_(style), buffered_(buffered) {}
  ~LogPrinter() { Flush(); }

  // Makes room for a prefix; known containers keep their place.
  void Register(const std::string& name, const std::string& service);
  // A line, or a part of one that Write completes later.
  void Write(const std::string& name, const engine::LogEntry& entry);
  // Parts of a line of `name` that will not be completed.
  void Finish(const std::string& name);
  // "web-1 exited with code 0", on stdout.
  void Status(const std::string& name, std::string_view message);
  // A line that is no container's, on stdout.
  void Plain(std::string_view line);
  // What is done about changed files: behind a mark where others have their prefix.
  void Watch(std::string_view message);
  void Flush();

 private:
  struct Source {
    std::string_view color;
    std::string partial[2];  // Per stream.
    int64_t partial_time[2] = {0, 0};
  };
  void Line(const std::string& name, const Source& source, engine::LogStream stream, int64_t time,
            std::string_view text);
  void Put(engine::LogStream stream, std::string_view text);
  void FlushLocked();

  const OutputStreams output_;
  const LogStyle style_;
  const bool buffered_;
  std::mutex mutex_;  // Guards everything below and the descriptors.
  std::map<std::string, Source> sources_;
  std::map<std::string, std::string_view> colors_;  // By service.
  size_t width_ = 0;
  engine::LogStream pending_stream_ = engine::LogStream::kStdout;
  std::string pending_;
};

// "web-1": the name of a container without that of its project (compose.md 4.28).
std::string LogName(const std::string& project, const std::string& container_name);

}  // namespace skiff::compose
