#include "engine-core/monitor/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/failpoint.h"
#include "base/text.h"
#include "base/units.h"

namespace skiff::engine::monitor {
namespace {

constexpr size_t kMaxLine = 16u << 10;   // Docker splits longer lines.
constexpr size_t kFlushAt = 128u << 10;  // One write for as much.
constexpr mode_t kLogMode = 0640;
constexpr char kHex[] = "0123456789abcdef";

// True for bytes that docker writes as they are. Its encoder escapes < > & as for HTML.
constexpr std::array<bool, 256> PlainBytes() {
  std::array<bool, 256> plain = {};
  for (int c = 0x20; c < 0x80; ++c) plain[static_cast<size_t>(c)] = true;
  for (const char c : {'"', '\\', '<', '>', '&'}) plain[static_cast<unsigned char>(c)] = false;
  return plain;
}
constexpr std::array<bool, 256> kPlain = PlainBytes();

void AppendEscapedByte(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    default:
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

// Length of the longest start of `text` of at most `limit` bytes that ends between characters.
size_t WholeCharacters(std::string_view text, size_t limit) {
  size_t end = std::min(limit, text.size());
  if (end == text.size()) return end;
  for (size_t back = 0; back < 4 && back < end; ++back) {
    const auto c = static_cast<unsigned char>(text[end - back]);
    if ((c & 0xc0) != 0x80) return end - back;
  }
  return end;
}

}  // namespace

void AppendLogEscaped(std::string& out, std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    size_t run = i;
    while (run < text.size() && kPlain[static_cast<unsigned char>(text[run])]) ++run;
    out.append(text, i, run - i);
    i = run;
    if (i == text.size()) return;
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      AppendEscapedByte(out, c);
      ++i;
      continue;
    }
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) {
      out += "\\ufffd";
      ++i;
    } else {
      out.append(text, i, length);
      i += length;
    }
  }
}

LogWriter::LogWriter(std::string path, const LogLimits& limits)
    : path_(std::move(path)), limits_(limits) {
  if (path_.empty()) limits_.enabled = false;
}

void LogWriter::BeginBatch(LogStream stream, int64_t time_ns) {
  time_ns_ = time_ns;
  suffix_ = stream == LogStream::kStdout ? "\",\"stream\":\"stdout\",\"time\":\""
                                         : "\",\"stream\":\"stderr\",\"time\":\"";
  suffix_ += FormatTimestamp(time_ns);
  suffix_ += "\"}\n";
}

void LogWriter::AppendEntry(std::string_view text, bool complete) {
  batch_ += "{\"log\":\"";
  AppendLogEscaped(batch_, text);
  if (complete) batch_ += "\\n";
  batch_ += suffix_;
  ++batch_lines_;
  const bool full =
      limits_.max_size > 0 && size_ + static_cast<int64_t>(batch_.size()) >= limits_.max_size;
  if (full || batch_.size() >= kFlushAt) Flush();
}

void LogWriter::AppendLines(std::string* partial, std::string_view data) {
  while (!data.empty()) {
    const void* found = std::memchr(data.data(), '\n', data.size());
    const size_t end = found == nullptr
                           ? data.size()
                           : static_cast<size_t>(static_cast<const char*>(found) - data.data());
    std::string_view line = data.substr(0, end);
    if (!partial->empty()) {
      partial->append(line);
      line = *partial;
    }
    while (line.size() > kMaxLine || (found == nullptr && line.size() == kMaxLine)) {
      const size_t piece = WholeCharacters(line, kMaxLine);
      AppendEntry(line.substr(0, piece), false);
      line.remove_prefix(piece);
    }
    if (found == nullptr) {
      *partial = std::string(line);
      return;
    }
    AppendEntry(line, true);
    partial->clear();
    data.remove_prefix(end + 1);
  }
}

void LogWriter::Write(LogStream stream, std::string_view data, int64_t time_ns) {
  if (!limits_.enabled || data.empty()) return;
  BeginBatch(stream, time_ns);
  AppendLines(&partial_[static_cast<size_t>(stream)], data);
  Flush();
}

void LogWriter::End(LogStream stream, int64_t time_ns) {
  std::string& partial = partial_[static_cast<size_t>(stream)];
  if (partial.empty()) return;
  BeginBatch(stream, time_ns);
  AppendEntry(partial, false);
  Flush();
  std::string().swap(partial);
}

bool LogWriter::OpenFile() {
  if (file_) return true;
  Result<Fd> opened = skiff::OpenFile(path_, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, kLogMode);
  if (!opened) {
    lost_errno_ = opened.error().sys_errno;
    return false;
  }
  struct stat info = {};
  size_ = ::fstat(opened->get(), &info) == 0 ? info.st_size : 0;
  file_ = std::move(*opened);
  char last = '\n';
  // A writer that was killed may have left a part of a line; the descriptor cannot read.
  if (size_ > 0) {
    const Result<Fd> reader = skiff::OpenFile(path_, O_RDONLY | O_NOFOLLOW);
    if (reader && ::pread(reader->get(), &last, 1, size_ - 1) != 1) last = '\n';
  }
  torn_ = last != '\n';
  return true;
}

// path -> path.1 -> path.2 ...; the oldest goes. With one file only it begins anew.
void LogWriter::Rotate() {
  if (!Failpoint("monitor.log.rotate")) return;
  for (int i = limits_.max_files - 1; i >= 1; --i) {
    const std::string from = i == 1 ? path_ : path_ + "." + std::to_string(i - 1);
    ::rename(from.c_str(), (path_ + "." + std::to_string(i)).c_str());
  }
  if (limits_.max_files <= 1 && ::unlink(path_.c_str()) != 0) return;
  file_.Reset();
  size_ = 0;
  torn_ = false;
}

// Writes as much as the disk takes. False: an error; torn_ tells whether a part was written.
bool LogWriter::WriteToFile(std::string_view data) {
  while (!data.empty()) {
    if (Status failed = Failpoint("monitor.log.write"); !failed) {
      lost_errno_ = failed.error().sys_errno;
      return false;
    }
    const ssize_t n = ::write(file_.get(), data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      lost_errno_ = n < 0 ? errno : ENOSPC;
      return false;
    }
    size_ += n;
    torn_ = data[static_cast<size_t>(n) - 1] != '\n';
    data.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void LogWriter::Flush() {
  if (batch_.empty()) return;
  if (limits_.max_size > 0 && size_ >= limits_.max_size) Rotate();
  bool written = OpenFile();
  if (written && limits_.max_size > 0 && size_ >= limits_.max_size) {
    Rotate();
    written = OpenFile();
  }
  if (written && (torn_ || lost_lines_ > 0)) {
    std::string mark = torn_ ? "\n" : "";
    if (lost_lines_ > 0) {
      mark += "{\"log\":\"skiff: " + std::to_string(lost_lines_) +
              " lines of output were lost: " + ::strerror(lost_errno_) +
              "\\n\",\"stream\":\"stderr\",\"time\":\"" + FormatTimestamp(time_ns_) + "\"}\n";
    }
    written = WriteToFile(mark);
    if (written) lost_lines_ = 0;
  }
  if (!written || !WriteToFile(batch_)) lost_lines_ += batch_lines_;
  batch_.clear();
  batch_lines_ = 0;
}

}  // namespace skiff::engine::monitor
