#include "engine-core/embedded/delegated_unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"

namespace skiff::engine::embedded {
namespace {

constexpr const char* kBooted = "/run/systemd/system";
constexpr const char* kSocket = "/run/systemd/private";
constexpr const char* kUnified = "/sys/fs/cgroup";
constexpr const char* kUnitExists = "org.freedesktop.systemd1.UnitExists";
constexpr int kAnswerSeconds = 10;

bool IsFolder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<Fd> Connect() {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return FailErrno("cannot make a socket");
  const timeval limit{kAnswerSeconds, 0};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) {
    return FailErrno("cannot set a deadline");
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string_view(kSocket).copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return FailErrno("cannot connect to systemd");
  }
  return socket;
}

Result<std::string> ReadExactly(const Fd& socket, size_t size) {
  std::string data(size, '\0');
  for (size_t done = 0; done < size;) {
    const ssize_t got = ::read(socket.get(), data.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot hear from systemd");
    if (got == 0) return Fail(Code::kUnavailable, "systemd closed the connection");
    done += static_cast<size_t>(got);
  }
  return data;
}

// dbus-specification: EXTERNAL says who we are by the socket's credentials.
Status Authenticate(const Fd& socket) {
  std::string hello(1, '\0');
  hello += "AUTH EXTERNAL ";
  for (const char digit : std::to_string(::geteuid())) {
    hello += '3';  // '0' to '9' are 0x30 to 0x39.
    hello += digit;
  }
  SKIFF_TRY(WriteAll(socket.get(), hello + "\r\n", "systemd's socket"));
  std::string line;
  while (!line.ends_with("\r\n")) {
    SKIFF_ASSIGN(const std::string next, ReadExactly(socket, 1));
    line += next;
    if (line.size() > 4096) return Fail(Code::kUnavailable, "systemd answers nonsense");
  }
  if (!line.starts_with("OK")) return Fail(Code::kPermissionDenied, "systemd refuses: " + line);
  return WriteAll(socket.get(), "BEGIN\r\n", "systemd's socket");
}

Result<BusMessage> Receive(const Fd& socket) {
  SKIFF_ASSIGN(std::string bytes, ReadExactly(socket, 16));
  const size_t size = BusMessageSize(bytes);
  if (size < bytes.size()) return Fail(Code::kCorrupted, "systemd sent a malformed message");
  SKIFF_ASSIGN(const std::string rest, ReadExactly(socket, size - bytes.size()));
  return ParseBusMessage(bytes + rest);
}

// Until the job has been done: the scope's cgroup then exists in every hierarchy and holds the
// process. On the private socket signals come unasked.
Status StartScope(const std::string& unit, pid_t pid) {
  SKIFF_ASSIGN(const Fd socket, Connect());
  SKIFF_TRY(Authenticate(socket));
  SKIFF_TRY(WriteAll(socket.get(), StartScopeMessage(1, unit, static_cast<uint32_t>(pid)),
                     "systemd's socket"));
  while (true) {
    SKIFF_ASSIGN(const BusMessage message, Receive(socket));
    if (message.type == 3 && message.reply_serial == 1) {
      if (message.error_name == kUnitExists) return {};
      return Fail(Code::kUnavailable, "systemd cannot start '" + unit + "': " + message.error_name);
    }
    const bool ended = message.type == 4 && message.member == "JobRemoved" &&
                       message.body.find(unit) != std::string::npos;
    if (!ended) continue;
    if (message.body.find("done") != std::string::npos) return {};
    return Fail(Code::kUnavailable, "systemd could not start '" + unit + "'");
  }
}

}  // namespace

Result<std::unique_ptr<DelegatedUnit>> DelegatedUnit::Ensure(const std::string& root_hash) {
  if (!IsFolder(kBooted) || ::access(kSocket, W_OK) != 0) return nullptr;
  const std::string unit = "skiff-" + root_hash + ".scope";
  std::unique_ptr<DelegatedUnit> made(new DelegatedUnit("/system.slice/" + unit));
  // A scope that stands is kept by monitors; this command's holder joins them, so that it cannot
  // end between this look and the first new monitor.
  SKIFF_TRY(made->StartHolder());
  SKIFF_TRY(Failpoint("engine.delegated_unit"));
  bool stands = false;
  for (const char* mount : {kUnified, "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"}) {
    stands = stands || IsFolder(mount + made->cgroup_);
  }
  if (!stands) SKIFF_TRY(StartScope(unit, made->holder_));
  SKIFF_TRY(made->MoveHolderToLeaf());
  return made;
}

Status DelegatedUnit::StartHolder() {
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno("cannot start a process");
  if (pid == 0) {
    // A copy of a program with threads: system calls only. The death of the command closes the pipe
    // (PDEATHSIG would fire when the calling thread ends).
    ::dup2(pipe.read.get(), 0);
    ::syscall(SYS_close_range, 1U, ~0U, 0U);
    char byte = 0;
    while (::getppid() == parent && ::read(0, &byte, 1) < 0) {
    }
    ::_exit(0);
  }
  holder_ = pid;
  keep_ = std::move(pipe.write);
  return {};
}

Status DelegatedUnit::MoveHolderToLeaf() {
  // cgroup-v2: a folder with controllers for its children has no processes of its own.
  const std::string scope = kUnified + cgroup_;
  if (!IsFolder(scope)) return {};
  leaf_ = scope + "/command-" + std::to_string(::getpid());
  if (::mkdir(leaf_.c_str(), 0755) != 0 && errno != EEXIST) {
    return FailErrno("cannot make '" + leaf_ + "'");
  }
  SKIFF_ASSIGN(const Fd procs, OpenFile(leaf_ + "/cgroup.procs", O_WRONLY));
  return WriteAll(procs.get(), std::to_string(holder_), leaf_ + "/cgroup.procs");
}

DelegatedUnit::~DelegatedUnit() {
  keep_.Reset();
  if (holder_ <= 0) return;
  int status = 0;
  while (::waitpid(holder_, &status, 0) < 0 && errno == EINTR) {
  }
  // With the last process gone systemd may have removed it already.
  if (!leaf_.empty()) ::rmdir(leaf_.c_str());
}

}  // namespace skiff::engine::embedded
