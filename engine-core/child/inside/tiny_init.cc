#include <linux/close_range.h>
#include <linux/prctl.h>

#include "engine-core/child/inside/process.h"
#include "engine-core/child/inside/report.h"

namespace skiff::engine::child::inside {
namespace {

enum SignalNumber {
  kIll = 4,
  kTrap = 5,
  kAbort = 6,
  kBus = 7,
  kFpe = 8,
  kSegv = 11,
  kChild = 17,
  kStopTty = 21,    // SIGTTIN
  kOutputTty = 22,  // SIGTTOU
  kSys = 31,
};

constexpr uint64_t Bit(int number) {
  return uint64_t{1} << (number - 1);
}

// Signals that are about this process itself are not taken and passed on.
constexpr uint64_t kOwn = Bit(kIll) | Bit(kTrap) | Bit(kAbort) | Bit(kBus) | Bit(kFpe) |
                          Bit(kSegv) | Bit(kSys) | Bit(kStopTty) | Bit(kOutputTty);

struct SignalInfo {
  int number;
  int error;
  int code;
  char rest[116];
};

void SetMask(uint64_t mask) {
  Syscall(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, W(&mask), 0, sizeof mask);
}

// Its own foreground group, so that Ctrl-C reaches it once: from the terminal, not from here too.
void TakeForeground(bool tty) {
  Syscall(__NR_setpgid, 0, 0);
  if (!tty) return;
  SetMask(Bit(kOutputTty));
  const int group = static_cast<int>(Syscall(__NR_getpid));
  Syscall(__NR_ioctl, 0, 0x5410 /* TIOCSPGRP */, W(&group));
}

// Reaps everybody; the status of `main_child` once it has ended, else -1.
int Reap(Word main_child) {
  int result = -1;
  for (;;) {
    int status = 0;
    const Word ended = Syscall(__NR_wait4, -1, W(&status), 1 /* WNOHANG */, 0);
    if (ended == -EINTR) continue;
    if (ended <= 0) return result;
    if (ended != main_child) continue;
    result = (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
  }
}

// ps shows this process as docker's init.
void SetTitle(const InitPlan& plan) {
  Syscall(__NR_prctl, PR_SET_NAME, W("docker-init"), 0, 0, 0);
  if (plan.title == nullptr || plan.title_size == 0) return;
  size_t at = 0;
  const auto put = [&](const char* word) {
    for (; *word != 0 && at + 1 < plan.title_size; ++word) plan.title[at++] = *word;
    if (at + 1 < plan.title_size) plan.title[at++] = 0;
  };
  for (size_t i = 0; i < plan.title_size; ++i) plan.title[i] = 0;
  put("/sbin/docker-init");
  put("--");
  for (const char** arg = plan.process.args; *arg != nullptr; ++arg) put(*arg);
}

}  // namespace

void RunTinyInit(const InitPlan& plan, const char* program) {
  SetMask(~kOwn);
  const Word child = Syscall(__NR_clone, kChild, 0, 0, 0, 0);
  if (child < 0) Die(child, "cannot start the container's process");
  if (child == 0) {
    TakeForeground(plan.process.tty);
    SetMask(0);
    Execute(plan.process, program);
  }
  Syscall(__NR_close_range, 3, ~0u, 0);
  SetTitle(plan);
  for (;;) {
    SignalInfo info = {};
    const uint64_t taken = ~kOwn;
    const Word number = Syscall(__NR_rt_sigtimedwait, W(&taken), W(&info), 0, sizeof taken);
    if (number == kChild) {
      const int status = Reap(child);
      if (status >= 0) Exit(status);
    } else if (number > 0) {
      Syscall(__NR_kill, child, number);
    }
  }
}

}  // namespace skiff::engine::child::inside
