// Commands that fail, or die, at every step that changes something: the next command repairs, and
// everything that is counted is as it was.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "tests/e2e/fault_verbs.h"

namespace skiff::e2e {
namespace {

// What these verbs do not pass here, and why.
const std::map<std::string, const char*> kElsewhere = {
    {"build.download", "takes a web server: build_remote_test"},
    {"build.fetch_context", "takes a web server: build_remote_test"},
    {"cgroup.update", "no command changes the limits of a container that runs"},
    {"engine.delegated_unit", "below systemd only: systemd_test, in the guest"},
    {"engine.delegated_unit.remove", "below systemd only: systemd_test, in the guest"},
    {"build.keep_base", "takes a registry: build_platforms_test"},
    {"image.download", "takes a registry: registry_test"},
    {"image.downloaded", "takes a registry: registry_test"},
    {"image.pull", "takes a registry: registry_test"},
    {"image.push_layer", "takes a registry: registry_test"},
    {"image.push_manifest", "takes a registry: registry_test"},
    {"transfer.registry", "takes a registry: registry_test"},
};

class FailpointsTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteProject(kFaultProject);
    list_ = directory() + "/failpoints";
    trace_ = directory() + "/passed";
    Arm("");
    // Monitors hear of it too, while a verb runs.
    environment()["SKIFF_FAILPOINTS"] = "@" + list_;
    WriteFile("layer/only/here", "a layer that is not in the store");
    WriteFile("built/Dockerfile",
              "FROM busybox\nCOPY files /files\nRUN --network=none echo ran > /ran\n");
    WriteFile("built/files/a", "copied");
    const std::string tar = directory() + "/extra.tar";
    const Outcome packed =
        RunCommand({"tar", "-C", project_directory() + "/layer", "-cf", tar, "only"});
    ASSERT_THAT(packed, Succeeds()) << packed;
    verbs_ = FaultVerbs(directory());
    if (const char* only = std::getenv("SKIFF_FAULT_VERB")) {
      std::erase_if(verbs_, [&](const FaultVerb& verb) { return verb.name != std::string(only); });
      ASSERT_FALSE(verbs_.empty()) << "SKIFF_FAULT_VERB names no verb: " << only;
    }
    const Outcome names = RunCommand(
        {"cmake", "-P", SourceDirectory() + "/tests/architecture/list_failpoints.cmake"});
    ASSERT_THAT(names, Succeeds()) << names;
    for (const std::string& line : Lines(names.out)) names_.insert(line.substr(0, line.find(' ')));
    ASSERT_GT(names_.size(), 80u);
    TakeBaselines();
  }

  void Arm(const std::string& list) {
    ASSERT_TRUE(WriteFileAtomically(list_, list, 0600, Durability::kVolatile));
  }

  // After a first round, since some things are made once and stay.
  void TakeBaselines() {
    const Words down = {"down", "-v", "-t", "0"};
    for (const FaultVerb& verb : verbs_) {
      Succeed(verb.project_stands ? Words{"up", "-d"} : down);
      Prepare(verb);
      EXPECT_FALSE(Run(verb, "")) << verb.name;
      Repair(verb);
    }
    Succeed(down);
    for (int round = 0; round < 2; ++round) {
      Succeed({"up", "-d"});
      std::filesystem::remove_all(directory() + "/root/seccomp");
      standing_ = Count();
      Succeed(down);
      EXPECT_TRUE(Eventually([&] {
        nothing_ = Count();
        return nothing_.counts.at("process") == 0 && nothing_.counts.at("link") <= 1;
      }));
    }
  }

  void Prepare(const FaultVerb& verb) {
    for (const Words& words : verb.before) {
      const bool damaged = *verb.damage != '\0' && &words == &verb.before.back();
      if (damaged) Arm(verb.damage);
      const Outcome outcome = Skiff(words);
      if (damaged) Arm("");
      EXPECT_EQ(outcome.ok(), !damaged) << ::testing::PrintToString(words) << outcome;
    }
    verb.arrange(directory());
  }

  // The verb with `spec` armed. True when it failed.
  bool Run(const FaultVerb& verb, const std::string& spec) {
    Arm(spec);
    ProcessOptions options;
    options.environment = verb.environment;
    const Outcome outcome = Skiff(verb.words, options, 20s);
    Arm("");
    return !outcome.ok();
  }

