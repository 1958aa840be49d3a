#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

// Programs that a test runs, and what they said.
namespace skiff::e2e {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

struct Outcome {
  int exit_code = -1;  // 128 + n for a signal.
  std::string out;     // With a terminal: all of the output.
  std::string err;
  bool timed_out = false;    // It was killed at the deadline.
  bool output_held = false;  // Somebody kept its output open after its end: a leaked descriptor.
  milliseconds elapsed{};
  int64_t peak_bytes = 0;  // Largest resident memory; at least the test's own when it was started.

  bool ok() const { return exit_code == 0; }
};
// For messages of failed expectations.
std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);

struct ProcessOptions {
  std::map<std::string, std::string> environment;  // The whole of it.
  std::string directory;                           // "": as this process.
  std::string input;
  bool keep_input_open = false;  // Until CloseInput(); else it ends after `input`.
  bool terminal = false;         // Its three streams are a new terminal, which controls it.
  bool merge_error = false;      // Standard error goes where standard output goes.
};

class Process {
 public:
  static Process Start(const std::vector<std::string>& command, const ProcessOptions& options);
  Process(Process&&) = default;
  Process& operator=(Process&&) = default;
  ~Process();

  pid_t pid() const { return pid_; }
  // What it has written so far.
  const std::string& out() const { return outcome_.out; }
  const std::string& err() const { return outcome_.err; }

  // Reads until `condition` holds; false at the deadline or when the process has ended without.
  bool Await(const std::function<bool()>& condition, milliseconds limit = 20s);
  // Until its output (either stream) contains `text`.
  bool AwaitOutput(std::string_view text, milliseconds limit = 20s);
  void Write(std::string_view text);
  void CloseInput() { input_.Reset(); }
  void Signal(int signal_number);
  void Resize(unsigned short rows, unsigned short columns);
  // Until its end; it is killed at the deadline.
  Outcome Finish(milliseconds limit = 60s);

 private:
  Process() = default;
  bool Pump(milliseconds limit);  // Reads what there is; false when both streams are at their end.
  bool Reap();

  pid_t pid_ = -1;
  bool reaped_ = false;
  Fd pidfd_, input_, out_, err_;
  Outcome outcome_;
  std::chrono::steady_clock::time_point started_;
};

Outcome RunCommand(const std::vector<std::string>& command, const ProcessOptions& options = {},
            milliseconds limit = 60s);

// Asks again and again until `condition` holds: for kernel objects that go away later, at most.
bool Eventually(const std::function<bool()>& condition, milliseconds limit = 2s);

// Gone, or a zombie that waits for whoever collects orphans on this machine.
bool HasEnded(pid_t pid);

// This process's environment without the variables that steer skiff or docker.
std::map<std::string, std::string> CleanEnvironment();

}  // namespace skiff::e2e
