#include <curl/curl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/failpoint.h"
#include "base/fd.h"
#include "engine-core/transfer/confine.h"
#include "engine-core/transfer/protocol.h"
#include "engine-core/transfer/registry_protocol.h"
#include "engine-core/transfer/registry_session.h"
#include "engine-core/transfer/unpack.h"

// skiff-transfer: one archive, or one session with a registry, asked for over descriptor 3.
namespace skiff::engine::transfer {
namespace {

Result<UnpackAnswer> ServeUnpack(ReceivedMessage& message) {
  SKIFF_ASSIGN(const UnpackRequest request, DecodeRequest(message.data));
  const size_t expected = request.has_blob ? 3 : 2;
  if (message.fds.size() != expected) return Fail(Code::kInternal, "descriptors are missing");
  const int blob = request.has_blob ? message.fds[2].get() : -1;
  SKIFF_TRY(Confine(message.fds[1].get()));
  SKIFF_TRY(Failpoint("transfer.unpack"));
  return Unpack(message.fds[0].get(), message.fds[1].get(), blob, request.limits, request.target);
}

// False when the command has gone.
bool Tell(const Result<RegistryAnswer>& answer) {
  return SendMessage(kChannel, EncodeRegistryAnswer(answer), {}).has_value();
}

// True after the time, false as soon as the command has gone.
bool WaitOrGone(int milliseconds) {
  pollfd channel{kChannel, POLLRDHUP, 0};
  return ::poll(&channel, 1, milliseconds) == 0;
}

Result<RegistryAnswer> ServeRequest(RegistrySession& session, const ReceivedMessage& message) {
  SKIFF_ASSIGN(const RegistryRequest request, DecodeRegistryRequest(message.data));
  SKIFF_TRY(Failpoint("transfer.registry"));
  const int fd = message.fds.empty() ? -1 : message.fds[0].get();
  int64_t told = 0;
  return session.Do(request, fd, [&](int64_t current) {
    constexpr int64_t kStep = 1 << 20;
    if (current - told < kStep && current >= told) return;
    told = current;
    RegistryAnswer progress;
    progress.progress = true;
    progress.current = current;
    // Somebody who has gone is noticed by the next request.
    [[maybe_unused]] const bool heard = Tell(progress);
  });
}

int ServeRegistry(std::string_view opening_message) {
  auto opening = DecodeOpening(opening_message);
  Status ready;
  if (!opening) ready = Fail(opening.error());
  if (ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    ready = Fail(Code::kInternal, "cannot use libcurl");
  }
  if (ready) ready = ConfineToNetwork();
  if (!ready) return Tell(Fail(ready.error())) ? 1 : 2;
  RegistrySession session(std::move(*opening), WaitOrGone);
  while (true) {
    const auto message = ReceiveMessage(kChannel, kMaximumMessage);
    if (!message || message->data.empty()) return 0;
    if (!Tell(ServeRequest(session, *message))) return 0;
  }
}

int Serve() {
  auto message = ReceiveMessage(kChannel, kMaximumMessage);
  if (!message) return 1;
  if (IsOpening(message->data)) return ServeRegistry(message->data);
  const auto answer = ServeUnpack(*message);
  // When nobody listens any more there is nobody to tell.
  return SendMessage(kChannel, EncodeAnswer(answer), {}) && answer ? 0 : 1;
}

int Main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--version") {
    std::puts("skiff-transfer 0.1.0");
    return 0;
  }
  const char* failpoints = std::getenv("SKIFF_FAILPOINTS");
  if (failpoints != nullptr && !ConfigureFailpoints(failpoints)) return 2;
  return Serve();
}

}  // namespace
}  // namespace skiff::engine::transfer

int main(int argc, char** argv) {
  return skiff::engine::transfer::Main(argc, argv);
}