  void Repair(const FaultVerb& verb) {
    const Outcome next = Skiff(verb.next);
    EXPECT_THAT(next, Succeeds()) << "the next command: " << next;
    const Outcome check = Skiff({"system", "check"});
    EXPECT_THAT(check, Succeeds()) << "after the next command: " << check;
    for (const Words& words : verb.after) Skiff(words);
    std::filesystem::remove_all(directory() + "/root/seccomp");
  }

  // Everything from the beginning, when a case has left something behind.
  void Reset() {
    Skiff({"down", "-v", "-t", "0", "--remove-orphans"});
    Skiff({"image", "rm", "extra:latest"});
    Skiff({"image", "rm", "built:latest"});
    Skiff({"builder", "prune", "-af"});
    Skiff({"network", "rm", "side"});
    Skiff({"system", "check", "--repair"});
  }

  void Case(const FaultVerb& verb, const std::string& point, const std::string& action) {
    SCOPED_TRACE(std::string(verb.name) + " with " + point + "=" + action);
    if (verb.project_stands != stands_) {
      Succeed(verb.project_stands ? Words{"up", "-d"} : Words{"down", "-v", "-t", "0"});
      stands_ = verb.project_stands;
    }
    Prepare(verb);
    if (Run(verb, point + "=" + action)) fired_.insert(point);
    Repair(verb);
    const std::string difference = DifferenceTo(stands_ ? standing_ : nothing_);
    EXPECT_EQ(difference, "");
    if (difference.empty()) return;
    Reset();
    stands_ = false;
  }

  // Long: every verb with all it passes, and in the middle of what happens more than once. Short:
  // what the everyday verbs pass, of the others what no verb before them did.
  static bool IsLong() { return std::getenv("SKIFF_LONG") != nullptr; }

  // Verb -> failpoint -> how often it is passed, by the verb and the monitors it speaks to.
  std::map<std::string, std::map<std::string, int>> Passed() {
    std::map<std::string, std::map<std::string, int>> passed;
    for (const FaultVerb& verb : verbs_) {
      if (verb.project_stands != stands_) {
        Succeed(verb.project_stands ? Words{"up", "-d"} : Words{"down", "-v", "-t", "0"});
        stands_ = verb.project_stands;
      }
      Prepare(verb);
      unlink(trace_.c_str());
      EXPECT_FALSE(Run(verb, "*=trace:" + trace_)) << verb.name;
      const auto trace = ReadFile(trace_);
      EXPECT_TRUE(trace) << verb.name;
      for (const std::string& name : Lines(trace.value_or(""))) ++passed[verb.name][name];
      Repair(verb);
      EXPECT_EQ(DifferenceTo(stands_ ? standing_ : nothing_), "") << verb.name;
    }
    return passed;
  }

  std::string list_, trace_;
  std::vector<FaultVerb> verbs_;
  std::set<std::string> names_, fired_;
  Census standing_, nothing_;
  bool stands_ = false;
};

TEST_F(FailpointsTest, TheNextCommandRepairsWhateverStepOfACommandFailsOrKills) {
  const auto passed = Passed();
  std::set<std::string> reached;
  size_t cases = 0;
  for (const FaultVerb& verb : verbs_) {
    const auto points = passed.find(verb.name);
    if (points == passed.end()) continue;
    size_t tried = 0;
    for (const auto& [point, passes] : points->second) {
      const bool known = !reached.insert(point).second;
      if (!verb.everyday && known && !IsLong()) continue;
      ++tried;
      for (const std::string action : {"error", "kill"}) {
        Case(verb, point, action);
        ++cases;
        if (!IsLong() || passes < 2) continue;
        Case(verb, point, action + "@2");
        ++cases;
      }
    }
    std::printf("%s: passes %zu failpoints, %zu tried\n", verb.name, points->second.size(), tried);
  }
  std::printf("%zu cases, %zu of %zu failpoints\n", cases, reached.size(), names_.size());
  if (std::getenv("SKIFF_FAULT_VERB") != nullptr) return;
  // Passed where no trace can be written: by a confined process. There it shows in the outcome.
  for (const FaultVerb& verb : verbs_) {
    if (std::string_view(verb.name) != "import") continue;
    for (const char* action : {"error", "kill"}) Case(verb, "transfer.unpack", action);
    if (fired_.contains("transfer.unpack")) reached.insert("transfer.unpack");
  }
  for (const std::string& name : names_) {
    if (const auto why = kElsewhere.find(name); why != kElsewhere.end()) {
      std::printf("%s: %s\n", name.c_str(), why->second);
      continue;
    }
    EXPECT_TRUE(reached.contains(name)) << name << " is passed by no verb";
  }
}

}  // namespace
}  // namespace skiff::e2e
