#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine-core/engine.h"

namespace skiff::engine {

// The log of a container, as docker's json-file driver writes it: one object per line,
//   {"log":"text\n","stream":"stdout","time":"2025-01-01T00:00:00.123456789Z"}
// Lines of more than 16 KiB are split; only the last piece ends in "\n". `path` is the newest file,
// `path`.1 the one before it, and so on. The monitor is the only writer.

// How much is kept. Drivers json-file and local write the same format; none writes nothing.
struct LogLimits {
  bool enabled = true;
  int64_t max_size = 10'000'000;  // Bytes of one file; 0: no bound.
  int max_files = 3;
};
// Of a container's log configuration: max-size (decimal units: "10m", "500k"; "-1": no bound) and
// max-file. kInvalidArgument for an unknown driver or a malformed option.
Result<LogLimits> ParseLogLimits(const LogConfig& config);

// Calls `sink` for each entry until it returns false. A torn or foreign line is skipped. With
// options.follow, waits (inotify) until `finished` returns true, which is asked whenever the log or
// its folder has changed, or until `finished_fd` (-1: none) is readable; what was written before
// is still delivered. A missing log is empty.
Status ReadLogFile(const std::string& path, const LogOptions& options,
                   const std::function<bool()>& finished, int finished_fd,
                   const std::function<bool(const LogEntry&)>& sink);

// Parses one line (without its "\n"). `text` holds the unescaped text and backs entry->text. False
// when it is no entry.
bool ParseLogLine(std::string_view line, LogEntry* entry, std::string* text);

// Follows the log of a container whose run directory is `run_dir` until its monitor is gone.
Status FollowContainerLog(const std::string& path, const std::string& run_dir,
                          const LogOptions& options,
                          const std::function<bool(const LogEntry&)>& sink);

// Removes the log and its rotated files.
Status RemoveLogFiles(const std::string& path);

}  // namespace skiff::engine
