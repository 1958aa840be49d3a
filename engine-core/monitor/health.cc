#include "engine-core/monitor/health.h"

#include <algorithm>

#include "base/units.h"

namespace skiff::engine::monitor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BootTime kFirstExtraPause = milliseconds(50);
constexpr size_t kMaxLog = 5;
// Docker's defaults; a complete configuration has them already.
constexpr Nanoseconds kDefaultInterval = seconds(30);
constexpr Nanoseconds kDefaultTimeout = seconds(30);
constexpr Nanoseconds kDefaultStartInterval = seconds(5);
constexpr int kDefaultRetries = 3;

}  // namespace

HealthMachine::HealthMachine(const Healthcheck& config) : config_(config) {
  enabled_ = !config_.test.empty() && config_.test.front() != "NONE";
  if (config_.interval <= Nanoseconds::zero()) config_.interval = kDefaultInterval;
  if (config_.timeout <= Nanoseconds::zero()) config_.timeout = kDefaultTimeout;
  if (config_.start_interval <= Nanoseconds::zero()) config_.start_interval = kDefaultStartInterval;
  if (config_.retries <= 0) config_.retries = kDefaultRetries;
}

void HealthMachine::Start(Moment now, ContainerState* state, Actions* out) {
  if (!enabled_) return;
  state->health = HealthStatus::kStarting;
  state->failing_streak = 0;
  state->health_log.clear();
  starting_ = true;
  started_ = now.boot;
  next_regular_ = now.boot + RegularInterval(now.boot);
  extra_pause_ = kFirstExtraPause;
  running_is_extra_ = true;
  Probe(now, out);
}

void HealthMachine::Cancel(Actions* out) {
  if (!enabled_) return;
  out->push_back(CancelTimer{TimerKind::kNextProbe});
  if (running_ == 0) return;
  out->push_back(CancelTimer{TimerKind::kProbeTimeout});
  out->push_back(KillProbe{running_});
  running_ = 0;
}

void HealthMachine::Resume(Moment now, Actions* out) {
  if (!enabled_) return;
  next_regular_ = now.boot + RegularInterval(now.boot);
  extra_pause_ = kFirstExtraPause;
  Schedule(now.boot, out);
}

// Docker: start_interval while starting inside start_period, else interval; counted from the end of
// the probe before.
BootTime HealthMachine::RegularInterval(BootTime now) const {
  const bool in_start_period = starting_ && now - started_ < config_.start_period;
  return in_start_period ? config_.start_interval : config_.interval;
}

void HealthMachine::Schedule(BootTime now, Actions* out) {
  BootTime next = next_regular_;
  running_is_extra_ = false;
  if (starting_ && extra_pause_ < config_.interval && now + extra_pause_ < next_regular_) {
    next = now + extra_pause_;
    running_is_extra_ = true;
    extra_pause_ *= 2;
  }
  out->push_back(SetTimer{TimerKind::kNextProbe, next});
}

void HealthMachine::Probe(Moment now, Actions* out) {
  running_ = ++last_probe_;
  probe_started_ = now;
  timed_out_ = false;
  out->push_back(RunProbe{running_});
  out->push_back(SetTimer{TimerKind::kProbeTimeout, now.boot + config_.timeout});
}

void HealthMachine::OnNextProbe(Moment now, Actions* out) {
  if (enabled_ && running_ == 0) Probe(now, out);
}

void HealthMachine::OnTimeout(Actions* out) {
  if (running_ == 0) return;
  timed_out_ = true;
  out->push_back(KillProbe{running_});
}

void HealthMachine::Record(const ProbeDone& done, Moment now, ContainerState* state) const {
  ProbeResult result;
  result.started_at = probe_started_.wall;
  result.finished_at = now.wall;
  result.exit_code = done.exit_code;
  result.output = done.output;
  if (timed_out_) {
    result.exit_code = -1;
    result.output = "Health check exceeded timeout (" + FormatDuration(config_.timeout) + ")";
    if (!done.output.empty()) result.output += ": " + done.output;
  }
  state->health_log.push_back(std::move(result));
  if (state->health_log.size() > kMaxLog) state->health_log.erase(state->health_log.begin());
}

void HealthMachine::Judge(const ProbeDone& done, ContainerState* state) {
  if (done.exit_code == 0 && !timed_out_) {
    state->failing_streak = 0;
    state->health = HealthStatus::kHealthy;
    starting_ = false;
    return;
  }
  if (running_is_extra_) return;
  const bool in_start_period = state->health == HealthStatus::kStarting &&
                               probe_started_.boot - started_ < config_.start_period;
  if (in_start_period) return;
  ++state->failing_streak;
  if (state->failing_streak < config_.retries) return;
  state->health = HealthStatus::kUnhealthy;
  starting_ = false;
}

void HealthMachine::OnDone(const ProbeDone& done, Moment now, ContainerState* state, Actions* out) {
  if (running_ == 0 || done.probe != running_) return;  // Given up meanwhile.
  running_ = 0;
  out->push_back(CancelTimer{TimerKind::kProbeTimeout});
  const HealthStatus before = state->health;
  Record(done, now, state);
  Judge(done, state);
  // An extra probe does not move docker's schedule, unless it ended the start.
  if (!running_is_extra_ || !starting_) next_regular_ = now.boot + RegularInterval(now.boot);
  out->push_back(WriteState{});
  if (state->health != before) {
    out->push_back(
        AppendJournal{"health_status: " + std::string(HealthStatusName(state->health)), {}});
  }
  Schedule(now.boot, out);
}

}  // namespace skiff::engine::monitor
