#include "builder/execute/agents.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <list>

#include "base/descriptor.h"
#include "base/text.h"

namespace skiff::builder {
namespace {

constexpr size_t kMaximumKey = 64u << 10;  // Bytes; what a pipe holds.
constexpr const char* kSocketName = "agent";
constexpr size_t kMaximumConnections = 64;  // Of a step; more wait.

std::string Absolute(const std::string& folder, std::string_view path) {
  return path.starts_with('/') ? std::string(path) : folder + "/" + std::string(path);
}

// The address of `name` in the folder of the descriptor, however long its path is.
Result<sockaddr_un> AddressOf(int folder, const std::string& name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder) + "/" + name;
  if (path.size() >= sizeof address.sun_path) {
    return Fail(Code::kInvalidArgument, "the name of the socket '" + name + "' is too long");
  }
  path.copy(address.sun_path, path.size());
  return address;
}

// It blocks nowhere: not even an agent that has stopped keeps a build from ending.
Result<Fd> MakeSocket() {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return FailErrno("cannot make a socket");
  return fd;
}

Result<Fd> ConnectTo(const std::string& path) {
  const size_t slash = path.rfind('/');
  SKIFF_ASSIGN(const Fd folder,
               OpenFile(slash == 0 ? "/" : path.substr(0, slash), O_PATH | O_DIRECTORY));
  SKIFF_ASSIGN(const sockaddr_un address, AddressOf(folder.get(), path.substr(slash + 1)));
  SKIFF_ASSIGN(Fd fd, MakeSocket());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return FailErrno("cannot reach the agent at '" + path + "'");
  }
  return fd;
}

// One way of a connection.
class Direction {
 public:
  Direction(int from, int to) : from_(from), to_(to) {}

  pollfd Wanted() const {
    if (ended_) return {-1, 0, 0};
    if (length_ > 0) return {to_, POLLOUT, 0};
    return {from_, POLLIN, 0};
  }
  // False when it is broken.
  bool Move() {
    if (length_ == 0) {
      const ssize_t got = ::recv(from_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got < 0) return errno == EAGAIN || errno == EINTR;
      if (got == 0) {
        ended_ = true;
        return ::shutdown(to_, SHUT_WR) == 0;
      }
      length_ = static_cast<size_t>(got);
      at_ = 0;
    }
    const ssize_t put =
        ::send(to_, buffer_.data() + at_, length_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN || errno == EINTR;
    at_ += static_cast<size_t>(put);
    length_ -= static_cast<size_t>(put);
    return true;
  }
  bool ended() const { return ended_; }

 private:
  int from_, to_;
  bool ended_ = false;
  size_t at_ = 0, length_ = 0;
  std::array<char, 16384> buffer_;
};

struct Connection {
  Connection(Fd step_side, Fd agent_side)
      : step(std::move(step_side)),
        agent(std::move(agent_side)),
        ways{Direction(step.get(), agent.get()), Direction(agent.get(), step.get())} {}
  Fd step, agent;
  Direction ways[2];
};

}  // namespace

// ---- KeyAgent ----------------------------------------------------------------------------------

Status KeyAgent::AddKey(const Options& options, const std::string& file) {
  auto key = ReadFile(file, kMaximumKey);
  if (!key) return Fail(std::move(key.error()));
  ProgramCall call;
  call.arguments = {"ssh-add", "-q", "-"};
  call.environment = options.environment;
  call.environment["SSH_AUTH_SOCK"] = kSocketName;
  // A passphrase is not asked for: nothing can be typed while steps write to the terminal.
  call.environment["SSH_ASKPASS"] = "/bin/false";
  call.environment["SSH_ASKPASS_REQUIRE"] = "force";
  call.folder = options.folder;
  call.input = std::move(*key);
  call.cancel_fd = options.cancel_fd;
  SKIFF_ASSIGN(const ProgramOutcome outcome, RunProgram(call));
  if (outcome.exit_code == 0) return {};
  return Fail(Error(Code::kInvalidArgument,
                    "the key '" + file + "' cannot be used: " + std::string(Trim(outcome.err)))
                  .With("one with a passphrase is to be added to an agent (ssh-add), whose socket "
                        "is given instead"));
}

