#include "engine-core/monitor/network_services.h"

#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/failpoint.h"
#include "netmgr/name_service.h"
#include "netmgr/name_table.h"
#include "netmgr/port_relay.h"

namespace skiff::engine::monitor {
namespace {

// Connects a service that speaks FdWatcher with the monitor's loop, its timer included.
template <typename Service>
class Driver : public net::FdWatcher {
 public:
  explicit Driver(EventLoop* loop) : loop_(loop) {}
  ~Driver() override {
    service_.reset();  // It unwatches what is left.
    if (timer_ != 0) loop_->CancelTimer(timer_);
  }

  template <typename... Args>
  Service& Make(Args&&... args) {
    service_ = std::make_unique<Service>(std::forward<Args>(args)..., this);
    return *service_;
  }
  Service& service() { return *service_; }

  void Watch(int fd, uint32_t epoll_events) override {
    const auto known = watched_.find(fd);
    if (known != watched_.end()) {
      if (known->second != epoll_events && loop_->Modify(fd, epoll_events)) {
        known->second = epoll_events;
      }
      return;
    }
    // What cannot be watched (no memory) is a flow that times out.
    const Status added = loop_->Add(fd, epoll_events, [this, fd](uint32_t events) {
      service_->OnEvent(fd, events, Now());
      Rearm();
    });
    if (added) watched_[fd] = epoll_events;
  }
  void Unwatch(int fd) override {
    if (watched_.erase(fd) > 0) loop_->Remove(fd);
  }

  void Rearm() {
    const std::optional<BootTime> next = service_->NextDeadline();
    if (next == deadline_) return;
    if (timer_ != 0) loop_->CancelTimer(timer_);
    timer_ = 0;
    deadline_ = next;
    if (!next) return;
    timer_ = loop_->AddTimer(*next, [this] {
      timer_ = 0;
      deadline_.reset();
      service_->OnTimer(Now());
      Rearm();
    });
  }

 private:
  EventLoop* loop_;
  std::unique_ptr<Service> service_;
  std::map<int, uint32_t> watched_;
  std::optional<BootTime> deadline_;
  EventLoop::TimerId timer_ = 0;
};

net::NameServiceConfig ConfigOf(const DnsSpec& spec) {
  return {spec.tables, spec.upstreams, spec.forward};
}

}  // namespace

struct NetworkServices::Names {
  explicit Names(EventLoop* loop) : driver(loop) {}
  Driver<net::NameService> driver;
};

struct NetworkServices::Ports {
  explicit Ports(EventLoop* loop) : driver(loop) {}
  std::vector<Fd> held;
  Driver<net::PortRelay> driver;
};

NetworkServices::NetworkServices(EventLoop* loop) : loop_(loop) {}
NetworkServices::~NetworkServices() = default;

void NetworkServices::StartNames(const DnsSpec& spec, Fd udp, Fd tcp) {
  if (!spec.enabled || !udp || !tcp) return;
  names_ = std::make_unique<Names>(loop_);
  names_->driver.Make(std::move(udp), std::move(tcp), ConfigOf(spec));
  names_->driver.Rearm();
}

void NetworkServices::UpdateNames(const DnsSpec& spec) {
  if (!names_) return;
  names_->driver.service().Configure(ConfigOf(spec));
  names_->driver.Rearm();
}

Status NetworkServices::StartPorts(const std::vector<PortSocketSpec>& specs,
                                   std::vector<Fd> sockets) {
  if (sockets.empty()) return {};
  ports_ = std::make_unique<Ports>(loop_);
  ports_->driver.Make();
  for (size_t i = 0; i < sockets.size(); ++i) {
    if (i >= specs.size() || !specs[i].relay) {
      ports_->held.push_back(std::move(sockets[i]));
      continue;
    }
    SKIFF_TRY(ports_->driver.service().Serve(std::move(sockets[i]),
                                             {specs[i].address, specs[i].port, specs[i].protocol}));
  }
  ports_->driver.Rearm();
  return {};
}

Status NetworkServices::End(const DnsSpec& spec) {
  names_.reset();
  ports_.reset();
  SKIFF_TRY(Failpoint("monitor.remove_names"));
  Status result;
  for (size_t i = 0; i < spec.tables.size() && i < spec.endpoints.size(); ++i) {
    Status removed =
        net::RemoveEndpoints(spec.tables[i], std::span<const std::string>(&spec.endpoints[i], 1));
    if (!removed && result) result = std::move(removed);
  }
  return result;
}

}  // namespace skiff::engine::monitor
