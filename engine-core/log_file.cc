#include "engine-core/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <optional>

#include "base/text.h"
#include "base/units.h"
#include "engine-core/monitor/liveness.h"

namespace skiff::engine {
namespace {

constexpr size_t kBlock = 256u << 10;
constexpr int kMaxRotated = 1000;

std::string RotatedPath(const std::string& path, int index) {
  return index == 0 ? path : path + "." + std::to_string(index);
}

// Docker reads these sizes in decimal units.
std::optional<int64_t> ParseDecimalSize(std::string_view text) {
  text = Trim(text);
  std::string lower = ToLower(text);
  if (lower.ends_with("b")) lower.pop_back();
  int64_t unit = 1;
  if (!lower.empty()) {
    switch (lower.back()) {
      case 'k':
        unit = 1'000;
        break;
      case 'm':
        unit = 1'000'000;
        break;
      case 'g':
        unit = 1'000'000'000;
        break;
      case 't':
        unit = 1'000'000'000'000;
        break;
      default:
        break;
    }
  }
  if (unit != 1) lower.pop_back();
  // "1.5g": at most three digits after the point count.
  std::string_view whole = Trim(lower);
  std::string_view fraction;
  if (const size_t point = whole.find('.'); point != std::string_view::npos) {
    fraction = whole.substr(point + 1, 3);
    whole = whole.substr(0, point);
  }
  const auto number = ParseNumber<int64_t>(whole);
  const auto part = fraction.empty() ? std::optional<int64_t>(0) : ParseNumber<int64_t>(fraction);
  if (!number || !part || *number > INT64_MAX / unit - 1) return std::nullopt;
  int64_t scale = 1;
  for (size_t i = 0; i < fraction.size(); ++i) scale *= 10;
  return *number * unit + *part * unit / scale;
}

// ---- One line ----------------------------------------------------------------------------------

class LineParser {
 public:
  explicit LineParser(std::string_view text) : text_(text) {}

  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool AtEnd() const { return at_ == text_.size(); }
  // A string literal; its text is appended to `out`, or dropped when `out` is null.
  bool String(std::string* out);
  // Any other value: an object, list, number, word.
  bool SkipValue();

 private:
  bool Escape(std::string* out);
  bool Hex4(uint32_t* code);

  std::string_view text_;
  size_t at_ = 0;
};

// The form the writer uses, "2025-01-01T00:00:00.123456789Z", without the cost of a general parser;
// nothing for any other.
std::optional<int64_t> ParseOwnTimestamp(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd.dddddddddZ";
  if (text.size() != kForm.size()) return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) return std::nullopt;
  }
  const auto number = [text](size_t at, size_t length) {
    int64_t value = 0;
    for (const char c : text.substr(at, length)) value = value * 10 + (c - '0');
    return value;
  };
  using std::chrono::day, std::chrono::month, std::chrono::year;
  const std::chrono::year_month_day date(year(static_cast<int>(number(0, 4))),
                                         month(static_cast<unsigned>(number(5, 2))),
                                         day(static_cast<unsigned>(number(8, 2))));
  if (!date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max() / 1'000'000'000 - 1;
  const int64_t seconds =
      days * 86'400 + number(11, 2) * 3'600 + number(14, 2) * 60 + number(17, 2);
  if (seconds > kLast || seconds < -kLast) return std::nullopt;
  return seconds * 1'000'000'000 + number(20, 9);
}

void AppendUtf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

bool LineParser::Hex4(uint32_t* code) {
  if (text_.size() - at_ < 4) return false;
  const auto value = ParseNumber<uint32_t>(text_.substr(at_, 4), 16);
  if (!value) return false;
  at_ += 4;
  *code = *value;
  return true;
}

bool LineParser::Escape(std::string* out) {
  if (at_ >= text_.size()) return false;
  const char c = text_[at_++];
  static constexpr std::string_view kNames = "\"\\/bfnrt";
  static constexpr std::string_view kBytes = "\"\\/\b\f\n\r\t";
  const size_t index = kNames.find(c);
  if (index != std::string_view::npos) {
    if (out != nullptr) *out += kBytes[index];
    return true;
  }
  uint32_t code = 0;
  if (c != 'u' || !Hex4(&code)) return false;
  uint32_t low = 0;
  if (code >= 0xd800 && code < 0xdc00 && Take('\\') && Take('u') && Hex4(&low)) {
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  if (out != nullptr) AppendUtf8(*out, code);
  return true;
}

bool LineParser::String(std::string* out) {
  if (!Take('"')) return false;
  while (at_ < text_.size()) {
    size_t end = at_;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\') ++end;
    if (end == text_.size()) return false;
    if (out != nullptr) out->append(text_, at_, end - at_);
    at_ = end + 1;
    if (text_[end] == '"') return true;
    if (!Escape(out)) return false;
  }
  return false;
}

bool LineParser::SkipValue() {
  int depth = 0;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      if (!String(nullptr)) return false;
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}')) return true;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    ++at_;
  }
  return false;
}

