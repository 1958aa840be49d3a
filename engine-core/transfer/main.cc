#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/failpoint.h"
#include "base/fd.h"
#include "engine-core/transfer/confine.h"
#include "engine-core/transfer/protocol.h"
#include "engine-core/transfer/unpack.h"

// skiff-transfer: one request from descriptor 3, one answer, end.
namespace skiff::engine::transfer {
namespace {

Result<UnpackAnswer> Serve() {
  SKIFF_ASSIGN(ReceivedMessage message, ReceiveMessage(kChannel, kMaximumMessage));
  SKIFF_ASSIGN(const UnpackRequest request, DecodeRequest(message.data));
  const size_t expected = request.has_blob ? 3 : 2;
  if (message.fds.size() != expected) return Fail(Code::kInternal, "descriptors are missing");
  const int blob = request.has_blob ? message.fds[2].get() : -1;
  SKIFF_TRY(Confine(message.fds[1].get()));
  SKIFF_TRY(Failpoint("transfer.unpack"));
  return Unpack(message.fds[0].get(), message.fds[1].get(), blob, request.limits);
}

int Main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--version") {
    std::puts("skiff-transfer 0.1.0");
    return 0;
  }
  const char* failpoints = std::getenv("SKIFF_FAILPOINTS");
  if (failpoints != nullptr && !ConfigureFailpoints(failpoints)) return 2;
  const auto answer = Serve();
  // When nobody listens any more there is nobody to tell.
  return SendMessage(kChannel, EncodeAnswer(answer), {}) && answer ? 0 : 1;
}

}  // namespace
}  // namespace skiff::engine::transfer

int main(int argc, char** argv) {
  return skiff::engine::transfer::Main(argc, argv);
}
