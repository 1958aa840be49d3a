// Messages between commands, monitors and the transfer program, and rows of the store.

#include <sys/socket.h>

#include "base/fd.h"
#include "engine-core/launch_protocol.h"
#include "engine-core/monitor/protocol.h"
#include "engine-core/runtime_spec.h"
#include "engine-core/store/records.h"
#include "engine-core/transfer/protocol.h"
#include "engine-core/transfer/registry_protocol.h"
#include "tests/fuzz/target.h"

namespace {

using skiff::fuzz::Require;

template <typename Record>
void Row(std::string_view input) {
  Record record;
  if (!skiff::engine::store::Decode(input, &record)) return;
  const std::string written = skiff::engine::store::Encode(record);
  Record again;
  Require(skiff::engine::store::Decode(written, &again).has_value(), "a row can be read again");
  skiff::fuzz::RequireEqual(skiff::engine::store::Encode(again), written, "a row stays the same");
}

// What comes over a socket is read from one.
void OverSocket(std::string_view input) {
  namespace monitor = skiff::engine::monitor;
  if (input.size() > monitor::kMessageLimit) return;
  int ends[2];
  Require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "sockets can be had");
  const skiff::Fd near(ends[0]), far(ends[1]);
  for (int kind = 0; kind < 3 && !input.empty(); ++kind) {
    Require(skiff::SendMessage(near.get(), input, {}).has_value(), "a message can be sent");
    if (kind == 0) static_cast<void>(monitor::ReceiveRequest(far.get(), MSG_DONTWAIT));
    if (kind == 1) static_cast<void>(monitor::ReceiveAnswer(far.get(), MSG_DONTWAIT));
    if (kind == 2) static_cast<void>(skiff::engine::ReceiveStartReport(far.get()));
  }
}

}  // namespace

SKIFF_FUZZ(messages) {
  namespace engine = skiff::engine;
  namespace transfer = skiff::engine::transfer;
  const auto spec = engine::DecodeRuntimeSpec(input);
  if (spec) {
    const std::string written = EncodeRuntimeSpec(*spec);
    const auto again = engine::DecodeRuntimeSpec(written);
    Require(again && EncodeRuntimeSpec(*again) == written, "a specification stays the same");
  }
  static_cast<void>(transfer::DecodeRequest(input));
  static_cast<void>(transfer::DecodeAnswer(input));
  static_cast<void>(transfer::DecodeOpening(input));
  static_cast<void>(transfer::DecodeRegistryRequest(input));
  static_cast<void>(transfer::DecodeRegistryAnswer(input));
  Row<engine::store::ContainerRecord>(input);
  Row<engine::store::ImageRecord>(input);
  Row<engine::store::NetworkRecord>(input);
  Row<engine::CacheEntry>(input);
  Row<engine::Volume>(input);
  OverSocket(input);
}
