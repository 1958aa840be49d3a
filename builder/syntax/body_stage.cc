// FROM, ARG, ONBUILD and HEALTHCHECK.
#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "base/units.h"
#include "builder/syntax/body.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

bool IsStageName(std::string_view name) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && is_letter(name[0]) && std::ranges::all_of(name, [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

// What a comment "NAME text" says about `name`.
std::string DescriptionOf(std::string_view name, const std::vector<std::string>& comments) {
  if (name.empty()) return "";
  for (const std::string_view comment : comments) {
    if (comment.starts_with(name) && comment.substr(name.size()).starts_with(' ')) {
      return std::string(comment.substr(name.size() + 1));
    }
  }
  return "";
}

}  // namespace

Result<InstructionBody> ParseFrom(const Statement& statement, char) {
  const std::vector<Word> words = SplitAtBlanks(statement.rest);
  FromInstruction from;
  if (words.size() == 3 && EqualsIgnoreCase(words[1].text, "AS")) {
    from.name = {ToLower(words[2].text), words[2].span};
    from.as_keyword = words[1].text;
    from.written_name = words[2].text;
    if (!IsStageName(from.name.text)) {
      return Mistake("invalid name for build stage: \"" + words[2].text +
                         "\", name can't start with a number or contain symbols",
                     words[2].span);
    }
  } else if (words.size() != 1) {
    return Mistake("FROM requires either one or three arguments",
                   words.empty() ? statement.keyword.word().span : statement.rest.word().span);
  }
  SKIFF_ASSIGN(const Flags flags, Flags::Parse(statement.flags, {{"platform", FlagType::kText}}));
  from.image = words[0];
  from.platform = flags.Text("platform");
  if (from.platform && from.platform->text.empty()) from.platform.reset();
  from.description = DescriptionOf(from.name.text, statement.comments);
  return from;
}

Result<InstructionBody> ParseArg(const Statement& statement, char escape) {
  ArgInstruction arg;
  for (const Piece& word : SplitQuotedWords(statement.rest, escape)) {
    ArgDefinition definition;
    const size_t equals = word.text().find('=');
    if (equals == 0) return Mistake("ARG names can not be blank", word.word().span);
    if (equals == std::string_view::npos) {
      definition.name = word.word();
    } else {
      definition.name = Piece{word.line, word.begin, word.begin + equals}.word();
      definition.value = Piece{word.line, word.begin + equals + 1, word.end}.word();
    }
    definition.description = DescriptionOf(definition.name.text, statement.comments);
    arg.definitions.push_back(std::move(definition));
  }
  if (arg.definitions.empty()) return NeedsArgument(statement, "ARG");
  return arg;
}

namespace {

// What is wrong with an instruction even before it is triggered.
Status CheckTriggerForm(Piece keyword, Piece rest, char escape) {
  const std::string word = ToLower(keyword.text());
  if (word == "env" || word == "label") {
    auto pairs = ParsePairs(rest, escape, word == "env" ? "ENV" : "LABEL");
    // A blank name is looked at when the trigger runs.
    if (!pairs && !pairs.error().message.ends_with("can not be blank")) {
      return Fail(std::move(pairs.error()));
    }
  }
  for (const std::string_view command : {"run", "cmd", "entrypoint", "shell"}) {
    if (word == command) SKIFF_TRY(CommandArguments(rest));
  }
  for (const std::string_view list : {"add", "copy", "volume"}) {
    if (word == list) SKIFF_TRY(ListArguments(rest));
  }
  return {};
}

}  // namespace

Result<InstructionBody> ParseOnbuild(const Statement& statement, char escape) {
  if (statement.rest.empty()) return NeedsArgument(statement, "ONBUILD");
  SKIFF_TRY(Flags::Parse(statement.flags, {}));
  const Head head = SplitHead(statement.rest);
  const Word keyword = head.word.word();
  if (EqualsIgnoreCase(keyword.text, "ONBUILD")) {
    return Mistake("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", keyword.span);
  }
  for (const std::string_view refused : {"MAINTAINER", "FROM"}) {
    if (EqualsIgnoreCase(keyword.text, refused)) {
      return Mistake(std::string(refused) + " isn't allowed as an ONBUILD trigger", keyword.span);
    }
  }
  SKIFF_TRY(CheckTriggerForm(head.word, SplitFlags(head.rest, escape).rest, escape));
  OnbuildInstruction onbuild;
  onbuild.trigger = statement.line->text().substr(statement.rest.begin);
  for (const HereDocument& document : statement.documents) {
    onbuild.trigger += "\n" + document.content + document.name;
  }
  return onbuild;
}

namespace {

Status ReadInterval(const Flags& flags, const std::string& name, engine::Nanoseconds& out) {
  const auto value = flags.Text(name);
  if (!value || value->text.empty()) return {};
  const auto duration = ParseDuration(value->text);
  if (!duration) return Mistake("invalid duration '" + value->text + "'", value->span);
  if (duration->count() != 0 && *duration < std::chrono::milliseconds(1)) {
    return Mistake("Interval \"" + name + "\" cannot be less than 1ms", value->span);
  }
  out = *duration;
  return {};
}

Status ReadRetries(const Flags& flags, engine::Healthcheck& check) {
  const auto value = flags.Text("retries");
  if (!value || value->text.empty()) return {};
  const auto retries = ParseNumber<int>(value->text);
  if (!retries) return Mistake("invalid --retries '" + value->text + "'", value->span);
  if (*retries < 0) {
    return Mistake("--retries cannot be negative (" + value->text + ")", value->span);
  }
  check.retries = *retries;
  return {};
}

}  // namespace

Result<InstructionBody> ParseHealthcheck(const Statement& statement, char) {
  if (statement.rest.empty()) return NeedsArgument(statement, "HEALTHCHECK");
  const Head head = SplitHead(statement.rest);
  engine::Healthcheck check;
  SKIFF_ASSIGN(const Arguments command, CommandArguments(head.rest));
  if (EqualsIgnoreCase(head.word.text(), "NONE")) {
    if (!command.words.empty()) {
      return Mistake("HEALTHCHECK NONE takes no arguments", head.rest.word().span);
    }
    check.test = {"NONE"};
    return HealthcheckInstruction{std::move(check)};
  }
  SKIFF_ASSIGN(const Flags flags,
               Flags::Parse(statement.flags, {{"interval", FlagType::kText},
                                              {"timeout", FlagType::kText},
                                              {"start-period", FlagType::kText},
                                              {"start-interval", FlagType::kText},
                                              {"retries", FlagType::kText}}));
  if (!EqualsIgnoreCase(head.word.text(), "CMD")) {
    return Mistake(
        "Unknown type \"" + std::string(head.word.text()) + "\" in HEALTHCHECK (try CMD)",
        head.word.word().span);
  }
  if (command.words.empty()) {
    return Mistake("Missing command after HEALTHCHECK CMD", head.word.word().span);
  }
  check.test = {command.json ? "CMD" : "CMD-SHELL"};
  for (const Word& word : command.words) check.test.push_back(word.text);
  SKIFF_TRY(ReadInterval(flags, "interval", check.interval));
  SKIFF_TRY(ReadInterval(flags, "timeout", check.timeout));
  SKIFF_TRY(ReadInterval(flags, "start-period", check.start_period));
  SKIFF_TRY(ReadInterval(flags, "start-interval", check.start_interval));
  SKIFF_TRY(ReadRetries(flags, check));
  return HealthcheckInstruction{std::move(check)};
}

}  // namespace skiff::builder