// ---- The files ---------------------------------------------------------------------------------

struct OpenLog {
  Fd fd;
  ino_t inode = 0;
  int64_t size = 0;
};

std::optional<OpenLog> OpenLogAt(const std::string& path, int index) {
  Result<Fd> fd = OpenFile(RotatedPath(path, index), O_RDONLY | O_NOFOLLOW);
  struct stat info = {};
  if (!fd || ::fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return OpenLog{std::move(*fd), info.st_ino, info.st_size};
}

bool IsAt(const std::string& path, int index, ino_t inode) {
  struct stat info = {};
  return ::lstat(RotatedPath(path, index).c_str(), &info) == 0 && info.st_ino == inode;
}

// The files from the newest to the oldest, until `visit` returns false. A rotation meanwhile moves
// every file up by one, the oldest first: then one number may be free, and a file may be met again.
template <typename Visit>
void ForEachLog(const std::string& path, Visit visit) {
  ino_t previous = 0;
  int missing = 0;
  for (int i = 0; i < kMaxRotated && missing < 2; ++i) {
    std::optional<OpenLog> log = OpenLogAt(path, i);
    missing = log ? 0 : missing + 1;
    if (!log || log->inode == previous) continue;
    previous = log->inode;
    if (!visit(std::move(*log))) return;
  }
}

// The file that came after the one with `inode`, which is read to its end; nothing when that is the
// newest. When it was rotated away altogether, the oldest there is.
std::optional<OpenLog> NextNewer(const std::string& path, ino_t inode) {
  if (IsAt(path, 0, inode)) return std::nullopt;
  std::optional<OpenLog> newer;
  ForEachLog(path, [&](OpenLog log) {
    if (log.inode == inode) return false;
    newer = std::move(log);
    return true;
  });
  return newer;
}

// Offset of the last `lines` lines of a file; `found` is how many there are from it. The part after
// the last "\n" is no line yet.
Result<int64_t> TailOffset(const OpenLog& log, int64_t lines, int64_t* found) {
  std::string block(64u << 10, '\0');
  int64_t end = log.size;
  *found = 0;
  bool ended = false;  // A "\n" was seen: what is before it is a line.
  while (end > 0) {
    const int64_t begin = std::max<int64_t>(0, end - static_cast<int64_t>(block.size()));
    const ssize_t n = ::pread(log.fd.get(), block.data(), static_cast<size_t>(end - begin), begin);
    if (n < 0) return FailErrno("cannot read a log");
    for (ssize_t i = n - 1; i >= 0; --i) {
      if (block[static_cast<size_t>(i)] != '\n') continue;
      if (ended && ++*found == lines) return begin + i + 1;
      ended = true;
    }
    if (n == 0) break;
    end = begin;
  }
  if (ended) ++*found;
  return 0;
}

class LogReader {
 public:
  LogReader(std::string path, const LogOptions& options,
            const std::function<bool(const LogEntry&)>& sink)
      : path_(std::move(path)), options_(options), sink_(sink) {}

  // Opens where reading begins. False: there is no log yet.
  Result<bool> OpenFirst();
  // Delivers what is there now. False: the sink or `until` ended it.
  Result<bool> ReadToEnd();

 private:
  Result<bool> ReadFileToEnd();
  bool Deliver(std::string_view line);

  std::string path_;
  const LogOptions& options_;
  const std::function<bool(const LogEntry&)>& sink_;
  std::optional<OpenLog> log_;
  int64_t offset_ = 0;
  std::string buffer_;
  std::string text_;
};

Result<bool> LogReader::OpenFirst() {
  int64_t wanted = options_.tail;
  std::optional<OpenLog> best;
  Status counted;
  ForEachLog(path_, [&](OpenLog log) {
    offset_ = wanted == 0 ? log.size : 0;
    if (wanted > 0) {
      int64_t found = 0;
      const Result<int64_t> offset = TailOffset(log, wanted, &found);
      if (!offset) {
        counted = Fail(offset.error());
        return false;
      }
      offset_ = *offset;
      wanted -= found;
    }
    best = std::move(log);
    return wanted != 0;
  });
  SKIFF_TRY(counted);
  log_ = std::move(best);
  return log_.has_value();
}

bool LogReader::Deliver(std::string_view line) {
  LogEntry entry;
  if (!ParseLogLine(line, &entry, &text_)) return true;
  if (options_.since != 0 && entry.time < options_.since) return true;
  if (options_.until != 0 && entry.time > options_.until) return false;
  return sink_(entry);
}

Result<bool> LogReader::ReadFileToEnd() {
  size_t have = 0;
  for (;;) {
    if (buffer_.size() - have < kBlock / 2) buffer_.resize(have + kBlock);
    const ssize_t n = ::pread(log_->fd.get(), buffer_.data() + have, buffer_.size() - have,
                              offset_ + static_cast<int64_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno("cannot read '" + path_ + "'");
    if (n == 0) return true;  // A line without its end is read again later.
    have += static_cast<size_t>(n);
    std::string_view rest(buffer_.data(), have);
    for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end + 1);
      offset_ += static_cast<int64_t>(end) + 1;
      if (!Deliver(line)) return false;
    }
    std::memmove(buffer_.data(), rest.data(), rest.size());
    have = rest.size();
  }
}

