#pragma once

#include <string>

#include "base/fd.h"

namespace skiff::e2e {

// A process beside the test that does what the test's end would have done when the test program is
// killed (ctest does so at the time limit): it ends the containers of all roots in the test's
// folder and removes that.
class Warden {
 public:
  Warden() = default;
  // In the network of the test, which it keeps until then.
  static Warden Start(const std::string& directory, const std::string& program);
  // The test has cleaned up itself.
  void Dismiss();

 private:
  Fd life_;
  pid_t pid_ = -1;
};

}  // namespace skiff::e2e
