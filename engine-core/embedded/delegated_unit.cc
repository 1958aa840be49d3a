#include "engine-core/embedded/delegated_unit.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/failpoint.h"

namespace skiff::engine::embedded {
namespace {

constexpr const char* kBooted = "/run/systemd/system";
constexpr const char* kSocket = "/run/systemd/private";
// systemd keeps the file of a transient unit as long as it knows the unit.
constexpr const char* kTransient = "/run/systemd/transient/";
// Where processes of the unit are followed: cgroup v2, the v2 part or the v1 part of a hybrid one.
constexpr const char* kMounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                   "/sys/fs/cgroup/systemd"};
// cgroup-v2: a folder with controllers for its children has no processes of its own.
constexpr const char* kLeaf = "/commands";
constexpr const char* kUnitExists = "org.freedesktop.systemd1.UnitExists";
constexpr int kAnswerSeconds = 10;
constexpr int kAttempts = 5;

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

bool Concerns(const BusMessage& message, const std::string& unit) {
  return message.type == 4 && message.body.find(unit) != std::string::npos;
}

Status EnterFolder(const std::string& folder, pid_t pid) {
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return FailErrno("cannot make '" + folder + "'");
  }
  SKIFF_ASSIGN(const Fd procs, OpenFile(folder + "/cgroup.procs", O_WRONLY));
  return WriteAll(procs.get(), std::to_string(pid), folder + "/cgroup.procs");
}

enum class Answer { kStarted, kStandsAlready };

// Until the job has been done: the scope's cgroup then exists and holds the process. On the private
// socket signals come unasked.
Result<Answer> StartScope(const Fd& socket, const std::string& unit, pid_t pid) {
  SKIFF_TRY(WriteAll(socket.get(), StartScopeMessage(1, unit, static_cast<uint32_t>(pid)),
                     "systemd's socket"));
  while (true) {
    SKIFF_ASSIGN(const BusMessage message, Receive(socket));
    if (message.type == 3 && message.reply_serial == 1) {
      if (message.error_name == kUnitExists) return Answer::kStandsAlready;
      return Fail(Code::kUnavailable, "systemd cannot start '" + unit + "': " + message.error_name);
    }
    if (!Concerns(message, unit) || message.member != "JobRemoved") continue;
    if (message.body.find("done") != std::string::npos) return Answer::kStarted;
    return Fail(Code::kUnavailable, "systemd could not start '" + unit + "'");
  }
}

// Another command is starting the unit, or its last process has gone and systemd is putting it
// away.
Status AwaitChange(const Fd& socket, const std::string& unit) {
  while (true) {
    SKIFF_ASSIGN(const BusMessage message, Receive(socket));
    if (!Concerns(message, unit)) continue;
    if (message.member == "JobRemoved" || message.member == "UnitRemoved") return {};
  }
}

}  // namespace

DelegatedUnit::DelegatedUnit(const std::string& root_hash)
    : unit_("skiff-" + root_hash + ".scope"),
      cgroup_(IsFolder(kBooted) ? "/system.slice/" + unit_ : "") {}

DelegatedUnit::~DelegatedUnit() {
  EndHolder();
}

Result<bool> DelegatedUnit::Hold() {
  if (cgroup_.empty() || (HolderLives() && LeafStands())) return false;
  EndHolder();
  SKIFF_TRY(Failpoint("engine.delegated_unit"));
  // A scope that stands is kept by monitors; this command's holder joins them, so that it cannot
  // end between this look and the first new monitor.
  const Fd leaf = OpenLeaf();
  SKIFF_TRY(StartHolder(leaf));
  if (leaf && Stands()) return true;
  Status joined = Join();
  if (joined) return true;
  if (joined.error().code != Code::kNotFound) return Fail(joined.error());
  SKIFF_ASSIGN(const Fd socket, Connect());
  SKIFF_TRY(Authenticate(socket));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    SKIFF_ASSIGN(const Answer answer, StartScope(socket, unit_, holder_));
    joined = Join();
    if (joined) return true;
    if (joined.error().code != Code::kNotFound) break;
    if (answer == Answer::kStandsAlready) SKIFF_TRY(AwaitChange(socket, unit_));
  }
  return Fail(joined.error());
}

Status DelegatedUnit::RemoveFolders(const CgroupLayout& layout) const {
  if (cgroup_.empty()) return {};
  SKIFF_TRY(Failpoint("engine.delegated_unit.remove"));
  for (const CgroupHierarchy& hierarchy : layout.hierarchies) {
    const std::string scope = hierarchy.mount_point + cgroup_;
    for (const std::string& folder : {scope + kLeaf, scope}) {
      const bool gone = ::rmdir(folder.c_str()) == 0 || errno == ENOENT;
      // Somebody is in it, so it is needed, and who is last removes it.
      if (!gone && errno != EBUSY) return FailErrno("cannot remove the cgroup '" + folder + "'");
    }
  }
  return {};
}

bool DelegatedUnit::HolderLives() const {
  if (holder_ <= 0) return false;
  siginfo_t ended{};
  return ::waitid(P_PID, static_cast<id_t>(holder_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         ended.si_pid == 0;
}

// Not while a kill of the whole unit is on its way: the holder may look alive for a moment longer.
bool DelegatedUnit::LeafStands() const {
  return std::ranges::any_of(kMounts,
                             [&](const char* mount) { return IsFolder(mount + cgroup_ + kLeaf); });
}

bool DelegatedUnit::Stands() const {
  return ::access((kTransient + unit_).c_str(), F_OK) == 0;
}

// On cgroup v2 a child can be born where it belongs, which spares it the move from the caller's
// cgroup. Invalid where that cannot be.
Fd DelegatedUnit::OpenLeaf() const {
  const std::string leaf = kMounts[0] + cgroup_ + kLeaf;
  if (!Stands() || (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST)) return Fd();
  return OpenFile(leaf, O_RDONLY | O_DIRECTORY).value_or(Fd());
}

Status DelegatedUnit::StartHolder(const Fd& leaf) {
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  const pid_t parent = ::getpid();
  // As fork(2), without what libc does around it: the child makes system calls only.
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  if (leaf) {
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(leaf.get());
  }
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0 && leaf) return StartHolder(Fd());  // The scope is just ending.
  if (pid < 0) return FailErrno("cannot start a process");
  if (pid == 0) {
    // The death of the command closes the pipe (PDEATHSIG would fire when the calling thread ends).
    // Keys of the command's terminal are not for it.
    ::setsid();
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

void DelegatedUnit::EndHolder() {
  keep_.Reset();
  if (holder_ <= 0) return;
  int status = 0;
  while (::waitpid(holder_, &status, 0) < 0 && errno == EINTR) {
  }
  holder_ = -1;
}

Status DelegatedUnit::Join() const {
  if (!Stands()) return Fail(Code::kNotFound, "systemd has no '" + unit_ + "'");
  bool joined = false;
  for (const char* mount : kMounts) {
    const std::string scope = mount + cgroup_;
    if (!IsFolder(scope)) continue;
    const std::string leaf = scope + kLeaf;
    const Status entered = EnterFolder(leaf, holder_);
    if (!entered && entered.error().sys_errno == ENODEV) {
      return Fail(Code::kNotFound, "'" + unit_ + "' has just ended");
    }
    SKIFF_TRY(entered);
    joined = true;
  }
  // Inside, it keeps the unit; it may have been put away in between.
  if (joined && Stands()) return {};
  return Fail(Code::kNotFound, "'" + unit_ + "' has just ended");
}

}  // namespace skiff::engine::embedded