Result<KeyAgent> KeyAgent::Start(const Options& options) {
  ProgramCall call;
  // Ended by the shell it starts once the input of that has ended, so that it does not outlive this
  // process, however that ends; what the terminal sends to both is not for them.
  call.arguments = {"ssh-agent", "-a", kSocketName, "sh", "-c",
                    "trap '' HUP INT QUIT TERM; echo; cat; kill $SSH_AGENT_PID"};
  call.environment = options.environment;
  call.folder = options.folder;
  auto program = BackgroundProgram::Start(call);
  if (!program && program.error().code == Code::kNotFound) {
    return Fail(Error(Code::kNotFound, "keys in files need ssh-agent, which is not installed")
                    .With("install the package openssh-client"));
  }
  if (!program) return Fail(std::move(program.error()));
  SKIFF_TRY(program->ReadLine(options.cancel_fd));
  KeyAgent agent(std::move(*program), options.folder + "/" + kSocketName);
  for (const std::string& key : options.keys) SKIFF_TRY(AddKey(options, key));
  return agent;
}

// ---- AgentRelay --------------------------------------------------------------------------------

Result<std::unique_ptr<AgentRelay>> AgentRelay::Start(const Options& options) {
  std::unique_ptr<AgentRelay> relay(new AgentRelay);
  relay->agent_ = options.agent;
  relay->socket_ = options.folder + "/" + kSocketName;
  SKIFF_ASSIGN(const Fd folder, OpenFile(options.folder, O_PATH | O_DIRECTORY));
  SKIFF_ASSIGN(const sockaddr_un address, AddressOf(folder.get(), kSocketName));
  SKIFF_ASSIGN(relay->listener_, MakeSocket());
  if (::bind(relay->listener_.get(), reinterpret_cast<const sockaddr*>(&address),
             sizeof address) != 0 ||
      ::chown(relay->socket_.c_str(), options.owner.uid, options.owner.gid) != 0 ||
      ::chmod(relay->socket_.c_str(), options.mode) != 0 ||
      ::listen(relay->listener_.get(), SOMAXCONN) != 0) {
    return FailErrno("cannot make a socket for an agent");
  }
  relay->stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!relay->stop_) return FailErrno("cannot make an event");
  relay->thread_ = std::thread([served = relay.get()] { served->Serve(); });
  return relay;
}

AgentRelay::~AgentRelay() {
  if (!thread_.joinable()) return;
  RaiseEvent(stop_);
  thread_.join();
}

// An agent that cannot be reached is a connection that ends at once.
void AgentRelay::Serve() {
  std::list<Connection> connections;
  for (;;) {
    const bool full = connections.size() >= kMaximumConnections;
    std::vector<pollfd> fds = {{stop_.get(), POLLIN, 0},
                               {full ? -1 : listener_.get(), POLLIN, 0}};
    for (const Connection& connection : connections) {
      for (const Direction& way : connection.ways) fds.push_back(way.Wanted());
    }
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[0].revents != 0) return;
    size_t at = 2;
    for (auto it = connections.begin(); it != connections.end();) {
      bool whole = true;
      for (Direction& way : it->ways) {
        if (fds[at++].revents != 0) whole = way.Move() && whole;
      }
      const bool over = !whole || (it->ways[0].ended() && it->ways[1].ended());
      it = over ? connections.erase(it) : std::next(it);
    }
    if (fds[1].revents == 0) continue;
    Fd step(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!step) continue;
    auto agent = ConnectTo(agent_);
    if (agent) connections.emplace_back(std::move(step), std::move(*agent));
  }
}

// ---- What a command says -----------------------------------------------------------------------

Result<std::pair<std::string, BuildAgent>> ParseBuildAgent(
    const std::string& text, const std::map<std::string, std::string>& environment,
    const std::string& folder) {
  const size_t equals = text.find('=');
  const std::string id = text.substr(0, equals);
  std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
  if (value.empty()) {
    if (const auto it = environment.find("SSH_AUTH_SOCK"); it != environment.end()) {
      value = it->second;
    }
  }
  if (value.empty()) {
    return Fail(Error(Code::kInvalidArgument, "invalid empty ssh agent socket")
                    .With("SSH_AUTH_SOCK is not set; " + id + "=KEY gives a key's file"));
  }
  BuildAgent agent;
  for (const std::string_view word : Split(value, ',')) {
    const std::string path = Absolute(folder, word);
    struct stat info = {};
    if (::stat(path.c_str(), &info) != 0) return FailErrno("cannot use '" + path + "' for ssh");
    if (S_ISSOCK(info.st_mode)) {
      agent.socket = path;
    } else if (S_ISREG(info.st_mode)) {
      agent.keys.push_back(path);
    } else {
      return Fail(Code::kInvalidArgument,
                  "'" + path + "' is neither an agent's socket nor a key for ssh");
    }
  }
  if (!agent.socket.empty() && value.find(',') != std::string::npos) {
    return Fail(Code::kInvalidArgument,
                "ssh '" + text + "': either one socket of an agent, or keys");
  }
  return std::pair(id, std::move(agent));
}

}  // namespace skiff::builder
