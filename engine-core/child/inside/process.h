#pragma once

#include "engine-core/child/inside/plan.h"
#include "engine-core/child/inside/sys.h"
#include "engine-core/child/inside/user.h"

// What init and further processes do alike, in this order. Each function ends the process when it
// fails.
namespace skiff::engine::child::inside {

// First of all: descriptors, signals, session, umask; not dumpable, so that nobody inside can look
// at this process before its program runs.
void ResetProcess(const ProcessPlan& plan);
void JoinCgroups(const ProcessPlan& plan);
void SetLimits(const ProcessPlan& plan);
void SetOomScore(const ProcessPlan& plan);
// Descriptors 0 to 2, from `terminal` (-1: none), else the plan's; `null` stands for absent ones.
void TakeStdio(const ProcessPlan& plan, int terminal, int null);
// The null device below `dev` when it is one, for reading and writing; else the host's `fallback`.
int ContainersNull(int dev, const char* path, int fallback);
// The folder to work in, made when missing and verified to be inside the container.
int OpenWorkingDirectory(const ProcessPlan& plan);
void SetHome(const ProcessPlan& plan, const Identity& identity);

// From here nothing can be undone: user, capabilities, seccomp. Looks the program up as that user;
// returns its path.
const char* BecomeUser(const ProcessPlan& plan, const Identity& identity, int working_directory);
// exec; reports why not.
[[noreturn]] void Execute(const ProcessPlan& plan, const char* program);

// PID 1 that runs the program as its child, forwards signals, reaps and ends with its status.
[[noreturn]] void RunTinyInit(const InitPlan& plan, const char* program);

}  // namespace skiff::engine::child::inside
