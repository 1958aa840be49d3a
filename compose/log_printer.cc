#include "compose/log_printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "base/units.h"

namespace skiff::compose {
namespace {

// The order in which docker compose hands out colours.
constexpr std::string_view kColors[] = {"36",   "33",   "32",   "35",   "34",
                                        "36;1", "33;1", "32;1", "35;1", "34;1"};
constexpr size_t kBufferBytes = 64 * 1024;
// A line without an end is printed in parts rather than kept.
constexpr size_t kPartialBytes = 256 * 1024;

}  // namespace

std::string LogName(const std::string& project, const std::string& container_name) {
  const std::string prefix = project + "-";
  if (container_name.starts_with(prefix) && container_name.size() > prefix.size()) {
    return container_name.substr(prefix.size());
  }
  return container_name;
}

void LogPrinter::Register(const std::string& name, const std::string& service) {
  const std::lock_guard lock(mutex_);
  const auto [color, new_service] = colors_.try_emplace(service);
  if (new_service) color->second = kColors[(colors_.size() - 1) % std::size(kColors)];
  const auto [source, inserted] = sources_.try_emplace(name);
  if (inserted) source->second.color = color->second;
  width_ = std::max(width_, name.size() + 1);
}

void LogPrinter::Write(const std::string& name, const engine::LogEntry& entry) {
  const std::lock_guard lock(mutex_);
  Source& source = sources_[name];
  const auto stream = static_cast<size_t>(entry.stream);
  std::string& partial = source.partial[stream];
  std::string_view text = entry.text;
  if (partial.empty()) source.partial_time[stream] = entry.time;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos;) {
    std::string_view line = text.substr(0, end);
    if (!partial.empty()) {
      partial += line;
      line = partial;
    }
    Line(name, source, entry.stream, source.partial_time[stream], line);
    partial.clear();
    source.partial_time[stream] = entry.time;
    text.remove_prefix(end + 1);
  }
  partial += text;
  if (partial.size() > kPartialBytes) {
    Line(name, source, entry.stream, source.partial_time[stream], partial);
    partial.clear();
  }
}

void LogPrinter::Finish(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto source = sources_.find(name);
  if (source == sources_.end()) return;
  for (engine::LogStream stream : {engine::LogStream::kStdout, engine::LogStream::kStderr}) {
    const auto index = static_cast<size_t>(stream);
    std::string& partial = source->second.partial[index];
    if (partial.empty()) continue;
    Line(name, source->second, stream, source->second.partial_time[index], partial);
    partial.clear();
  }
}

void LogPrinter::Line(const std::string& name, const Source& source, engine::LogStream stream,
                      int64_t time, std::string_view text) {
  std::string line;
  line.reserve(text.size() + width_ + 48);
  if (style_.prefix) {
    if (output_.color) line += fmt::format("\x1b[{}m", source.color);
    line += name;
    line.append(width_ > name.size() ? width_ - name.size() : 0, ' ');
    line += " | ";
    if (output_.color) line += "\x1b[0m";
  }
  if (style_.timestamps) line += FormatTimestamp(time) + " ";
  line += text;
  line += '\n';
  Put(stream, line);
}

void LogPrinter::Status(const std::string& name, std::string_view message) {
  const std::lock_guard lock(mutex_);
  std::string text = fmt::format("{} {}", name, message);
  if (output_.color) text = fmt::format("\x1b[{}m{}\x1b[0m", sources_[name].color, text);
  Put(engine::LogStream::kStdout, text + "\n");
}

void LogPrinter::Plain(std::string_view line) {
  const std::lock_guard lock(mutex_);
  Put(engine::LogStream::kStdout, std::string(line) + "\n");
}

void LogPrinter::Watch(std::string_view message) {
  const std::lock_guard lock(mutex_);
  std::string mark = style_.prefix ? std::string(width_, ' ') + " ⦿ " : "";
  if (output_.color && style_.prefix) mark = "\x1b[92m" + mark + "\x1b[0m";
  Put(engine::LogStream::kStdout, mark + std::string(message) + "\n");
}

void LogPrinter::Put(engine::LogStream stream, std::string_view text) {
  if (stream != pending_stream_) FlushLocked();
  pending_stream_ = stream;
  pending_ += text;
  if (!buffered_ || pending_.size() >= kBufferBytes) FlushLocked();
}

void LogPrinter::Flush() {
  const std::lock_guard lock(mutex_);
  FlushLocked();
}

void LogPrinter::FlushLocked() {
  if (pending_.empty()) return;
  const bool is_out = pending_stream_ == engine::LogStream::kStdout;
  // A reader that is gone (a closed pipe) ends the output, not the containers.
  (void)WriteAll(is_out ? output_.out : output_.err, pending_, "output of containers");
  pending_.clear();
}

}  // namespace skiff::compose