Result<bool> LogReader::ReadToEnd() {
  if (!log_) {
    SKIFF_ASSIGN(const bool opened, OpenFirst());
    if (!opened) return true;
  }
  for (;;) {
    SKIFF_ASSIGN(bool more, ReadFileToEnd());
    if (!more) return false;
    std::optional<OpenLog> next = NextNewer(path_, log_->inode);
    if (!next) return true;
    // The last lines may have come between the two looks.
    SKIFF_ASSIGN(more, ReadFileToEnd());
    if (!more) return false;
    log_ = std::move(next);
    offset_ = 0;
  }
}

Status DrainInotify(int fd) {
  alignas(inotify_event) char events[4096];
  while (::read(fd, events, sizeof events) > 0) {
  }
  if (errno != EAGAIN && errno != EINTR) return FailErrno("cannot read changes of a log");
  return {};
}

}  // namespace

Result<LogLimits> ParseLogLimits(const LogConfig& config) {
  LogLimits limits;
  if (config.driver == "none") {
    limits.enabled = false;
    return limits;
  }
  if (!config.driver.empty() && config.driver != "json-file" && config.driver != "local") {
    return Fail(Code::kInvalidArgument, "unknown logging driver '" + config.driver + "'");
  }
  if (config.driver == "local") {
    limits.max_size = 20'000'000;
    limits.max_files = 5;
  }
  for (const auto& [key, value] : config.options) {
    if (key == "max-size") {
      const auto size = ParseDecimalSize(value);
      if (!size || (*size <= 0 && value != "-1")) {
        return Fail(Code::kInvalidArgument, "invalid value '" + value + "' of log option max-size");
      }
      limits.max_size = std::max<int64_t>(*size, 0);
    } else if (key == "max-file") {
      const auto count = ParseNumber<int>(value);
      if (!count || *count < 1 || *count >= kMaxRotated) {
        return Fail(Code::kInvalidArgument, "invalid value '" + value + "' of log option max-file");
      }
      limits.max_files = *count;
    }
  }
  return limits;
}

