#include "engine-core/monitor/name_service.h"

#include <utility>

namespace skiff::engine::monitor {

struct NameService::Parts {};

NameService::NameService(EventLoop* loop) : loop_(loop) {}
NameService::~NameService() = default;

Status NameService::Start(const DnsSpec& spec, Fd udp, Fd tcp) {
  spec_ = spec;
  static_cast<void>(loop_);
  static_cast<void>(udp);
  static_cast<void>(tcp);
  return {};
}

void NameService::Update(const DnsSpec& spec) {
  spec_ = spec;
}

Status NameService::RemoveNames(const std::string&) {
  return {};
}

}  // namespace skiff::engine::monitor
