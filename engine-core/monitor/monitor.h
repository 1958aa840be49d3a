#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "engine-core/child/child.h"
#include "engine-core/launch_protocol.h"
#include "engine-core/monitor/control.h"
#include "engine-core/monitor/core.h"
#include "engine-core/monitor/exec_session.h"
#include "engine-core/monitor/log_pump.h"
#include "engine-core/monitor/log_writer.h"
#include "engine-core/monitor/network_services.h"
#include "engine-core/monitor/stream.h"

namespace skiff::engine::monitor {

// The shell around the core: one epoll loop that turns what the kernel and clients say into events
// and carries out the actions. Single-threaded; nothing in it waits but the loop.
class Monitor {
 public:
  // `channel`: the launcher's, with the start report still to be sent.
  static Result<std::unique_ptr<Monitor>> Create(LaunchMessage message, Fd channel);
  ~Monitor();

  // Until the container has stopped for good.
  Status Run();

 private:
  struct AttachSession {
    ClientId client = 0;
    std::unique_ptr<OutputSink> output;
    std::unique_ptr<OutputSink> error;
    std::unique_ptr<StreamCopy> input;
  };

  Monitor(LaunchMessage message, Fd channel, std::unique_ptr<EventLoop> loop, LogLimits limits);
  Status Prepare();
  Status Open();
  Status WatchSignals();
  Status AdoptLaunchClient();

  // -- events and actions (monitor.cc) --
  void Post(Event event);
  void Work();
  void Do(const StartInit& action);
  void Do(const ReleaseInit& action);
  void Do(const SignalInit& action);
  void Do(const KillContainer& action);
  void Do(const SetFrozen& action);
  void Do(const SetTimer& action);
  void Do(const CancelTimer& action);
  void Do(const WriteState& action);
  void Do(const RunProbe& action);
  void Do(const KillProbe& action);
  void Do(const AppendJournal& action);
  void Do(const ReportStart& action);
  void Do(const Reply& action);
  void Do(const EndRun& action);
  void Do(const RemoveNames& action);
  void Do(const Exit& action);

  // -- the container's processes (monitor_run.cc) --
  Status StartRun();
  Result<child::Stdio> OpenStreams(std::vector<Fd>* ends);
  void ReadInitReport();
  Status UseTerminal(Fd master);
  void OnSignals();
  void Reap();
  void OnInitExit(int exit_code);
  void TryEndRun();
  void FinishRun();
  void WatchOom();
  void OnOom();
  bool OwnsPidNamespace() const { return message_.spec.pid.mode == NamespaceMode::kNew; }
  void KillAll();

  // -- clients (monitor_clients.cc) --
  void OnRequest(ClientId client, Request request);
  void OnClientGone(ClientId client);
  void StartExec(ClientId client, Request request);
  void StartAttach(ClientId client, Request request);
  Status Connect(ClientId client, Fd input, Fd output, Fd error, bool first);
  void OnSessionRequest(ClientId client, const Request& request);
  void EndAttachSessions(std::map<ClientId, AttachSession> sessions, int exit_code);
  void Refuse(ClientId client, Error error);
  void Finished(ExecSession* session);
  void PurgeSessions();
  void Journal(const std::string& action, JournalAttributes attributes);
  void LaterRelease();

  LaunchMessage message_;
  Fd channel_;
  std::unique_ptr<EventLoop> loop_;
  Core core_;
  Fd lock_;
  Fd signals_;
  std::deque<Event> events_;
  bool working_ = false;
  std::array<EventLoop::TimerId, kTimerKinds> timers_ = {};
  EventLoop::TimerId release_timer_ = 0;
  EventLoop::TimerId state_timer_ = 0;  // While the state could not be written.
  bool state_lost_ = false;
  EventLoop::TimerId end_timer_ = 0;
  std::string journal_folder_;

  child::Starting init_;
  bool init_status_watched_ = false;
  std::vector<std::string> warnings_;  // Of the first start, for the launcher.
  bool init_running_ = false;          // Cloned and not yet reaped.
  bool ending_ = false;
  Fd terminal_;  // The master side of the container's terminal.
  Fd stdin_;     // The writing end of the container's standard input.
  Fd oom_events_;
  int64_t oom_kills_ = 0;

  Scratch scratch_;
  LogWriter log_;
  LogPump pump_;
  ControlServer control_;
  NetworkServices network_;
  std::unordered_map<pid_t, ExecSession*> processes_;
  std::map<ClientId, std::unique_ptr<ExecSession>> execs_;
  std::unique_ptr<ExecSession> probe_;
  uint64_t probe_id_ = 0;
  std::map<ClientId, AttachSession> attached_;
  // Sessions that have ended: destroyed when no callback of theirs is on the stack.
  std::vector<std::unique_ptr<ExecSession>> ended_sessions_;
};

}  // namespace skiff::engine::monitor
