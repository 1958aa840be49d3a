#include "base/text.h"
#include "builder/dockerfile.h"
#include "builder/syntax/body.h"
#include "builder/syntax/characters.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

Instruction Describe(Statement statement) {
  Instruction instruction;
  instruction.keyword = statement.keyword.word();
  const std::string& text = statement.line->text();
  instruction.span = statement.line->Span(0, text.size());
  instruction.text = TrimTrailingSpace(TrimLeadingSpace(text));
  instruction.lines = statement.lines;
  instruction.comments = std::move(statement.comments);
  instruction.empty_continuation_line = statement.empty_continuation_line;
  return instruction;
}

// Puts instructions where they belong.
class Collector {
 public:
  Collector(Dockerfile& file, Diagnostics& diagnostics) : file_(file), diagnostics_(diagnostics) {}

  void Add(Instruction instruction) {
    if (std::holds_alternative<FromInstruction>(instruction.body)) {
      file_.stages.push_back({std::move(instruction), {}});
    } else if (!file_.stages.empty()) {
      file_.stages.back().instructions.push_back(std::move(instruction));
    } else if (std::holds_alternative<ArgInstruction>(instruction.body)) {
      file_.global_arguments.push_back(std::move(instruction));
    } else if (!stray_reported_) {
      stray_reported_ = true;
      diagnostics_.AddError(Error(Code::kInvalidArgument, "no build stage in current context")
                                .At(instruction.keyword.span)
                                .With("only ARG can stand before the first FROM"));
    }
  }

 private:
  Dockerfile& file_;
  Diagnostics& diagnostics_;
  bool stray_reported_ = false;
};

void CheckNotEmpty(const Dockerfile& file, const StatementReader& reader, std::string_view text,
                   bool any_statement, Diagnostics& diagnostics) {
  const auto refuse = [&](const char* message) {
    diagnostics.AddError(Error(Code::kInvalidArgument, message).At({file.file, 0, 0}));
  };
  if (text.empty()) return refuse("the Dockerfile cannot be empty");
  if (!any_statement && !diagnostics.HasErrors()) {
    return refuse(reader.saw_comment() ? "file with no instructions: it has only comments"
                                       : "file with no instructions");
  }
  if (file.stages.empty() && !diagnostics.HasErrors()) {
    refuse("dockerfile contains no stages to build");
  }
}

}  // namespace

Dockerfile ParseDockerfile(const SourceMap& sources, uint32_t file_index,
                           Diagnostics& diagnostics) {
  Dockerfile file;
  file.file = file_index;
  const std::string_view text = sources.File(file_index).text();
  StatementReader reader(text, {file_index, std::nullopt}, true);
  Collector collector(file, diagnostics);
  bool any_statement = false;
  while (auto statement = reader.Next(diagnostics)) {
    any_statement = true;
    auto body = ParseBody(*statement, reader.escape());
    if (!body) {
      diagnostics.AddError(std::move(body.error()));
      // An unfinished FROM still begins a stage, so that what follows is not called stray.
      if (!EqualsIgnoreCase(statement->keyword.text(), "FROM")) continue;
      body = FromInstruction{};
    }
    Instruction instruction = Describe(std::move(*statement));
    instruction.body = std::move(*body);
    collector.Add(std::move(instruction));
  }
  file.escape = reader.escape();
  file.syntax = reader.syntax();
  file.check = reader.check();
  CheckNotEmpty(file, reader, text, any_statement, diagnostics);
  return file;
}

Result<Instruction> ParseTrigger(std::string_view trigger, SourceSpan place, LineRange lines) {
  Diagnostics diagnostics;
  StatementReader reader(trigger, {SourceSpan::kNoFile, place}, false);
  auto statement = reader.Next(diagnostics);
  if (!statement) return Mistake("onbuild trigger should be a single expression", place);
  const bool more = reader.Next(diagnostics).has_value();
  if (diagnostics.HasErrors()) return Fail(diagnostics.list().front().error);
  if (more) return Mistake("onbuild trigger should be a single expression", place);
  SKIFF_ASSIGN(InstructionBody body, ParseBody(*statement, reader.escape()));
  if (std::holds_alternative<FromInstruction>(body)) {
    return Mistake("FROM isn't allowed as an ONBUILD trigger", place);
  }
  Instruction instruction = Describe(std::move(*statement));
  instruction.lines = lines;
  instruction.body = std::move(body);
  return instruction;
}

}  // namespace skiff::builder
