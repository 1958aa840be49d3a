#include "cli/help.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"
#include "cli/completion.h"

namespace skiff::cli {
namespace {

TEST(Help, ShowsFlagsAliasesAndExamples) {
  EXPECT_EQ(CommandHelp(*FindCommand(ComposeGroup(), "kill"), "skiff kill", "skiff"),
            R"(Usage:  skiff kill [OPTIONS] [SERVICE...]

Force stop service containers

Options:
      --remove-orphans   Remove containers for services not defined in the
                         Compose file
  -s, --signal string    SIGNAL to send to the container (default "SIGKILL")
      --help             Print this text

Examples:
  skiff kill -s HUP web
)");
  const std::string rm =
      CommandHelp(*FindCommand(*FindNoun("image"), "rm"), "docker image rm", "docker");
  EXPECT_NE(rm.find("Aliases:\n  docker image rm, docker image remove\n"), std::string::npos);
}

std::vector<const Group*> AllGroups() {
  std::vector<const Group*> groups = {&ComposeGroup(), &DockerGroup()};
  for (const Group& noun : NounGroups()) groups.push_back(&noun);
  return groups;
}

void CheckFlags(std::span<const Flag> flags, std::string_view where) {
  std::set<std::string_view> names;
  std::set<char> letters;
  for (const Flag& flag : flags) {
    EXPECT_TRUE(names.insert(flag.name).second) << where << " --" << flag.name;
    if (flag.letter != 0) {
      EXPECT_TRUE(letters.insert(flag.letter).second) << where << " -" << flag.letter;
    }
    EXPECT_FALSE(flag.kind == FlagKind::kNumber && !flag.fallback.empty() &&
                 !ParseNumber<int64_t>(flag.fallback))
        << where << " --" << flag.name;
  }
}

TEST(Tables, AreComplete) {
  for (const Group* group : AllGroups()) {
    std::set<std::string_view> names;
    for (std::string_view name : CommandNames(*group, true)) {
      EXPECT_TRUE(names.insert(name).second) << group->name << ' ' << name;
    }
    for (const Command& command : group->commands) {
      EXPECT_NE(command.run, nullptr) << command.name;
      EXPECT_FALSE(command.summary.empty()) << command.name;
      EXPECT_EQ(command.flags.back().name, "help") << command.name;
      CheckFlags(command.flags, command.name);
    }
  }
  CheckFlags(GlobalFlags(), "global");
  CheckFlags(DockerGlobalFlags(), "docker");
}

TEST(Tables, HaveTheVerbsOfDockerCompose) {
  for (const char* verb :
       {"up",      "down",   "ps",      "logs",    "exec", "run",    "config", "plan",
        "start",   "stop",   "restart", "kill",    "rm",   "scale",  "port",   "ls",
        "version", "create", "pause",   "unpause", "wait", "images", "volumes"}) {
    EXPECT_NE(FindCommand(ComposeGroup(), verb), nullptr) << verb;
  }
  EXPECT_EQ(FindCommand(ComposeGroup(), "convert"), FindCommand(ComposeGroup(), "config"));
  EXPECT_EQ(FindCommand(ComposeGroup(), "bogus"), nullptr);
}

TEST(Completion, NamesEveryVerb) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = CompletionScript(shell);
    ASSERT_TRUE(script);
    for (const Command& command : ComposeGroup().commands) {
      EXPECT_NE(script->find(std::string(command.name)), std::string::npos)
          << shell << command.name;
    }
    EXPECT_NE(script->find("force-recreate"), std::string::npos);
  }
  EXPECT_FALSE(CompletionScript("tcsh"));
}

TEST(ManualPage, HasItsSections) {
  const std::string page = ManualPage(FindCommand(ComposeGroup(), "up"));
  EXPECT_TRUE(page.starts_with(".TH SKIFF\\-up 1\n.SH NAME\nskiff\\-up \\- Create and start"));
  EXPECT_NE(page.find("\\fB\\-d\\fR, \\fB\\-\\-detach\\fR"), std::string::npos);
  EXPECT_NE(ManualPage(nullptr).find(".SH COMMANDS"), std::string::npos);
}

}  // namespace
}  // namespace skiff::cli