bool ParseLogLine(std::string_view line, LogEntry* entry, std::string* text) {
  LineParser parser(line);
  std::string key;
  std::string value;
  bool has_log = false;
  bool has_time = false;
  text->clear();
  if (!parser.Take('{')) return false;
  do {
    key.clear();
    if (!parser.String(&key) || !parser.Take(':')) return false;
    if (key == "log") {
      if (!parser.String(text)) return false;
      has_log = true;
    } else if (key == "stream") {
      value.clear();
      if (!parser.String(&value)) return false;
      entry->stream = value == "stderr" ? LogStream::kStderr : LogStream::kStdout;
    } else if (key == "time") {
      value.clear();
      if (!parser.String(&value)) return false;
      const std::optional<int64_t> own = ParseOwnTimestamp(value);
      const Result<int64_t> time = own ? Result<int64_t>(*own) : ParseTimestamp(value);
      if (!time) return false;
      entry->time = *time;
      has_time = true;
    } else if (!parser.SkipValue()) {
      return false;
    }
  } while (parser.Take(','));
  entry->text = *text;
  return parser.Take('}') && parser.AtEnd() && has_log && has_time;
}

Status ReadLogFile(const std::string& path, const LogOptions& options,
                   const std::function<bool()>& finished, int finished_fd,
                   const std::function<bool(const LogEntry&)>& sink) {
  LogReader reader(path, options, sink);
  Fd changes;
  if (options.follow) {
    changes = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!changes) return FailErrno("cannot watch a log");
    const std::string folder = path.substr(0, path.rfind('/'));
    // Before the first look, so that nothing falls between.
    if (::inotify_add_watch(changes.get(), folder.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) <
            0 &&
        errno != ENOENT) {
      return FailErrno("cannot watch '" + folder + "'");
    }
  }
  bool ended = !options.follow;
  for (;;) {
    const bool last = ended || finished();
    SKIFF_ASSIGN(const bool more, reader.ReadToEnd());
    if (last || !more) return {};
    pollfd watched[] = {
        {changes.get(), POLLIN, 0}, {options.cancel_fd, POLLIN, 0}, {finished_fd, POLLIN, 0}};
    if (::poll(watched, 3, -1) < 0 && errno != EINTR) return FailErrno("cannot wait for a log");
    if ((watched[1].revents & (POLLIN | POLLHUP)) != 0) return {};
    if (watched[0].revents != 0) SKIFF_TRY(DrainInotify(changes.get()));
    // Final, though another monitor may have begun the container's next life meanwhile.
    if (watched[2].revents != 0) ended = true;
  }
}

Status FollowContainerLog(const std::string& path, const std::string& run_dir,
                          const LogOptions& options,
                          const std::function<bool(const LogEntry&)>& sink) {
  Fd monitor;
  if (options.follow) {
    Result<Fd> opened = monitor::OpenMonitor(run_dir);
    if (opened) monitor = std::move(*opened);
  }
  const auto finished = [&run_dir] { return !monitor::LockIsHeld(run_dir); };
  return ReadLogFile(path, options, finished, monitor.get(), sink);
}

Status RemoveLogFiles(const std::string& path) {
  for (int i = 0; i < kMaxRotated; ++i) {
    if (::unlink(RotatedPath(path, i).c_str()) == 0) continue;
    if (errno != ENOENT) return FailErrno("cannot remove '" + RotatedPath(path, i) + "'");
    if (i > 0) break;
  }
  return {};
}

}  // namespace skiff::engine
