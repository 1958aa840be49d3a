#include "engine-core/monitor/protocol.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/wire.h"

namespace skiff::engine::monitor {
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

WireWriter EncodeRequest(const Request& request, const RequestStreams& streams) {
  WireWriter out;
  out.Int(kTagVersion, kControlVersion);
  out.Int(kTagVerb, static_cast<int64_t>(request.verb));
  if (request.signal != 0) out.Int(kTagSignal, request.signal);
  if (request.timeout_ns) out.Int(kTagTimeout, *request.timeout_ns);
  if (!request.name.empty()) out.Bytes(kTagName, request.name);
  out.Strings(kTagArg, request.args);
  out.Strings(kTagEnv, request.environment);
  if (!request.cwd.empty()) out.Bytes(kTagCwd, request.cwd);
  if (!request.user.empty()) out.Bytes(kTagUser, request.user);
  if (request.tty) out.Bool(kTagTty, true);
  if (request.privileged) out.Bool(kTagPrivileged, true);
  if (request.rows != 0) out.Int(kTagRows, request.rows);
  if (request.columns != 0) out.Int(kTagColumns, request.columns);
  out.Strings(kTagTable, request.tables);
  out.Strings(kTagUpstream, request.upstreams);
  out.Strings(kTagEndpoint, request.endpoints);
  out.Bool(kTagForward, request.forward);
  if (streams.input >= 0) out.Int(kTagRole, kRoleInput);
  if (streams.output >= 0) out.Int(kTagRole, kRoleOutput);
  if (streams.error >= 0) out.Int(kTagRole, kRoleError);
  return out;
}

// Values that do not fit their type make the message malformed.
template <typename T>
bool Narrow(int64_t value, T* out) {
  *out = static_cast<T>(value);
  return static_cast<int64_t>(*out) == value;
}

struct RequestDecoder {
  Request request;
  std::vector<int64_t> roles;
  int64_t version = 0;
  std::optional<std::string> payload_marker;
  bool ok = true;

  void Field(WireReader& in) {
    switch (in.tag()) {
      case kTagVersion:
        version = in.integer();
        break;
      case kTagVerb:
        request.verb = static_cast<Verb>(in.integer());
        break;
      case kTagPayload:
        payload_marker = in.text();
        break;
      case kTagSignal:
        ok &= Narrow(in.integer(), &request.signal);
        break;
      case kTagTimeout:
        request.timeout_ns = in.integer();
        break;
      case kTagName:
        request.name = in.text();
        break;
      case kTagArg:
        request.args.push_back(in.text());
        break;
      case kTagEnv:
        request.environment.push_back(in.text());
        break;
      case kTagCwd:
        request.cwd = in.text();
        break;
      case kTagUser:
        request.user = in.text();
        break;
      case kTagTty:
        request.tty = in.boolean();
        break;
      case kTagPrivileged:
        request.privileged = in.boolean();
        break;
      case kTagRows:
        ok &= Narrow(in.integer(), &request.rows);
        break;
      case kTagColumns:
        ok &= Narrow(in.integer(), &request.columns);
        break;
      case kTagTable:
        request.tables.push_back(in.text());
        break;
      case kTagUpstream:
        request.upstreams.push_back(in.text());
        break;
      case kTagEndpoint:
        request.endpoints.push_back(in.text());
        break;
      case kTagForward:
        request.forward = in.boolean();
        break;
      case kTagRole:
        roles.push_back(in.integer());
        break;
      default:
        break;
    }
  }

  Status Decode(std::string_view data) {
    WireReader in(data);
    while (in.Next()) Field(in);
    if (!in.ok() || !ok || version < 1) {
      return Fail(Code::kInvalidArgument, "cannot read a request: it is malformed");
    }
    return {};
  }
};

// Only a sealed memory file: nobody can change it meanwhile or make its reader wait.
Result<std::string> ReadPayload(const Fd& fd) {
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_WRITE)) != (F_SEAL_SHRINK | F_SEAL_WRITE)) {
    return Fail(Code::kInvalidArgument, "cannot read a request: its payload is not sealed");
  }
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return FailErrno("cannot rewind a request");
  return ReadAll(fd.get(), kPayloadLimit, "a request");
}

}  // namespace

