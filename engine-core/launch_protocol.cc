#include "engine-core/launch_protocol.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"

namespace skiff::engine {
namespace {

// A spec up to this size travels in the message itself; both fit a socket buffer by far.
constexpr size_t kInlineLimit = 64u << 10;
constexpr size_t kMessageLimit = kInlineLimit + 4096;
constexpr size_t kSpecLimit = 64u << 20;

// More descriptors than one message takes follow in further ones.
constexpr size_t kDescriptorsPerMessage = 200;

enum LaunchTag : uint16_t { kTagVersion = 1, kTagSpec = 2, kTagRole = 3, kTagMore = 4 };
enum ReportTag : uint16_t {
  kTagHostPid = 2,
  kTagExitCode = 3,
  kTagError = 4,
  kTagWarning = 5,
};

// What the n-th descriptor of the message is; one kTagRole field each, in their order.
enum Role : int64_t {
  kRoleSpec = 1,
  kRoleNetwork = 2,
  kRoleDnsUdp = 3,
  kRoleDnsTcp = 4,
  kRoleInput = 5,
  kRoleOutput = 6,
  kRoleError = 7,
  kRolePort = 8,
};

Result<Fd> SpecInMemory(std::string_view spec) {
  Fd memory(memfd_create("skiff-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return FailErrno("cannot create a memory file for a specification");
  SKIFF_TRY(WriteAll(memory.get(), spec, "specification"));
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
      0) {
    return FailErrno("cannot seal the memory file of a specification");
  }
  return memory;
}

Fd* PlaceOf(LaunchMessage& message, int64_t role) {
  switch (role) {
    case kRoleNetwork:
      return &message.network_namespace;
    case kRoleDnsUdp:
      return &message.dns_udp;
    case kRoleDnsTcp:
      return &message.dns_tcp;
    case kRoleInput:
      return &message.attach_input;
    case kRoleOutput:
      return &message.attach_output;
    case kRoleError:
      return &message.attach_error;
    default:
      return nullptr;
  }
}

// Takes one message apart; true when another one follows.
Result<bool> ReceiveLaunchPart(int channel, LaunchMessage& message, std::string* spec) {
  SKIFF_ASSIGN(ReceivedMessage received, ReceiveMessage(channel, kMessageLimit));
  int64_t version = 0;
  size_t next_fd = 0;
  bool more = false;
  WireReader reader(received.data);
  while (reader.Next()) {
    if (reader.tag() == kTagVersion) version = reader.integer();
    if (reader.tag() == kTagSpec) *spec = reader.text();
    if (reader.tag() == kTagMore) more = reader.boolean();
    if (reader.tag() != kTagRole) continue;
    const int64_t role = reader.integer();
    if (next_fd >= received.fds.size())
      return Fail(Code::kCorrupted, "the launch message lacks a descriptor");
    Fd fd = std::move(received.fds[next_fd++]);
    if (role == kRoleSpec) {
      if (lseek(fd.get(), 0, SEEK_SET) < 0) return FailErrno("cannot rewind a specification");
      SKIFF_ASSIGN(*spec, ReadAll(fd.get(), kSpecLimit, "specification"));
    } else if (role == kRolePort) {
      message.ports.push_back(std::move(fd));
    } else if (Fd* place = PlaceOf(message, role)) {
      *place = std::move(fd);
    }
  }
  if (!reader.ok() || version < 1) return Fail(Code::kCorrupted, "cannot read the launch message");
  return more;
}

}  // namespace

Status SendLaunchMessage(int channel, std::string_view spec, const LaunchDescriptors& descriptors) {
  WireWriter message;
  std::vector<int> fds;
  const auto add = [&](Role role, int fd) {
    if (fd < 0) return;
    message.Int(kTagRole, role);
    fds.push_back(fd);
  };
  message.Int(kTagVersion, kLaunchVersion);
  Fd memory;
  if (spec.size() > kInlineLimit) {
    SKIFF_ASSIGN(memory, SpecInMemory(spec));
    add(kRoleSpec, memory.get());
  } else {
    message.Bytes(kTagSpec, spec);
  }
  add(kRoleNetwork, descriptors.network_namespace);
  add(kRoleDnsUdp, descriptors.dns_udp);
  add(kRoleDnsTcp, descriptors.dns_tcp);
  add(kRoleInput, descriptors.attach_input);
  add(kRoleOutput, descriptors.attach_output);
  add(kRoleError, descriptors.attach_error);
  for (const int port : descriptors.ports) {
    if (fds.size() == kDescriptorsPerMessage) {
      message.Bool(kTagMore, true);
      SKIFF_TRY(SendMessage(channel, message.data(), fds, MSG_DONTWAIT));
      message = WireWriter();
      message.Int(kTagVersion, kLaunchVersion);
      fds.clear();
    }
    add(kRolePort, port);
  }
  return SendMessage(channel, message.data(), fds, MSG_DONTWAIT);
}

Result<LaunchMessage> ReceiveLaunchMessage(int channel) {
  LaunchMessage message;
  std::string spec;
  for (bool more = true; more;) {
    SKIFF_ASSIGN(more, ReceiveLaunchPart(channel, message, &spec));
  }
  SKIFF_ASSIGN(message.spec, DecodeRuntimeSpec(spec));
  return message;
}

Status SendStartReport(int channel, const StartReport& report) {
  WireWriter message;
  message.Int(kTagVersion, kLaunchVersion);
  message.Int(kTagHostPid, report.host_pid);
  message.Int(kTagExitCode, report.exit_code);
  if (!report.error.empty()) message.Bytes(kTagError, report.error.substr(0, 16u << 10));
  for (const std::string& warning : report.warnings) {
    if (message.data().size() + warning.size() < kInlineLimit) message.Bytes(kTagWarning, warning);
  }
  return SendMessage(channel, message.data(), {}, MSG_DONTWAIT);
}

Result<StartReport> ReceiveStartReport(int channel) {
  SKIFF_ASSIGN(const ReceivedMessage received, ReceiveMessage(channel, kMessageLimit));
  if (received.data.empty())
    return Fail(Code::kUnavailable, "the container's monitor ended before it could report");
  StartReport report;
  WireReader reader(received.data);
  while (reader.Next()) {
    switch (reader.tag()) {
      case kTagHostPid:
        report.host_pid = reader.integer();
        break;
      case kTagExitCode:
        report.exit_code = static_cast<int>(reader.integer());
        break;
      case kTagError:
        report.error = reader.text();
        break;
      case kTagWarning:
        report.warnings.push_back(reader.text());
        break;
      default:
        break;
    }
  }
  if (!reader.ok()) return Fail(Code::kCorrupted, "cannot read a monitor's start report");
  return report;
}

}  // namespace skiff::engine
