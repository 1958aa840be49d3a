#include "cli/completion.h"

#include <fmt/format.h>

#include "base/text.h"

namespace skiff::cli {
namespace {

// "-d --detach": words of the flags people are shown.
std::string FlagWords(std::span<const Flag> flags) {
  std::string out;
  for (const Flag& flag : flags) {
    if (flag.help.empty()) continue;
    if (flag.letter != 0) out += fmt::format("-{} ", flag.letter);
    out += fmt::format("--{} ", flag.name);
  }
  return out;
}

// Flags that take the next word, for finding the verb in a line.
std::string ValueFlagPattern() {
  std::string out;
  for (const Flag& flag : GlobalFlags()) {
    if (flag.kind == FlagKind::kBool) continue;
    if (!out.empty()) out += '|';
    if (flag.letter != 0) out += fmt::format("-{}|", flag.letter);
    out += fmt::format("--{}", flag.name);
  }
  return out;
}

std::string NameWords(const Group& group) {
  std::string out;
  for (std::string_view name : CommandNames(group, false)) out += fmt::format("{} ", name);
  return out;
}

std::string BashScript() {
  std::string cases;
  for (const Command& command : ComposeGroup().commands) {
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command.name, FlagWords(command.flags));
  }
  std::string nouns;
  for (const Group& noun : NounGroups()) {
    nouns += fmt::format("{} ", noun.name);
    cases += fmt::format("    {}) words=\"{}\" ;;\n", noun.name, NameWords(noun));
  }
  return fmt::format(R"sh(# bash completion for skiff
_skiff() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" verb="" words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${{COMP_WORDS[i]}}" in
      {}) i=$((i + 1)) ;;
      -*) ;;
      *) verb="${{COMP_WORDS[i]}}"; break ;;
    esac
  done
  case "$verb" in
    "") words="{}{}docker compose {}" ;;
{}    *) words="" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "$verb" ] && [ "${{current#-}}" = "$current" ]; then
    case "$verb" in
      up|ps|logs|exec|run|start|stop|restart|kill|rm|create|pause|unpause|wait|port|plan)
        COMPREPLY+=($(compgen -W "$(skiff config --services 2>/dev/null)" -- "$current")) ;;
    esac
  fi
}}
complete -F _skiff skiff
)sh",
                     ValueFlagPattern(), NameWords(ComposeGroup()), nouns, FlagWords(GlobalFlags()),
                     cases);
}

std::string ZshScript() {
  return "#compdef skiff\nautoload -U +X bashcompinit && bashcompinit\n" + BashScript();
}

std::string FishEscape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string FishScript() {
  std::string out = "# fish completion for skiff\ncomplete -c skiff -f\n";
  for (const Command& command : ComposeGroup().commands) {
    out += fmt::format("complete -c skiff -n __fish_use_subcommand -a {} -d '{}'\n", command.name,
                       FishEscape(command.summary));
    for (const Flag& flag : command.flags) {
      if (flag.help.empty()) continue;
      out += fmt::format(
          "complete -c skiff -n '__fish_seen_subcommand_from {}' -l {}{}{} -d '{}'\n", command.name,
          flag.name, flag.letter != 0 ? fmt::format(" -s {}", flag.letter) : "",
          flag.kind == FlagKind::kBool ? "" : " -r", FishEscape(flag.help));
    }
  }
  for (const Group& noun : NounGroups()) {
    out += fmt::format("complete -c skiff -n __fish_use_subcommand -a {} -d '{}'\n", noun.name,
                       FishEscape(noun.summary));
    out += fmt::format("complete -c skiff -n '__fish_seen_subcommand_from {}' -a '{}'\n", noun.name,
                       NameWords(noun));
  }
  return out;
}

std::string Roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string RoffFlags(std::span<const Flag> flags) {
  std::string out = ".SH OPTIONS\n";
  for (const Flag& flag : flags) {
    if (flag.help.empty()) continue;
    out += ".TP\n";
    if (flag.letter != 0) out += fmt::format("\\fB\\-{}\\fR, ", flag.letter);
    out += fmt::format("\\fB\\-\\-{}\\fR", Roff(flag.name));
    if (!flag.value.empty()) out += fmt::format(" \\fI{}\\fR", Roff(flag.value));
    out += '\n' + Roff(flag.help) + '\n';
  }
  return out;
}

}  // namespace

Result<std::string> CompletionScript(std::string_view shell) {
  if (shell == "bash") return BashScript();
  if (shell == "zsh") return ZshScript();
  if (shell == "fish") return FishScript();
  return Fail(Error(Code::kInvalidArgument, fmt::format("unknown shell '{}'", shell))
                  .With("use bash, zsh or fish"));
}

std::string ManualPage(const Command* command) {
  if (command == nullptr) {
    std::string out = ".TH SKIFF 1\n.SH NAME\nskiff \\- " + Roff(ComposeGroup().summary) +
                      "\n.SH SYNOPSIS\n\\fBskiff\\fR [OPTIONS] COMMAND\n.SH COMMANDS\n";
    for (const Command& each : ComposeGroup().commands) {
      out += fmt::format(".TP\n\\fB{}\\fR {}\n{}\n", each.name, Roff(each.operands),
                         Roff(each.summary));
    }
    for (const Group& noun : NounGroups()) {
      out += fmt::format(".TP\n\\fB{}\\fR COMMAND\n{}\n", noun.name, Roff(noun.summary));
    }
    return out + RoffFlags(GlobalFlags());
  }
  std::string out = fmt::format(
      ".TH SKIFF\\-{} 1\n.SH NAME\nskiff\\-{} \\- {}\n.SH SYNOPSIS\n\\fBskiff {}\\fR [OPTIONS] "
      "{}\n",
      command->name, command->name, Roff(command->summary), command->name, Roff(command->operands));
  out += RoffFlags(command->flags);
  if (command->examples.empty()) return out;
  out += ".SH EXAMPLES\n.nf\n";
  for (std::string_view line : Split(command->examples, '\n')) {
    out += "skiff " + Roff(line) + '\n';
  }
  return out + ".fi\n";
}

}  // namespace skiff::cli
