#pragma once

#include <string>
#include <vector>

#include "engine-core/monitor/events.h"
#include "engine-core/monitor/health.h"
#include "engine-core/runtime_spec.h"

namespace skiff::engine::monitor {

// Docker's pause before a restart: 100 ms, doubled for each run shorter than 10 s, at most 60 s.
BootTime NextRestartPause(BootTime pause, BootTime run);
// Whether the policy starts the container again after an exit nobody asked for.
bool PolicyRestarts(const RestartPolicy& policy, int restart_count, int exit_code);

// The monitor's brain: the life of one container as a function from events to actions. It owns no
// descriptors and reads no clock; the shell (monitor.h) carries its actions out in order.
class Core {
 public:
  explicit Core(const RuntimeSpec& spec);

  // The first start. The shell answers with InitReady, InitExeced or InitFailed.
  Actions Begin(Moment now);
  Actions Handle(const Event& event, Moment now);

  const ContainerState& state() const { return state_; }
  const std::string& name() const { return name_; }

 private:
  enum class Phase : uint8_t {
    kStarting,  // Cloned, not yet executed.
    kRunning,
    kEnding,   // Init is reaped, the rest of the container is not gone yet.
    kWaiting,  // For the restart timer.
    kEnded,
  };

  void On(const InitReady& event);
  void On(const InitExeced& event);
  void On(const InitFailed& event);
  void On(const InitExited& event);
  void On(const RunEnded& event);
  void On(const TimerFired& event);
  void On(const OomHappened& event);
  void On(const ProbeDone& event);
  void On(const FreezeDone& event);
  void On(const StopRequest& event);
  void On(const RestartRequest& event);
  void On(const KillRequest& event);
  void On(const PauseRequest& event);
  void On(const RenameRequest& event);

  void StartAgain();
  void BeginStop(int signal, std::optional<Nanoseconds> timeout);
  void Thaw();
  void Finish();
  void Finish(const Error& of_restart);
  void Journal(std::string action, JournalAttributes attributes = {});
  void Answer(std::vector<ClientId>* clients, const std::optional<Error>& error);
  void Refuse(ClientId client, std::string message);

  template <typename T>
  void Do(T action) {
    actions_.emplace_back(std::move(action));
  }

  std::string id_;
  std::string name_;
  int stop_signal_;
  Nanoseconds stop_timeout_;
  RestartPolicy policy_;
  HealthMachine health_;

  ContainerState state_;
  Phase phase_ = Phase::kStarting;
  Moment now_;
  BootTime run_started_{};
  BootTime restart_pause_{};
  bool reported_ = false;  // The launcher has its answer.
  bool stopped_by_hand_ = false;
  bool restart_by_hand_ = false;
  bool stopping_ = false;  // A signal was sent; the deadline may be armed.
  bool freezing_ = false;
  BootTime stop_deadline_{};
  std::vector<ClientId> stop_clients_;
  std::vector<ClientId> restart_clients_;
  std::vector<ClientId> pause_clients_;
  Actions actions_;
};

}  // namespace skiff::engine::monitor
