#include "builder/syntax/body.h"

#include <algorithm>

#include "base/text.h"
#include "builder/syntax/characters.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

using Parser = Result<InstructionBody> (*)(const Statement&, char escape);

Status NoFlags(const Statement& statement) {
  SKIFF_TRY(Flags::Parse(statement.flags, {}));
  return {};
}

Result<Word> OneArgument(const Statement& statement, const std::string& keyword) {
  if (!statement.rest.empty()) return statement.rest.word();
  return Mistake(keyword + " requires exactly one argument", statement.keyword.word().span);
}

Result<InstructionBody> ParseEnv(const Statement& statement, char escape) {
  SKIFF_TRY(NoFlags(statement));
  SKIFF_ASSIGN(auto pairs, ParsePairs(statement.rest, escape, "ENV"));
  if (pairs.empty()) return NeedsArgument(statement, "ENV");
  return EnvInstruction{std::move(pairs)};
}

Result<InstructionBody> ParseLabel(const Statement& statement, char escape) {
  SKIFF_TRY(NoFlags(statement));
  SKIFF_ASSIGN(auto pairs, ParsePairs(statement.rest, escape, "LABEL"));
  if (pairs.empty()) return NeedsArgument(statement, "LABEL");
  return LabelInstruction{std::move(pairs)};
}

template <typename Body>
Result<InstructionBody> ParseCommand(const Statement& statement, char) {
  SKIFF_TRY(NoFlags(statement));
  SKIFF_ASSIGN(Arguments arguments, CommandArguments(statement.rest));
  return Body{{std::move(arguments.words), arguments.json, {}}};
}

Result<InstructionBody> ParseShell(const Statement& statement, char) {
  SKIFF_TRY(NoFlags(statement));
  SKIFF_ASSIGN(Arguments arguments, CommandArguments(statement.rest));
  if (arguments.words.empty()) return NeedsArgument(statement, "SHELL");
  if (!arguments.json) {
    return Mistake("SHELL requires the arguments to be in JSON form", statement.rest.word().span);
  }
  return ShellInstruction{std::move(arguments.words)};
}

Result<InstructionBody> ParseWorkdir(const Statement& statement, char) {
  SKIFF_ASSIGN(Word path, OneArgument(statement, "WORKDIR"));
  SKIFF_TRY(NoFlags(statement));
  return WorkdirInstruction{std::move(path)};
}

Result<InstructionBody> ParseUser(const Statement& statement, char) {
  SKIFF_ASSIGN(Word user, OneArgument(statement, "USER"));
  SKIFF_TRY(NoFlags(statement));
  return UserInstruction{std::move(user)};
}

Result<InstructionBody> ParseStopSignal(const Statement& statement, char) {
  SKIFF_ASSIGN(Word signal, OneArgument(statement, "STOPSIGNAL"));
  return StopSignalInstruction{std::move(signal)};
}

Result<InstructionBody> ParseMaintainer(const Statement& statement, char) {
  SKIFF_ASSIGN(Word author, OneArgument(statement, "MAINTAINER"));
  SKIFF_TRY(NoFlags(statement));
  return MaintainerInstruction{std::move(author)};
}

Result<InstructionBody> ParseExpose(const Statement& statement, char) {
  std::vector<Word> ports = SplitAtBlanks(statement.rest);
  if (ports.empty()) return NeedsArgument(statement, "EXPOSE");
  SKIFF_TRY(NoFlags(statement));
  std::sort(ports.begin(), ports.end(),
            [](const Word& a, const Word& b) { return a.text < b.text; });
  return ExposeInstruction{std::move(ports)};
}

Result<InstructionBody> ParseVolume(const Statement& statement, char) {
  SKIFF_ASSIGN(Arguments arguments, ListArguments(statement.rest));
  if (arguments.words.empty()) return NeedsArgument(statement, "VOLUME");
  SKIFF_TRY(NoFlags(statement));
  for (Word& path : arguments.words) {
    path.text = TrimTrailingSpace(TrimLeadingSpace(path.text));
    if (path.text.empty()) {
      return Mistake("VOLUME specified can not be an empty string", path.span);
    }
  }
  return VolumeInstruction{std::move(arguments.words)};
}

