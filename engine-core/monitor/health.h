#pragma once

#include "engine-core/monitor/events.h"

namespace skiff::engine::monitor {

// The health state machine of one container: docker's states and timing (engine.md 4.5), with
// earlier news. Docker waits one interval before its first probe. Here the first probe runs at
// once and, while the container is starting, extra ones follow after 50 ms, 100 ms, 200 ms, ... up
// to the interval. An extra probe can make the container healthy; its failure counts for nothing,
// so that nothing becomes unhealthy earlier than with docker.
class HealthMachine {
 public:
  explicit HealthMachine(const Healthcheck& config);

  bool enabled() const { return enabled_; }
  // The container's program runs since `now`: the state becomes starting.
  void Start(Moment now, ContainerState* state, Actions* out);
  // Stopped or paused: the running probe is given up.
  void Cancel(Actions* out);
  // Goes on after a pause; the state stays.
  void Resume(Moment now, Actions* out);
  void OnNextProbe(Moment now, Actions* out);
  void OnTimeout(Actions* out);
  void OnDone(const ProbeDone& done, Moment now, ContainerState* state, Actions* out);

 private:
  BootTime RegularInterval(BootTime now) const;
  void Schedule(BootTime now, Actions* out);
  void Probe(Moment now, Actions* out);
  void Record(const ProbeDone& done, Moment now, ContainerState* state) const;
  void Judge(const ProbeDone& done, ContainerState* state);

  Healthcheck config_;
  bool enabled_ = false;
  bool starting_ = false;  // No success and no verdict since Start().
  BootTime started_{};
  BootTime next_regular_{};  // When docker would probe.
  BootTime extra_pause_{};   // Before the next extra probe.
  uint64_t running_ = 0;     // 0: no probe runs.
  uint64_t last_probe_ = 0;
  bool running_is_extra_ = false;
  bool timed_out_ = false;
  Moment probe_started_;
};

}  // namespace skiff::engine::monitor
