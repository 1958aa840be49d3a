#include "engine-core/monitor/control.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/failpoint.h"

namespace skiff::engine::monitor {
namespace {

constexpr size_t kMaxConnections = 256;
constexpr BootTime kAcceptRest = std::chrono::milliseconds(100);
constexpr int kBacklog = 128;

bool PeerIsTrusted(int socket) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

ControlServer::ControlServer(EventLoop* loop, Handler handler)
    : loop_(loop), handler_(std::move(handler)) {}

ControlServer::~ControlServer() {
  StopListening();
  for (const auto& [id, connection] : connections_) loop_->Remove(connection.socket.get());
}

Status ControlServer::Listen(const std::string& run_dir) {
  SKIFF_TRY(Failpoint("monitor.listen"));
  path_ = run_dir + "/control.sock";
  // sun_path holds 107 bytes, a run directory may be longer: bind relative to its descriptor.
  SKIFF_ASSIGN(const Fd folder, OpenFile(run_dir, O_PATH | O_DIRECTORY));
  const std::string name = "/proc/self/fd/" + std::to_string(folder.get()) + "/control.sock";
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return FailErrno("cannot make a control socket");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  // A monitor that was killed leaves its socket; we hold the lock.
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) {
    return FailErrno("cannot remove '" + path_ + "'");
  }
  // The folder is 0700; the mode is there before anybody can connect.
  if (::fchmod(socket.get(), 0600) != 0) return FailErrno("cannot protect a control socket");
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return FailErrno("cannot bind '" + path_ + "'");
  }
  if (::chmod(path_.c_str(), 0600) != 0) return FailErrno("cannot protect '" + path_ + "'");
  if (::listen(socket.get(), kBacklog) != 0) return FailErrno("cannot listen on '" + path_ + "'");
  SKIFF_TRY(loop_->Add(socket.get(), EPOLLIN, [this](uint32_t) { Accept(); }));
  listener_ = std::move(socket);
  return {};
}

void ControlServer::StopListening() {
  if (!listener_) return;
  loop_->Remove(listener_.get());
  if (rest_timer_ != 0) loop_->CancelTimer(rest_timer_);
  rest_timer_ = 0;
  listener_.Reset();
  // A missing name is what is wanted.
  ::unlink(path_.c_str());
}

// A connection that has asked nothing yet gives way to a new one.
void ControlServer::MakeRoom() {
  if (connections_.size() < kMaxConnections) return;
  for (const auto& [id, connection] : connections_) {
    if (!connection.asked) return Drop(id);
  }
}

void ControlServer::RestFromAccepting() {
  loop_->Remove(listener_.get());
  rest_timer_ = loop_->AddTimer(Now() + kAcceptRest, [this] {
    rest_timer_ = 0;
    if (!loop_->Add(listener_.get(), EPOLLIN, [this](uint32_t) { Accept(); })) RestFromAccepting();
  });
}

void ControlServer::Accept() {
  for (;;) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      // Out of descriptors: the socket stays readable, so listening rests a little.
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) RestFromAccepting();
      return;
    }
    if (!PeerIsTrusted(socket.get())) continue;
    MakeRoom();
    if (connections_.size() >= kMaxConnections) continue;
    // What cannot be watched is closed, which the client sees.
    if (!Adopt(std::move(socket))) return;
  }
}

Result<ClientId> ControlServer::Adopt(Fd socket) {
  const ClientId id = next_++;
  SKIFF_TRY(loop_->Add(socket.get(), EPOLLIN | EPOLLRDHUP, [this, id](uint32_t) { Receive(id); }));
  connections_[id].socket = std::move(socket);
  return id;
}

void ControlServer::Drop(ClientId client) {
  const auto found = connections_.find(client);
  if (found == connections_.end()) return;
  loop_->Remove(found->second.socket.get());
  connections_.erase(found);
  handler_.gone(client);
}

void ControlServer::Close(ClientId client) {
  const auto found = connections_.find(client);
  if (found == connections_.end()) return;
  loop_->Remove(found->second.socket.get());
  connections_.erase(found);
}

void ControlServer::Receive(ClientId client) {
  const auto found = connections_.find(client);
  if (found == connections_.end()) return;
  Result<std::optional<Request>> request = ReceiveRequest(found->second.socket.get(), MSG_DONTWAIT);
  if (!request) {
    const int error = request.error().sys_errno;
    if (error == EAGAIN || error == EINTR) return;
    AnswerMessage answer;
    answer.answer = Answer::kError;
    answer.error = std::move(request).error();
    Send(client, answer);
    return Drop(client);
  }
  if (!*request) return Drop(client);
  found->second.asked = true;
  handler_.request(client, std::move(**request));
}

void ControlServer::Send(ClientId client, const AnswerMessage& answer) {
  const auto found = connections_.find(client);
  if (found == connections_.end()) return;
  // A client that does not take its answers must not cost memory: it is as good as gone. Its socket
  // is shut, so the loop hears of it and drops it outside of whatever is going on now.
  if (!SendAnswer(found->second.socket.get(), answer, MSG_DONTWAIT)) {
    ::shutdown(found->second.socket.get(), SHUT_RDWR);
  }
}

}  // namespace skiff::engine::monitor