struct Row {
  std::string_view keyword;
  Parser parse;
};
constexpr Row kParsers[] = {
    {"ADD", ParseAdd},
    {"ARG", ParseArg},
    {"CMD", ParseCommand<CmdInstruction>},
    {"COPY", ParseCopy},
    {"ENTRYPOINT", ParseCommand<EntrypointInstruction>},
    {"ENV", ParseEnv},
    {"EXPOSE", ParseExpose},
    {"FROM", ParseFrom},
    {"HEALTHCHECK", ParseHealthcheck},
    {"LABEL", ParseLabel},
    {"MAINTAINER", ParseMaintainer},
    {"ONBUILD", ParseOnbuild},
    {"RUN", ParseRun},
    {"SHELL", ParseShell},
    {"STOPSIGNAL", ParseStopSignal},
    {"USER", ParseUser},
    {"VOLUME", ParseVolume},
    {"WORKDIR", ParseWorkdir},
};

std::string ToUpper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
  }
  return out;
}

}  // namespace

tl::unexpected<Error> NeedsArgument(const Statement& statement, const std::string& keyword) {
  return Mistake(keyword + " requires at least one argument", statement.keyword.word().span);
}

Result<InstructionBody> ParseBody(const Statement& statement, char escape) {
  const std::string keyword = ToUpper(statement.keyword.text());
  std::vector<std::string_view> known;
  for (const Row& row : kParsers) {
    if (row.keyword == keyword) return row.parse(statement, escape);
    known.push_back(row.keyword);
  }
  return Mistake(
      "unknown instruction: " + std::string(statement.keyword.text()) + Suggestion(keyword, known),
      statement.keyword.word().span);
}

Result<Arguments> CommandArguments(Piece rest) {
  if (rest.empty()) return Arguments{};
  JsonArray array = ParseJsonArray(rest);
  if (array.not_strings) {
    return Mistake("when using JSON array syntax, arrays must be comprised of strings only",
                   rest.word().span);
  }
  if (array.words) return Arguments{std::move(*array.words), true};
  return Arguments{{rest.word()}, false};
}

Result<Arguments> ListArguments(Piece rest) {
  JsonArray array = ParseJsonArray(rest);
  if (array.not_strings) {
    return Mistake("when using JSON array syntax, arrays must be comprised of strings only",
                   rest.word().span);
  }
  if (array.words) return Arguments{std::move(*array.words), true};
  return Arguments{SplitAtBlanks(rest), false};
}

Result<std::vector<KeyValue>> ParsePairs(Piece rest, char escape, const std::string& keyword) {
  std::vector<KeyValue> pairs;
  const std::vector<Piece> words = SplitQuotedWords(rest, escape);
  if (words.empty()) return pairs;
  if (words[0].text().find('=') == std::string_view::npos) {
    const Head head = SplitHead(rest);
    if (head.rest.empty()) {
      return Mistake(keyword + " must have two arguments", rest.word().span);
    }
    pairs.push_back({head.word.word(), head.rest.word(), true});
    return pairs;
  }
  for (const Piece& word : words) {
    const size_t equals = word.text().find('=');
    if (equals == std::string_view::npos) {
      return Mistake("Syntax error - can't find = in \"" + std::string(word.text()) +
                         "\". Must be of the form: name=value",
                     word.word().span);
    }
    if (equals == 0) return Mistake(keyword + " names can not be blank", word.word().span);
    pairs.push_back({Piece{word.line, word.begin, word.begin + equals}.word(),
                     Piece{word.line, word.begin + equals + 1, word.end}.word(), false});
  }
  return pairs;
}

}  // namespace skiff::builder
