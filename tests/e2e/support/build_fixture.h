#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "tests/e2e/support/registry.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {

// Of tests whose builds meet a registry.
class BuildFixture : public SkiffTest {
 protected:
  void TearDown() override {
    registry_.reset();
    SkiffTest::TearDown();
  }
  // Returns "127.0.0.1:PORT".
  std::string StartRegistry() {
    registry_.emplace(directory(), "registry");
    return registry_->host();
  }
  void StopRegistry() { registry_.reset(); }
  // Steps that were not done again, in what `--progress=plain` shows.
  static size_t Cached(const std::string& progress) {
    return static_cast<size_t>(
        std::ranges::count_if(Lines(progress), [](const std::string& line) {
          return line.ends_with(" CACHED");
        }));
  }

 private:
  std::optional<Registry> registry_;
};

}  // namespace skiff::e2e
