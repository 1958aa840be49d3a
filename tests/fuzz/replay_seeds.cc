// Gives every target its seeds once: what a fuzzer has found stays found.

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "base/fd.h"
#include "tests/fuzz/target.h"

namespace skiff::fuzz {
namespace {

std::map<std::string, Target>& Targets() {
  static std::map<std::string, Target> targets;
  return targets;
}

}  // namespace

Registration::Registration(const char* name, Target target) {
  Targets()[name] = target;
}

namespace {

namespace fs = std::filesystem;

TEST(FuzzSeedsTest, EachTargetHasSeedsAndTakesThem) {
  std::set<std::string> folders;
  for (const auto& folder : fs::directory_iterator(SKIFF_FUZZ_SEEDS)) {
    folders.insert(folder.path().filename());
  }
  for (const auto& [name, target] : Targets()) {
    EXPECT_EQ(folders.erase(name), 1u) << "no seeds for " << name;
    SetOrigin(name.c_str());
    target("");
    size_t count = 0;
    for (const auto& seed : fs::directory_iterator(fs::path(SKIFF_FUZZ_SEEDS) / name)) {
      const std::string path = seed.path();
      const auto text = ReadFile(path);
      ASSERT_TRUE(text) << text.error().Text();
      SetOrigin(path.c_str());
      target(*text);
      // And every beginning of a small one: what is cut off is the commonest mistake of all.
      if (text->size() > 600) continue;
      for (size_t size = 1; size < text->size(); ++size) target(text->substr(0, size));
      ++count;
    }
    EXPECT_GT(count, 0u) << name;
  }
  for (const std::string& folder : folders) ADD_FAILURE() << "seeds without a target: " << folder;
}

}  // namespace
}  // namespace skiff::fuzz
