#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

// The words of the control socket (README.md: protocol). Messages are base/wire.h fields over
// SOCK_SEQPACKET; numbers are never reused, unknown tags are skipped by both sides.
namespace skiff::engine::monitor {

inline constexpr int kControlVersion = 1;
// A request larger than kInlineLimit travels in a sealed memfd, the first descriptor of a message
// whose only fields are kTagVersion and kTagPayload.
inline constexpr size_t kInlineLimit = 32u << 10;
inline constexpr size_t kPayloadLimit = 4u << 20;
inline constexpr size_t kMessageLimit = kInlineLimit + 1024;

enum class Verb : int64_t {
  kPing = 1,
  kStop = 2,
  kKill = 3,
  kRestart = 4,
  kPause = 5,
  kUnpause = 6,
  kRename = 7,
  kExec = 8,
  kAttach = 9,
  kResize = 10,   // On the connection of an exec or attach.
  kSignal = 11,   // Likewise.
  kNetwork = 12,  // Answered with the descriptor of the network namespace.
  kNames = 13,
};

enum RequestTag : uint16_t {
  kTagVersion = 1,
  kTagVerb = 2,
  kTagPayload = 3,
  kTagSignal = 4,
  kTagTimeout = 5,  // Nanoseconds; negative: never kill.
  kTagName = 6,
  kTagArg = 7,  // Repeated.
  kTagEnv = 8,  // Repeated: complete KEY=VALUE entries above the container's own.
  kTagCwd = 9,
  kTagUser = 10,
  kTagTty = 11,
  kTagPrivileged = 12,
  kTagRows = 13,
  kTagColumns = 14,
  kTagRole = 15,      // One for each descriptor, in their order.
  kTagTable = 16,     // Repeated.
  kTagUpstream = 17,  // Repeated.
  kTagForward = 18,
  kTagEndpoint = 19,  // Repeated, one for each table.
};

// What a passed descriptor is.
enum Role : int64_t {
  kRolePayload = 1,
  kRoleInput = 2,
  kRoleOutput = 3,
  kRoleError = 4,
  kRoleTerminal = 5,
  kRoleNetwork = 6,
  // Output the client's descriptor did not take before the end: a memfd the client writes out.
  kRoleRestOfOutput = 7,
  kRoleRestOfError = 8,
};

enum class Answer : int64_t {
  kDone = 1,
  kError = 2,
  kStarted = 3,  // An exec or attach stands; kExited follows.
  kExited = 4,
};

enum AnswerTag : uint16_t {
  kTagAnswer = 20,
  kTagCode = 21,
  kTagMessage = 22,
  kTagErrno = 23,
  kTagExitCode = 24,
};

struct Request {
  Verb verb = Verb::kPing;
  int signal = 0;
  std::optional<int64_t> timeout_ns;
  std::string name;
  std::vector<std::string> args;
  std::vector<std::string> environment;
  std::string cwd;
  std::string user;
  bool tty = false;
  bool privileged = false;
  uint16_t rows = 0;
  uint16_t columns = 0;
  std::vector<std::string> tables;
  std::vector<std::string> upstreams;
  std::vector<std::string> endpoints;
  bool forward = true;
  // Received: owned. To be sent: see RequestStreams.
  Fd input;
  Fd output;
  Fd error;
};
// Descriptors that go with a request, borrowed; -1: not there.
struct RequestStreams {
  int input = -1;
  int output = -1;
  int error = -1;
};
// Blocks until the socket takes it.
Status SendRequest(int socket, const Request& request, const RequestStreams& streams = {});
// `flags`: MSG_DONTWAIT. No value: the peer has closed.
Result<std::optional<Request>> ReceiveRequest(int socket, int flags);

struct AnswerMessage {
  Answer answer = Answer::kDone;
  std::optional<Error> error;  // Of kError.
  int exit_code = 0;           // Of kExited, and of kError of an exec (126, 127, 128).
  Fd terminal;
  Fd network;
  Fd rest_of_output;
  Fd rest_of_error;
};
Status SendAnswer(int socket, const AnswerMessage& answer, int flags);
Result<std::optional<AnswerMessage>> ReceiveAnswer(int socket, int flags);

// A sealed memfd with `data`.
Result<Fd> MemoryFile(std::string_view data);

}  // namespace skiff::engine::monitor
