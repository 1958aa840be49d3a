#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/runtime_spec.h"

// What a launcher and the monitor it has just started say to each other over one socket pair
// (SOCK_SEQPACKET). The monitor finds its end as descriptor kLaunchChannel. The launcher sends one
// launch message, before the monitor exists; the monitor answers with one start report when its
// container has been executed or has failed to, and closes its end. Either side may die at any
// time: then the other reads the end of the file.
namespace skiff::engine {

inline constexpr int kLaunchChannel = 3;
inline constexpr int kLaunchVersion = 1;

// Descriptors that go with the specification; -1: not there. Borrowed when sent.
struct LaunchDescriptors {
  int network_namespace = -1;  // Absent: the host's.
  int dns_udp = -1;
  int dns_tcp = -1;
  int attach_input = -1;
  int attach_output = -1;
  int attach_error = -1;
  std::vector<int> ports;  // In the order of RuntimeSpec::ports; all valid.
};

// `spec` is EncodeRuntimeSpec(). Above 64 KiB it travels in a sealed memfd. Does not block.
Status SendLaunchMessage(int channel, std::string_view spec, const LaunchDescriptors& descriptors);

struct LaunchMessage {
  RuntimeSpec spec;
  Fd network_namespace;
  Fd dns_udp;
  Fd dns_tcp;
  Fd attach_input;
  Fd attach_output;
  Fd attach_error;
  std::vector<Fd> ports;
};
// The monitor's first call. Descriptors of an unknown role (a newer command) are closed.
Result<LaunchMessage> ReceiveLaunchMessage(int channel);

struct StartReport {
  int64_t host_pid = 0;
  int exit_code = 0;
  std::string error;                  // Empty: it runs.
  std::vector<std::string> warnings;  // "cannot raise ulimit nofile ...", shown to the user.
};
Status SendStartReport(int channel, const StartReport& report);
// Blocks. kUnavailable: the monitor ended without a report.
Result<StartReport> ReceiveStartReport(int channel);

}  // namespace skiff::engine
