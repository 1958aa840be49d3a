#include <algorithm>

#include "base/text.h"
#include "builder/ignore_file.h"
#include "builder/plan/interpret.h"
#include "builder/plan/paths.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

constexpr uint32_t kMaximumMode = 07777;

// u=rwX,go-w: clauses of who, operators and permissions, as for chmod(1).
bool IsSymbolicMode(std::string_view text) {
  if (text.empty()) return false;
  for (std::string_view clause : Split(text, ',')) {
    clause.remove_prefix(std::min(clause.find_first_not_of("ugoa"), clause.size()));
    if (clause.empty()) return false;
    while (!clause.empty()) {
      if (clause.find_first_of("+-=") != 0) return false;
      clause.remove_prefix(1);
      clause.remove_prefix(std::min(clause.find_first_not_of("rwxXstugo"), clause.size()));
    }
  }
  return true;
}

bool IsMode(const std::string& text) {
  if (const auto number = ParseNumber<uint32_t>(text, 8)) return *number <= kMaximumMode;
  return IsSymbolicMode(text);
}

bool IsNumbers(std::string_view owner) {
  return std::ranges::all_of(Split(owner, ':'), [](std::string_view part) {
    return part.empty() || ParseNumber<uint32_t>(part).has_value();
  });
}

std::string CopyHistory(const CopyInstruction& copy, const CopyStep& step,
                        const std::vector<std::string>& sources, const std::string& destination) {
  std::string text = step.is_add ? "ADD" : "COPY";
  if (step.parents) text += " --parents";
  if (!step.owner.empty()) text += " --chown=" + step.owner;
  if (!step.mode.empty()) text += " --chmod=" + step.mode;
  for (const std::string& source : sources) text += " " + source;
  for (const InlineFile& file : copy.files) text += " <<" + file.name;
  return text + " " + destination + " # buildkit";
}

}  // namespace

void Interpreter::LintIgnored(const std::string& text, const CopyStep& step) {
  const IgnoreMatcher* ignore = planner_.options().ignore;
  const bool from_context = std::holds_alternative<BuildContext>(step.from);
  if (ignore == nullptr || !from_context || ignore->has_exceptions()) return;
  const std::string path = CleanPath(text);
  if ((path == "." || path == "/") && !ignore->IgnoresEverything()) return;
  if (!ignore->Ignores(path)) return;
  Report(LintRule::kCopyIgnoredFile, std::string("Attempting to ") +
                                         (step.is_add ? "Add" : "Copy") + " file " +
                                         QuoteText(path) + " that is excluded by .dockerignore");
}

// The path of a source inside its root; with --parents what comes before "/./" is left out of the
// copy's names.
Status Interpreter::PlaceFile(CopySource& source, const std::string& text, bool parents) {
  std::string path = text;
  if (parents) {
    const size_t pivot = text.find("/./");
    path = pivot == std::string::npos ? "/" : text.substr(0, pivot);
    SKIFF_ASSIGN(
        const std::string pattern,
        AbsolutePath("/", pivot == std::string::npos ? text : text.substr(pivot + 3), os(), false));
    source.pattern = CleanPath(pattern).substr(1);
  }
  SKIFF_ASSIGN(path, AbsolutePath("/", path, os(), false));
  source.path = CleanPath(path);
  return {};
}

Result<CopySource> Interpreter::SourceFor(const std::string& text, const Word& word,
                                          const CopyStep& step) {
  CopySource source;
  source.span = word.span;
  auto kind = KindOfSource(text);
  if (!kind) return Fail(Placed(std::move(kind.error()), word.span));
  source.kind = *kind;
  if (source.kind == CopyKind::kFiles) {
    LintIgnored(text, step);
    SKIFF_TRY(PlaceFile(source, text, step.parents));
    return source;
  }
  if (!step.is_add) {
    return Mistake(source.kind == CopyKind::kGit ? "source can't be a git ref for COPY"
                                                 : "source can't be a URL for COPY",
                   word.span);
  }
  source.path = text;
  return source;
}

