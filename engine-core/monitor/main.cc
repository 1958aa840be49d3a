#include <malloc.h>
#include <unistd.h>

#include <cstdlib>

#include "base/failpoint.h"
#include "engine-core/child/child.h"
#include "engine-core/launch_protocol.h"
#include "engine-core/monitor/monitor.h"

namespace {

using skiff::Fd;
using skiff::Result;
using skiff::Status;

constexpr int kExitFailed = 1;
// Blocks from here on come from mmap and go back to the kernel when they are freed.
constexpr int kLargeBlock = 64 << 10;

int Fail(int channel, const skiff::Error& error) {
  skiff::engine::StartReport report;
  report.exit_code = 128;
  report.error = error.Text();
  // The launcher has gone: nobody is left to be told.
  static_cast<void>(skiff::engine::SendStartReport(channel, report));
  return kExitFailed;
}

}  // namespace

// skiff-monitor: owns one running container. It takes no arguments; everything comes with the
// launch message on descriptor 3 (engine-core/launch_protocol.h).
int main(int argc, char** argv) {
  skiff::engine::child::UseArgumentArea(argc, argv);
  // All times are UTC: libc need not look for the host's time zone.
  ::setenv("TZ", "UTC0", /*overwrite=*/1);
  ::mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  ::mallopt(M_TRIM_THRESHOLD, kLargeBlock);
  Fd channel(skiff::engine::kLaunchChannel);
  if (const char* failpoints = ::getenv("SKIFF_FAILPOINTS"); failpoints != nullptr) {
    if (Status armed = skiff::ConfigureFailpoints(failpoints); !armed) {
      return Fail(channel.get(), armed.error());
    }
  }
  auto message = skiff::engine::ReceiveLaunchMessage(channel.get());
  if (!message) return Fail(channel.get(), message.error());
  Result<Fd> answers = channel.Duplicate();
  if (!answers) return Fail(channel.get(), answers.error());
  auto monitor = skiff::engine::monitor::Monitor::Create(std::move(*message), std::move(*answers));
  if (!monitor) return Fail(channel.get(), monitor.error());
  channel.Reset();
  const Status ended = (*monitor)->Run();
  return ended ? 0 : kExitFailed;
}
