#include "engine-core/monitor/exec_session.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace skiff::engine::monitor {
namespace {

constexpr size_t kMaxCaptured = 4096;  // Docker's bound of a probe's output.

}  // namespace

bool MayPassOn(int fd) {
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return false;
  if (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)) return true;
  return S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
}

Status SetTerminalSize(int terminal, TerminalSize size) {
  winsize value = {};
  value.ws_row = size.rows;
  value.ws_col = size.columns;
  if (::ioctl(terminal, TIOCSWINSZ, &value) != 0) return FailErrno("cannot resize a terminal");
  return {};
}

ExecSession::ExecSession(EventLoop* loop, Scratch* scratch, Listener listener)
    : loop_(loop), scratch_(scratch), listener_(std::move(listener)) {}

ExecSession::~ExecSession() {
  if (status_watched_) loop_->Remove(process_.status.get());
  if (terminal_watched_) loop_->Remove(terminal_.get());
  if (capture_watched_) loop_->Remove(capture_->fd());
}

Status ExecSession::CopyInput(Fd source, Fd* end) {
  if (!source) return {};
  if (MayPassOn(source.get())) {
    *end = std::move(source);
    return {};
  }
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  SKIFF_ASSIGN(Stream from, Stream::Open(std::move(source), /*for_writing=*/false));
  SKIFF_ASSIGN(Stream to, Stream::Own(std::move(pipe.write)));
  input_ = std::make_unique<StreamCopy>(loop_, scratch_, std::move(from), std::move(to),
                                        [this] { input_.reset(); });
  *end = std::move(pipe.read);
  return {};
}

Status ExecSession::CopyOutput(Fd sink, Fd* end) {
  if (!sink) return {};
  if (MayPassOn(sink.get())) {
    *end = std::move(sink);
    return {};
  }
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  SKIFF_ASSIGN(Stream from, Stream::Own(std::move(pipe.read)));
  SKIFF_ASSIGN(Stream to, Stream::Open(std::move(sink), /*for_writing=*/true));
  outputs_.push_back(
      std::make_unique<StreamCopy>(loop_, scratch_, std::move(from), std::move(to), nullptr));
  outputs_.back()->set_progress([this] { TryFinish(); });
  *end = std::move(pipe.write);
  return {};
}

Status ExecSession::Capture(Fd* output, Fd* error) {
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  SKIFF_ASSIGN(capture_, Stream::Own(std::move(pipe.read)));
  SKIFF_ASSIGN(*error, pipe.write.Duplicate());
  *output = std::move(pipe.write);
  SKIFF_TRY(loop_->Add(capture_->fd(), EPOLLIN, [this](uint32_t) { ReadCaptured(); }));
  capture_watched_ = true;
  return {};
}

Result<ExecSession::Ends> ExecSession::Connect(Request* request) {
  Ends ends;
  if (request->spec.tty) return ends;
  if (request->capture) {
    SKIFF_TRY(Capture(&ends.output, &ends.error));
    return ends;
  }
  SKIFF_TRY(CopyInput(std::move(request->input), &ends.input));
  SKIFF_TRY(CopyOutput(std::move(request->output), &ends.output));
  SKIFF_TRY(CopyOutput(std::move(request->error), &ends.error));
  return ends;
}

Status ExecSession::Start(const RuntimeSpec& spec, int init_pidfd, Request request) {
  size_ = request.size;
  // Before its program can look.
  request.spec.rows = size_.rows;
  request.spec.columns = size_.columns;
  SKIFF_ASSIGN(const Ends ends, Connect(&request));
  const child::Stdio stdio = {ends.input.get(), ends.output.get(), ends.error.get()};
  SKIFF_ASSIGN(process_, child::StartExec(spec, init_pidfd, request.spec, stdio));
  SKIFF_TRY(loop_->Add(process_.status.get(), EPOLLIN, [this](uint32_t) { ReadReport(); }));
  status_watched_ = true;
  if (input_) input_->Start();
  for (const auto& output : outputs_) output->Start();
  return {};
}

void ExecSession::ReadReport() {
  Result<std::unique_ptr<child::Report>> report = child::ReadReport(process_);
  if (report && *report != nullptr && (*report)->stage == child::Stage::kTerminal) {
    terminal_ = std::move((*report)->terminal);
    // Without a size the kernel's 0x0 stays, as with docker.
    if (size_.rows != 0 || size_.columns != 0) {
      if (const Status resized = Resize(size_); !resized) size_ = {};
    }
    return;
  }
  if (report && *report != nullptr && (*report)->stage != child::Stage::kFailed) return;
  loop_->Remove(process_.status.get());
  process_.status.Reset();
  status_watched_ = false;
  reported_ = true;
  if (report && *report == nullptr) {
    if (listener_.started) listener_.started(terminal_.get());
    return TryFinish();
  }
  finished_ = true;
  const int exit_code = report ? (*report)->exit_code : 128;
  const std::string text = report ? (*report)->text : report.error().Text();
  if (listener_.failed) listener_.failed(exit_code, text);
}

void ExecSession::ReadCaptured() {
  for (;;) {
    const ssize_t n = capture_->Read(scratch_->data(), scratch_->size());
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) break;
    const auto size = static_cast<size_t>(n);
    scratch_->Used(size);
    const size_t room = kMaxCaptured - std::min(kMaxCaptured, captured_.size());
    captured_.append(scratch_->data(), std::min(size, room));
    if (size > room) capture_truncated_ = true;
  }
  if (capture_watched_) loop_->Remove(capture_->fd());
  capture_watched_ = false;
}

void ExecSession::Signal(int signal_number) const {
  // ESRCH: it has ended meanwhile, which the caller will hear.
  if (process_.pidfd && !exited_) {
    ::syscall(SYS_pidfd_send_signal, process_.pidfd.get(), signal_number, nullptr, 0);
  }
}

Status ExecSession::Resize(TerminalSize size) {
  if (!terminal_) return Fail(Code::kFailedPrecondition, "the process has no terminal");
  return SetTerminalSize(terminal_.get(), size);
}

void ExecSession::OnExit(int exit_code) {
  exited_ = true;
  exit_code_ = exit_code;
  // It is dead, so its end of the socket is closed: this does not wait.
  while (status_watched_) ReadReport();
  TryFinish();
}

void ExecSession::TryFinish() {
  if (finished_ || !exited_ || !reported_) return;
  // Without a client nobody takes the rest.
  bool drained = true;
  for (const auto& output : outputs_) drained = output->Drain() && drained;
  if (!drained && !client_gone_) return;
  if (capture_) ReadCaptured();
  if (capture_truncated_) captured_ += "...";
  capture_truncated_ = false;
  finished_ = true;
  if (listener_.ended) listener_.ended(exit_code_);
}

void ExecSession::DrainTerminal() {
  const ssize_t n = ::read(terminal_.get(), scratch_->data(), scratch_->size());
  if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return;
  loop_->Remove(terminal_.get());
  terminal_watched_ = false;
}

void ExecSession::OnClientGone() {
  client_gone_ = true;
  input_.reset();
  TryFinish();
  if (!terminal_ || terminal_watched_ || finished_) return;
  terminal_watched_ =
      loop_->Add(terminal_.get(), EPOLLIN, [this](uint32_t) { DrainTerminal(); }).has_value();
}

}  // namespace skiff::engine::monitor
