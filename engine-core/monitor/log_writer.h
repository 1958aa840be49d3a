#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "engine-core/log_file.h"

namespace skiff::engine::monitor {

// Writes a container's log (log_file.h: format and rotation). Never fails and never blocks the
// container: what a full disk does not take is counted, and a line about it is written as soon as
// there is room again.
class LogWriter {
 public:
  LogWriter(std::string path, const LogLimits& limits);

  // `data` is what one read of the stream gave; `time_ns` is the time of all its lines.
  void Write(LogStream stream, std::string_view data, int64_t time_ns);
  // The end of the stream: the last line, though it has no end, becomes an entry.
  void End(LogStream stream, int64_t time_ns);

  // Gives memory of large batches back.
  void Release() { std::string().swap(batch_); }

  int64_t lost_lines() const { return lost_lines_; }

 private:
  void AppendEntry(std::string_view text, bool complete);
  void AppendLines(std::string* partial, std::string_view data);
  void BeginBatch(LogStream stream, int64_t time_ns);
  void Flush();
  bool OpenFile();
  void Rotate();
  bool WriteToFile(std::string_view data);

  std::string path_;
  LogLimits limits_;
  Fd file_;
  int64_t size_ = 0;
  std::array<std::string, 2> partial_;  // Of each stream: a line whose end has not come yet.
  std::string batch_;
  int64_t batch_lines_ = 0;
  std::string suffix_;  // ,"stream":"stdout","time":"..."}\n
  int64_t time_ns_ = 0;
  int64_t lost_lines_ = 0;  // Not yet reported in the log.
  int lost_errno_ = 0;
  bool torn_ = false;  // The file ends within a line.
};

// `text` escaped as docker's json-file does it, without quotes.
void AppendLogEscaped(std::string& out, std::string_view text);

}  // namespace skiff::engine::monitor
