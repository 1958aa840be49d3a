#include "cli/build_progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "cli/build_steps.h"

namespace skiff::cli {
namespace {

using builder::StepOutcome;

constexpr size_t kKeptLines = 40;  // Of a step's output, for the message of its failure.
constexpr double kSecond = 1e9;

// BuildKit's plain form: a step's lines stand together as long as no other one has something to
// say; what continues after that is introduced by its title again.
class PlainReporter : public BuildStepTracker {
 public:
  using BuildStepTracker::BuildStepTracker;

 protected:
  void Begun(BuildStepState& step) override {
    if (current_ == 0) Show(step);
  }
  void Line(BuildStepState& step, const std::string& line) override {
    Show(step);
    Write(fmt::format("#{} {}\n", step.number, line));
  }
  void Detailed(BuildStepState& step, const std::string& text) override {
    Show(step);
    Write(fmt::format("#{} {} done\n", step.number, text));
  }
  void Ended(BuildStepState& step) override {
    Show(step);
    switch (step.outcome) {
      case StepOutcome::kDone:
        Write(fmt::format("#{} DONE {}\n", step.number, Elapsed(step)));
        break;
      case StepOutcome::kCached:
        Write(fmt::format("#{} CACHED\n", step.number));
        break;
      case StepOutcome::kFailed:
        Write(fmt::format("#{} ERROR: {}\n", step.number, step.message));
        break;
      case StepOutcome::kCancelled:
        Write(fmt::format("#{} CANCELED\n", step.number));
        break;
    }
    current_ = 0;
    for (BuildStepState& other : steps()) {
      if (other.ended == 0 && other.number != step.number) return Show(other);
    }
  }

 private:
  void Show(const BuildStepState& step) {
    if (current_ == step.number) return;
    if (current_ != 0) Write(fmt::format("#{} ...\n", current_));
    if (any_) Write("\n");
    Write(fmt::format("#{} {}\n", step.number, step.title));
    any_ = true;
    current_ = step.number;
  }

  int current_ = 0;  // The step whose lines are being written; 0: none.
  bool any_ = false;
};

}  // namespace

int BuildStepTracker::Begin(const std::string& title) {
  const std::lock_guard lock(mutex_);
  BuildStepState step;
  step.number = static_cast<int>(steps_.size()) + 1;
  step.title = title;
  step.begun = options_.now();
  steps_.push_back(std::move(step));
  Begun(steps_.back());
  return steps_.back().number;
}

void BuildStepTracker::AddLine(BuildStepState& step, std::string_view text) {
  const double time = static_cast<double>(options_.now() - step.begun) / kSecond;
  std::string line = fmt::format("{:.3f} {}", time, text);
  Line(step, line);
  step.lines.push_back(std::move(line));
  if (step.lines.size() > kKeptLines) step.lines.pop_front();
}

void BuildStepTracker::Output(int step, engine::LogStream stream, std::string_view text) {
  const std::lock_guard lock(mutex_);
  BuildStepState& state = steps_[static_cast<size_t>(step) - 1];
  Raw(state, stream, text);
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    AddLine(state, state.rest + std::string(line));
    state.rest.clear();
    text.remove_prefix(end + 1);
  }
  state.rest += text;
}

void BuildStepTracker::Detail(int step, const std::string& text) {
  const std::lock_guard lock(mutex_);
  Detailed(steps_[static_cast<size_t>(step) - 1], text);
}

void BuildStepTracker::End(int step, StepOutcome outcome, const std::string& message) {
  const std::lock_guard lock(mutex_);
  BuildStepState& state = steps_[static_cast<size_t>(step) - 1];
  if (!state.rest.empty()) AddLine(state, std::exchange(state.rest, ""));
  state.ended = options_.now();
  state.outcome = outcome;
  state.message = message;
  Ended(state);
}

void BuildStepTracker::Finish() {
  const std::lock_guard lock(mutex_);
  Finished();
}

std::string BuildStepTracker::FailedOutput() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const BuildStepState& step : steps_) {
    if (step.ended == 0 || step.outcome != StepOutcome::kFailed || step.lines.empty()) continue;
    text += fmt::format("------\n > {}:\n", step.title);
    for (const std::string& line : step.lines) text += line + "\n";
  }
  if (!text.empty()) text += "------\n";
  return text;
}

void BuildStepTracker::Write(std::string_view text) const {
  // Nobody listens any more: the build goes on.
  [[maybe_unused]] const Status written = WriteAll(options_.fd, text, "the progress");
}

std::string BuildStepTracker::Elapsed(const BuildStepState& step) const {
  const int64_t end = step.ended != 0 ? step.ended : options_.now();
  return fmt::format("{:.1f}s", static_cast<double>(end - step.begun) / kSecond);
}

std::unique_ptr<BuildReporter> MakeBuildReporter(const BuildProgressOptions& options) {
  switch (options.mode) {
    case BuildProgressMode::kPlain:
      return std::make_unique<PlainReporter>(options);
    case BuildProgressMode::kTty:
      return MakeTtyBuildReporter(options);
    case BuildProgressMode::kRawJson:
      return MakeRawJsonBuildReporter(options);
    case BuildProgressMode::kQuiet:
      break;
  }
  return std::make_unique<BuildStepTracker>(options);
}

Result<BuildProgressMode> ParseBuildProgress(const std::string& word, bool terminal) {
  if (word.empty() || word == "auto") {
    return terminal ? BuildProgressMode::kTty : BuildProgressMode::kPlain;
  }
  if (word == "plain") return BuildProgressMode::kPlain;
  if (word == "tty") return BuildProgressMode::kTty;
  if (word == "rawjson" || word == "json") return BuildProgressMode::kRawJson;
  if (word == "quiet" || word == "none") return BuildProgressMode::kQuiet;
  return Fail(Code::kInvalidArgument,
              "invalid progress mode '" + word + "': use auto, plain, tty, quiet, none or rawjson");
}

}  // namespace skiff::cli
