// RUN, COPY and ADD.
#include "builder/syntax/body.h"
#include "builder/syntax/csv.h"
#include "builder/syntax/heredoc.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

Result<MountFlag> ReadMount(const Word& word) {
  MountFlag mount{word, ""};
  auto options = SplitOptions(word.text);
  if (!options) {
    return Mistake("failed to parse csv mounts: " + options.error().message, word.span);
  }
  for (const Option& option : *options) {
    if (option.key != "from" || !option.value) continue;
    const size_t dollar = option.value->find('$');
    if (dollar != std::string::npos && dollar + 1 != option.value->size()) {
      return Mistake("'from' doesn't support variable expansion, define alias stage instead",
                     word.span);
    }
    mount.from = *option.value;
  }
  return mount;
}

Status SetDeviceOption(const Option& option, Device& device) {
  const auto refuse = [](std::string message) {
    return Fail(Code::kInvalidArgument, std::move(message));
  };
  if (option.key == "required") {
    const auto truth = option.value ? ParseTruth(*option.value) : true;
    if (!truth) return refuse("invalid value for required: " + *option.value);
    device.required = *truth;
    return {};
  }
  if (option.key == "name" && option.value) {
    if (!device.name.empty()) return refuse("device name already set to " + device.name);
    device.name = *option.value;
    return {};
  }
  if (device.name.empty()) {
    device.name = option.field;
    return {};
  }
  if (!option.value) return refuse("invalid field '" + option.field + "' must be a key=value pair");
  return refuse("unexpected key '" + option.key + "' in '" + option.field + "'" +
                Suggestion(option.key, {"name", "required"}));
}

Result<Device> ReadDevice(const Word& word) {
  Device device;
  auto options = SplitOptions(word.text);
  if (!options) {
    return Mistake("failed to parse csv devices: " + options.error().message, word.span);
  }
  for (const Option& option : *options) {
    const Status set = SetDeviceOption(option, device);
    if (!set) return Mistake(set.error().message, word.span);
  }
  return device;
}

Status ReadNetwork(const Flags& flags, NetworkMode& out) {
  const auto word = flags.Text("network");
  if (!word || word->text == "default") return {};
  if (word->text == "none") {
    out = NetworkMode::kNone;
  } else if (word->text == "host") {
    out = NetworkMode::kHost;
  } else {
    return Mistake("invalid network mode \"" + word->text + "\"" +
                       Suggestion(word->text, {"default", "none", "host"}),
                   word->span);
  }
  return {};
}

Status ReadSecurity(const Flags& flags, SecurityMode& out) {
  const auto word = flags.Text("security");
  if (!word || word->text == "sandbox") return {};
  if (word->text != "insecure") {
    return Mistake("security \"" + word->text + "\" is not valid" +
                       Suggestion(word->text, {"sandbox", "insecure"}),
                   word->span);
  }
  out = SecurityMode::kInsecure;
  return {};
}

}  // namespace

Result<InstructionBody> ParseRun(const Statement& statement, char) {
  SKIFF_ASSIGN(const Flags flags, Flags::Parse(statement.flags, {{"mount", FlagType::kList},
                                                                 {"device", FlagType::kList},
                                                                 {"network", FlagType::kText},
                                                                 {"security", FlagType::kText}}));
  SKIFF_ASSIGN(Arguments arguments, CommandArguments(statement.rest));
  RunInstruction run;
  run.command = {std::move(arguments.words), arguments.json, statement.documents};
  for (const Word& word : flags.List("device")) {
    SKIFF_ASSIGN(Device device, ReadDevice(word));
    run.devices.push_back(std::move(device));
  }
  for (const Word& word : flags.List("mount")) {
    SKIFF_ASSIGN(MountFlag mount, ReadMount(word));
    run.mounts.push_back(std::move(mount));
  }
  SKIFF_TRY(ReadNetwork(flags, run.network));
  SKIFF_TRY(ReadSecurity(flags, run.security));
  return run;
}

namespace {

// Sources and destination: the last word is where to.
Status ReadPaths(const Statement& statement, std::vector<Word> words, const std::string& keyword,
                 CopyInstruction& copy) {
  copy.destination = std::move(words.back());
  words.pop_back();
  if (ParseHereDocument(copy.destination.text)) {
    return Mistake(keyword + " cannot accept a heredoc as a destination", copy.destination.span);
  }
  for (Word& word : words) {
    const auto mark = ParseHereDocument(word.text);
    if (!mark) {
      copy.sources.push_back(std::move(word));
      continue;
    }
    InlineFile file{mark->name, "", mark->expand, word.span};
    for (const HereDocument& document : statement.documents) {
      if (document.name != mark->name) continue;
      file.content = mark->strip_tabs ? StripLeadingTabs(document.content) : document.content;
    }
    copy.files.push_back(std::move(file));
  }
  return {};
}

Result<CopyInstruction> ReadCopy(const Statement& statement, const std::string& keyword,
                                 std::vector<FlagSpec> known) {
  SKIFF_ASSIGN(Arguments arguments, ListArguments(statement.rest));
  if (arguments.words.size() < 2) {
    return Mistake(
        keyword +
            " requires at least two arguments, but only one was provided. Destination "
            "could not be determined",
        arguments.words.empty() ? statement.keyword.word().span : statement.rest.word().span);
  }
  known.insert(known.end(), {{"chown", FlagType::kText},
                             {"chmod", FlagType::kText},
                             {"link", FlagType::kBool},
                             {"exclude", FlagType::kList}});
  SKIFF_ASSIGN(const Flags flags, Flags::Parse(statement.flags, known));
  CopyInstruction copy;
  SKIFF_TRY(ReadPaths(statement, std::move(arguments.words), keyword, copy));
  copy.from = flags.Text("from");
  if (copy.from && copy.from->text.empty()) copy.from.reset();
  copy.owner = flags.Text("chown");
  copy.mode = flags.Text("chmod");
  copy.checksum = flags.Text("checksum");
  copy.link = flags.True("link");
  copy.parents = flags.True("parents");
  copy.keep_git_dir = flags.Bool("keep-git-dir");
  copy.unpack = flags.Bool("unpack");
  copy.excludes = flags.List("exclude");
  return copy;
}

}  // namespace

Result<InstructionBody> ParseCopy(const Statement& statement, char) {
  SKIFF_ASSIGN(
      CopyInstruction copy,
      ReadCopy(statement, "COPY", {{"from", FlagType::kText}, {"parents", FlagType::kBool}}));
  return copy;
}

Result<InstructionBody> ParseAdd(const Statement& statement, char) {
  SKIFF_ASSIGN(CopyInstruction copy, ReadCopy(statement, "ADD",
                                              {{"keep-git-dir", FlagType::kBool},
                                               {"checksum", FlagType::kText},
                                               {"unpack", FlagType::kBool}}));
  copy.is_add = true;
  return copy;
}

}  // namespace skiff::builder
