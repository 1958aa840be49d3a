#include <algorithm>

#include "base/text.h"
#include "builder/plan/interpret.h"
#include "builder/plan/paths.h"
#include "builder/syntax/heredoc.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

// The first line of a script, for titles.
std::string Summary(std::string_view content) {
  const std::string_view text = Trim(content);
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return std::string(line) + (end == std::string_view::npos ? "" : "...");
}

std::string WithUpperKeyword(std::string text) {
  for (char& c : text) {
    if (c == ' ') break;
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
  }
  return text;
}

}  // namespace

// The command with its here-documents, before the shell is put in front.
Result<std::vector<std::string>> Interpreter::RunArguments(const RunInstruction& run,
                                                           RunStep& step) {
  std::vector<std::string> words;
  for (const Word& word : run.command.words) words.push_back(word.text);
  const std::vector<HereDocument>& documents = run.command.documents;
  if (documents.empty()) {
    if (run.command.exec_form) return words;
    return WithShell(Join(words, " "));
  }
  if (words.size() != 1 || run.command.exec_form) {
    return Mistake("a here-document needs a command in shell form", instruction_->span);
  }
  if (!ParseHereDocument(words[0])) {
    // The shell sees the here-documents as they were written.
    std::string text = words[0];
    for (const HereDocument& document : documents) {
      text += "\n" + document.content + document.name;
    }
    return WithShell(text);
  }
  const HereDocument& document = documents[0];
  const std::string content =
      document.strip_tabs ? StripLeadingTabs(document.content) : document.content;
  if (state_.image.platform.os == "windows" || !content.starts_with("#!")) {
    return WithShell(content);
  }
  step.script = Script{"/dev/pipes/" + document.name, content};
  return WithShell(step.script->path);
}

// "RUN |2 a=1 b=2 /bin/sh -c make # buildkit": build arguments in front, each at its first place.
std::string Interpreter::RunHistory(const std::vector<std::string>& arguments) const {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : state_.build_args) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  std::string text = "RUN ";
  if (!names.empty()) text += "|" + std::to_string(names.size()) + " ";
  for (const std::string_view name : names) {
    const std::string* value = state_.variables.Find(name);
    text += std::string(name) + "=";
    if (value != nullptr) {
      text += *value;
    } else {
      // Not a variable of the step; the last definition counts.
      for (const auto& [other, given] : state_.build_args) {
        if (other == name) text.replace(text.rfind('=') + 1, std::string::npos, given);
      }
    }
    text += " ";
  }
  return text + Join(arguments, " ") + " # buildkit";
}

Status Interpreter::Handle(const RunInstruction& run) {
  RunStep step;
  // Mounts first: their variables are those of the instruction, also when its command is wrong.
  SKIFF_ASSIGN(step.mounts, Mounts(run));
  SKIFF_ASSIGN(step.arguments, RunArguments(run, step));
  step.environment = state_.variables.AsList();
  step.working_dir = config().working_dir.empty() ? "/" : config().working_dir;
  step.user = state_.user;
  step.network = run.network;
  step.security = run.security;
  step.devices = run.devices;

  Environment shown = state_.variables;
  for (const Mount& mount : step.mounts) {
    if (mount.variable) shown.Set(*mount.variable, "****");
  }
  std::string text = instruction_->text;
  if (run.command.documents.size() == 1 && !run.command.words.empty() &&
      ParseHereDocument(run.command.words[0].text)) {
    text += " (" + Summary(run.command.documents[0].content) + ")";
  }
  const auto title = Expand(text, shown,
                            {.escape = planner_.file().escape,
                             .keep_quotes = true,
                             .keep_escapes = true,
                             .keep_unset = true});
  const std::string history = RunHistory(step.arguments);
  AddStep(std::move(step), WithUpperKeyword(title ? title->text : text));
  History(history, false);
  return {};
}

Status Interpreter::NoteSecret(Mount& mount, const MountFlag& flag) {
  if (mount.type == MountType::kSsh) {
    if (!mount.source.empty()) return Mistake("ssh does not support source", flag.options.span);
    if (mount.id.empty()) mount.id = "default";
    state_.notes.ssh.try_emplace(mount.id,
                                 OutlineNotes::Secret{mount.required, instruction_->lines});
    return {};
  }
  if (!mount.source.empty()) mount.id = mount.source;
  if (mount.id.empty()) mount.id = BaseName(mount.target);
  if (mount.target.empty() && !mount.variable) {
    mount.target = "/run/secrets/" + std::string(BaseName(mount.id));
  }
  mount.source.clear();
  state_.notes.secrets.try_emplace(mount.id,
                                   OutlineNotes::Secret{mount.required, instruction_->lines});
  return {};
}

Status Interpreter::PlaceMount(Mount& mount, const MountFlag& flag, StageState& source) {
  mount.from = mount.type == MountType::kCache ? Source(EmptySource{}) : Source(BuildContext{});
  if (!flag.from.empty()) {
    if (!source.dispatched) {
      return Mistake("cannot mount from stage \"" + flag.from + "\" to \"" + mount.target +
                         "\", stage needs to be defined before current command",
                     flag.options.span);
    }
    mount.from = source.is_image() ? source.source : Source(StageSource{source.index});
  }
  if (mount.type == MountType::kTmpfs) mount.from = EmptySource{};
  if (mount.type == MountType::kSecret || mount.type == MountType::kSsh) {
    return NoteSecret(mount, flag);
  }
  if (mount.type == MountType::kCache && mount.id.empty()) mount.id = CleanPath(mount.target);
  if (!mount.target.starts_with('/')) {
    const std::string dir = config().working_dir.empty() ? "/" : config().working_dir;
    mount.target = JoinPath(JoinPath("/", dir), mount.target);
  }
  if (mount.target == "/") return Mistake("invalid mount target \"/\"", flag.options.span);
  mount.source = JoinPath("/", mount.source);
  return {};
}

Result<std::vector<Mount>> Interpreter::Mounts(const RunInstruction& run) {
  std::vector<Mount> mounts;
  for (size_t i = 0; i < run.mounts.size(); ++i) {
    const MountFlag& flag = run.mounts[i];
    const auto value = [&](const std::string& text) { return Value({text, flag.options.span}); };
    SKIFF_ASSIGN(Mount mount, ParseMount(flag.options, value));
    mounts.push_back(std::move(mount));
  }
  for (size_t i = 0; i < mounts.size(); ++i) {
    SKIFF_TRY(PlaceMount(mounts[i], run.mounts[i], *command_->sources[i]));
  }
  return mounts;
}

}  // namespace skiff::builder
