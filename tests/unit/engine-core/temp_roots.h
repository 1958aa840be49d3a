#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/atomic_file.h"
#include "base/identity.h"
#include "engine-core/layout.h"

namespace skiff::engine {

// Both roots in a folder that goes with the test.
class TempRoots : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(layout_.Prepare()); }
  void TearDown() override { EXPECT_TRUE(RemoveTree(folder_)); }

  std::string folder_ = ::testing::TempDir() + "skiff-unit-" + RandomHex(6);
  Layout layout_{folder_ + "/root", folder_ + "/run"};
};

}  // namespace skiff::engine