Status Interpreter::CheckCopy(const CopyStep& step, const CopyInstruction& copy) const {
  if (step.link && !IsNumbers(step.owner)) {
    return Mistake("--chown=" + step.owner +
                       ": user and group names can't be resolved when used with --link, use "
                       "numeric uid[:gid] instead",
                   copy.owner->span);
  }
  if (!step.mode.empty() && !IsMode(step.mode)) {
    return Mistake("invalid chmod parameter: '" + step.mode +
                       "'. it should be octal string and between 0 and 07777",
                   copy.mode->span);
  }
  if (step.checksum.empty()) return {};
  if (copy.sources.size() != 1) {
    return Mistake("checksum can't be specified for multiple sources", copy.checksum->span);
  }
  return {};
}

Result<CopyStep> Interpreter::ExpandCopy(const CopyInstruction& copy) {
  CopyStep step;
  step.is_add = copy.is_add;
  step.link = copy.link;
  step.parents = copy.parents;
  step.unpack_files = copy.unpack.value_or(copy.is_add);
  step.unpack_urls = copy.unpack.value_or(false);
  step.keep_git_dir = copy.keep_git_dir.value_or(false);
  for (const Word& exclude : copy.excludes) step.excludes.push_back(exclude.text);
  if (copy.owner) {
    SKIFF_ASSIGN(step.owner, Value(*copy.owner));
  }
  if (copy.mode) {
    SKIFF_ASSIGN(step.mode, Value(*copy.mode));
  }
  if (copy.checksum) {
    SKIFF_ASSIGN(step.checksum, Value(*copy.checksum));
  }
  if (!command_->sources.empty()) {
    const StageState& source = *command_->sources[0];
    if (!source.dispatched) {
      return Mistake("cannot copy from stage \"" + copy.from->text +
                         "\", it needs to be defined before current stage \"" + state_.title + "\"",
                     copy.from->span);
    }
    step.from = source.is_image() ? source.source : Source(StageSource{source.index});
  }
  return step;
}

Status Interpreter::Handle(const CopyInstruction& copy) {
  SKIFF_ASSIGN(CopyStep step, ExpandCopy(copy));
  std::vector<std::string> sources;
  for (const Word& word : copy.sources) {
    SKIFF_ASSIGN(const std::string text, Value(word));
    sources.push_back(text);
  }
  SKIFF_ASSIGN(const std::string destination, Value(copy.destination));
  for (const InlineFile& file : copy.files) {
    step.files.push_back(file);
    if (!file.expand) continue;
    auto content = Expand(file.content, state_.variables, {.ignore_quotes = true});
    if (!content) return Fail(Placed(std::move(content.error()), file.span));
    LintUnset(content->unset);
    step.files.back().content = content->text;
  }
  const std::string dir = config().working_dir.empty() ? "/" : config().working_dir;
  const bool here = destination == "." || destination.empty();
  SKIFF_ASSIGN(step.destination, AbsolutePath(dir, here ? "./" : destination, os(), true));
  SKIFF_TRY(CheckCopy(step, copy));
  for (size_t i = 0; i < sources.size(); ++i) {
    SKIFF_ASSIGN(CopySource source, SourceFor(sources[i], copy.sources[i], step));
    const bool remote = source.kind != CopyKind::kFiles;
    if (!step.checksum.empty() && !remote) {
      return Mistake("checksum requires HTTP(S) or Git sources", copy.checksum->span);
    }
    step.sources.push_back(std::move(source));
  }
  std::string history = CopyHistory(copy, step, sources, destination);
  const auto title =
      Expand(instruction_->text, state_.variables, {.escape = planner_.file().escape});
  AddStep(std::move(step), title ? title->text : instruction_->text);
  History(std::move(history), false);
  return {};
}

}  // namespace skiff::builder
