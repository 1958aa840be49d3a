#include "compose/hook_process.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

namespace skiff::compose {
namespace {

constexpr size_t kTailBytes = 2048;
constexpr size_t kTailLines = 10;

// One stream of a command: passes on whole lines and keeps the end.
class HookOutput {
 public:
  HookOutput(engine::LogStream stream, const HookLineSink& on_line)
      : stream_(stream), on_line_(on_line) {}

  Status Open() {
    SKIFF_ASSIGN(pipe_, MakePipe());
    if (::fcntl(pipe_.read.get(), F_SETFL, O_NONBLOCK) != 0) return FailErrno("cannot read a pipe");
    return {};
  }
  int writer() const { return pipe_.write.get(); }
  int reader() const { return pipe_.read.get(); }
  void CloseWriter() { pipe_.write.Reset(); }

  // What there is now; at the end of the stream there is no reader any more.
  Status Read() {
    char buffer[16384];
    while (pipe_.read) {
      const ssize_t got = ::read(pipe_.read.get(), buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return {};
      if (got < 0) return FailErrno("cannot read the output of a command");
      if (got == 0) pipe_.read.Reset();
      Take({buffer, static_cast<size_t>(got)});
    }
    return {};
  }
  void Finish() {
    if (!line_.empty() && on_line_) on_line_(stream_, line_);
    line_.clear();
  }
  std::string Tail() const {
    std::string_view text = Trim(tail_);
    size_t begin = text.size();
    for (size_t lines = 0; begin > 0 && lines < kTailLines; ++lines) {
      const size_t end = text.rfind('\n', begin - 1);
      begin = end == std::string_view::npos ? 0 : end;
    }
    return std::string(Trim(text.substr(begin)));
  }

 private:
  void Take(std::string_view text) {
    tail_ += text;
    if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
    line_ += text;
    size_t begin = 0;
    for (size_t end; (end = line_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (on_line_) on_line_(stream_, std::string_view(line_).substr(begin, end - begin));
    }
    line_.erase(0, begin);
    // A line without an end is passed on in parts.
    if (line_.size() > kTailBytes * 32) Finish();
  }

  const engine::LogStream stream_;
  const HookLineSink& on_line_;
  Pipe pipe_;
  std::string line_, tail_;
};

}  // namespace

engine::ExecConfig HookConfig(const schema::LifecycleHook& hook) {
  engine::ExecConfig config;
  config.command = hook.command;
  config.user = hook.user;
  config.working_dir = hook.working_dir;
  config.privileged = hook.privileged;
  for (const auto& [name, value] : hook.environment) {
    if (value) config.environment.push_back(name + "=" + *value);
  }
  return config;
}

Result<HookResult> RunHookProcess(engine::Engine& engine, const std::string& container,
                                  const engine::ExecConfig& config, int interrupt_fd,
                                  const HookLineSink& on_line) {
  HookOutput out(engine::LogStream::kStdout, on_line);
  HookOutput err(engine::LogStream::kStderr, on_line);
  SKIFF_TRY(out.Open());
  SKIFF_TRY(err.Open());
  SKIFF_ASSIGN(const auto session,
               engine.Exec(container, config, {-1, out.writer(), err.writer()}, {}));
  out.CloseWriter();
  err.CloseWriter();
  while (true) {
    pollfd fds[4] = {{out.reader(), POLLIN, 0},
                     {err.reader(), POLLIN, 0},
                     {session->exit_fd(), POLLIN, 0},
                     {interrupt_fd, POLLIN, 0}};
    if (::poll(fds, 4, -1) < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot wait for a command");
    }
    if (fds[3].revents != 0) return Fail(Code::kCancelled, "interrupted");
    const bool ended = fds[2].revents != 0;
    SKIFF_TRY(out.Read());
    SKIFF_TRY(err.Read());
    // Somebody it has left behind may hold its output for ever.
    if (ended) break;
  }
  out.Finish();
  err.Finish();
  HookResult result;
  SKIFF_ASSIGN(result.exit_code, session->Wait());
  result.tail = err.Tail().empty() ? out.Tail() : err.Tail();
  return result;
}

}  // namespace skiff::compose