Result<Fd> MemoryFile(std::string_view data) {
  Fd file(::memfd_create("skiff", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return FailErrno("cannot create a memory file");
  SKIFF_TRY(WriteAll(file.get(), data, "a memory file"));
  if (::fcntl(file.get(), F_ADD_SEALS, kSeals) < 0) return FailErrno("cannot seal a memory file");
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return FailErrno("cannot rewind a memory file");
  return file;
}

Status SendRequest(int socket, const Request& request, const RequestStreams& streams) {
  const WireWriter whole = EncodeRequest(request, streams);
  std::vector<int> fds;
  for (const int fd : {streams.input, streams.output, streams.error}) {
    if (fd >= 0) fds.push_back(fd);
  }
  if (whole.data().size() <= kInlineLimit) return SendMessage(socket, whole.data(), fds);
  if (whole.data().size() > kPayloadLimit) {
    return Fail(Code::kInvalidArgument, "cannot send a request: it is larger than 4 MiB");
  }
  SKIFF_ASSIGN(const Fd payload, MemoryFile(whole.data()));
  fds.insert(fds.begin(), payload.get());
  WireWriter message;
  message.Int(kTagVersion, kControlVersion);
  message.Bytes(kTagPayload, "");
  return SendMessage(socket, message.data(), fds);
}

Result<std::optional<Request>> ReceiveRequest(int socket, int flags) {
  SKIFF_ASSIGN(ReceivedMessage received, ReceiveMessage(socket, kMessageLimit, flags));
  if (received.data.empty()) return std::optional<Request>();
  RequestDecoder decoder;
  SKIFF_TRY(decoder.Decode(received.data));
  size_t next = 0;
  if (decoder.payload_marker) {
    if (received.fds.empty()) {
      return Fail(Code::kInvalidArgument, "cannot read a request: its payload is missing");
    }
    SKIFF_ASSIGN(const std::string whole, ReadPayload(received.fds[next++]));
    decoder = {};
    SKIFF_TRY(decoder.Decode(whole));
  }
  for (const int64_t role : decoder.roles) {
    if (next >= received.fds.size()) {
      return Fail(Code::kInvalidArgument, "cannot read a request: it lacks a descriptor");
    }
    Fd fd = std::move(received.fds[next++]);
    if (role == kRoleInput) decoder.request.input = std::move(fd);
    if (role == kRoleOutput) decoder.request.output = std::move(fd);
    if (role == kRoleError) decoder.request.error = std::move(fd);
  }
  return std::optional<Request>(std::move(decoder.request));
}

Status SendAnswer(int socket, const AnswerMessage& answer, int flags) {
  WireWriter out;
  std::vector<int> fds;
  out.Int(kTagVersion, kControlVersion);
  out.Int(kTagAnswer, static_cast<int64_t>(answer.answer));
  if (answer.error) {
    out.Int(kTagCode, static_cast<int64_t>(answer.error->code));
    out.Bytes(kTagMessage, std::string_view(answer.error->message).substr(0, 16u << 10));
    out.Int(kTagErrno, answer.error->sys_errno);
  }
  out.Int(kTagExitCode, answer.exit_code);
  const auto add = [&](Role role, const Fd& fd) {
    if (!fd) return;
    out.Int(kTagRole, role);
    fds.push_back(fd.get());
  };
  add(kRoleTerminal, answer.terminal);
  add(kRoleNetwork, answer.network);
  add(kRoleRestOfOutput, answer.rest_of_output);
  add(kRoleRestOfError, answer.rest_of_error);
  return SendMessage(socket, out.data(), fds, flags);
}

Result<std::optional<AnswerMessage>> ReceiveAnswer(int socket, int flags) {
  SKIFF_ASSIGN(ReceivedMessage received, ReceiveMessage(socket, kMessageLimit, flags));
  if (received.data.empty()) return std::optional<AnswerMessage>();
  AnswerMessage answer;
  Error error(Code::kInternal, "");
  bool has_error = false;
  size_t next = 0;
  WireReader in(received.data);
  while (in.Next()) {
    switch (in.tag()) {
      case kTagAnswer:
        answer.answer = static_cast<Answer>(in.integer());
        break;
      case kTagCode:
        // Of a newer monitor it may be one this command does not know.
        error.code = static_cast<Code>(
            std::clamp<int64_t>(in.integer(), 0, static_cast<int64_t>(Code::kInternal)));
        has_error = true;
        break;
      case kTagMessage:
        error.message = in.text();
        break;
      case kTagErrno:
        error.sys_errno = static_cast<int>(in.integer());
        break;
      case kTagExitCode:
        answer.exit_code = static_cast<int>(in.integer());
        break;
      case kTagRole: {
        const int64_t role = in.integer();
        if (next >= received.fds.size()) break;
        Fd fd = std::move(received.fds[next++]);
        if (role == kRoleTerminal) answer.terminal = std::move(fd);
        if (role == kRoleNetwork) answer.network = std::move(fd);
        if (role == kRoleRestOfOutput) answer.rest_of_output = std::move(fd);
        if (role == kRoleRestOfError) answer.rest_of_error = std::move(fd);
        break;
      }
      default:
        break;
    }
  }
  if (!in.ok()) return Fail(Code::kUnavailable, "cannot read a monitor's answer");
  if (has_error) answer.error = std::move(error);
  return std::optional<AnswerMessage>(std::move(answer));
}

}  // namespace skiff::engine::monitor
