// --progress=tty: a live list of the steps, redrawn in place.
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <thread>

#include "base/descriptor.h"
#include "base/fd.h"
#include "cli/build_steps.h"

namespace skiff::cli {
namespace {

using builder::StepOutcome;

constexpr int kTickMilliseconds = 150;
constexpr size_t kShownLines = 6;  // Of the output of a step that runs.
constexpr std::string_view kReset = "\x1b[0m";

// The first `columns` characters of a line; control characters are blanks.
std::string Fit(std::string_view text, int columns) {
  std::string out;
  int width = 0;
  for (const char c : text) {
    const bool continues = (static_cast<unsigned char>(c) & 0xc0) == 0x80;
    if (!continues && ++width > columns) break;
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out;
}

class TtyReporter : public BuildStepTracker {
 public:
  explicit TtyReporter(const BuildProgressOptions& options) : BuildStepTracker(options) {
    started_ = options.now();
    wake_ = Fd(::eventfd(0, EFD_CLOEXEC));
    if (wake_) ticker_ = std::thread([this] { Tick(); });
  }
  ~TtyReporter() override { StopTicking(); }

 protected:
  void Begun(BuildStepState& /*step*/) override { Draw(); }
  void Ended(BuildStepState& /*step*/) override { Draw(); }
  void Finished() override {
    finished_ = true;
    Draw();
  }

 private:
  // Redraws the running times.
  void Tick() {
    pollfd fd = {wake_.get(), POLLIN, 0};
    while (::poll(&fd, 1, kTickMilliseconds) == 0) {
      const std::lock_guard lock(mutex());
      if (finished_) return;
      Draw();
    }
  }
  void StopTicking() {
    if (!ticker_.joinable()) return;
    RaiseEvent(wake_);
    ticker_.join();
  }

  std::string StepLine(const BuildStepState& step, int columns) const {
    std::string text = step.title;
    if (step.ended != 0 && step.outcome == StepOutcome::kCached) text = "CACHED " + text;
    if (step.ended != 0 && step.outcome == StepOutcome::kFailed) text = "ERROR " + text;
    if (step.ended != 0 && step.outcome == StepOutcome::kCancelled) text = "CANCELED " + text;
    const std::string time = Elapsed(step);
    const int room = std::max(10, columns - static_cast<int>(time.size()) - 5);
    text = " => " + Fit(text, room);
    const int used = 4 + std::min<int>(room, static_cast<int>(text.size()) - 4);
    const int gap = std::max(1, columns - used - static_cast<int>(time.size()));
    std::string_view color;
    if (options().color && step.ended != 0) {
      color = step.outcome == StepOutcome::kFailed ? "\x1b[31m" : "\x1b[34m";
    }
    return std::string(color) + text + std::string(static_cast<size_t>(gap), ' ') + time +
           std::string(color.empty() ? "" : kReset);
  }

  void Draw() {
    const int columns = std::max(20, options().columns() - 1);
    const size_t rows = static_cast<size_t>(std::max(5, options().rows() - 2));
    std::vector<std::string> lines;
    size_t done = 0;
    for (const BuildStepState& step : steps()) {
      if (step.ended != 0) ++done;
      lines.push_back(StepLine(step, columns));
      if (step.ended != 0) continue;
      const size_t count = std::min(kShownLines, step.lines.size());
      for (size_t i = step.lines.size() - count; i < step.lines.size(); ++i) {
        lines.push_back(" => => # " + Fit(step.lines[i], columns - 9));
      }
    }
    const double seconds = static_cast<double>(options().now() - started_) / 1e9;
    const std::string head = fmt::format("[+] Building {:.1f}s ({}/{}){}", seconds, done,
                                         steps().size(), finished_ ? " FINISHED" : "");
    // What does not fit is left out at the top until the end.
    size_t first = 0;
    if (!finished_ && lines.size() + 1 > rows) first = lines.size() + 1 - rows;
    std::string text = drawn_ > 0 ? fmt::format("\x1b[{}A\r\x1b[J", drawn_) : "\r\x1b[J";
    text += head + "\n";
    for (size_t i = first; i < lines.size(); ++i) text += lines[i] + "\n";
    drawn_ = lines.size() - first + 1;
    Write(text);
  }

  int64_t started_ = 0;
  size_t drawn_ = 0;  // Lines on the screen.
  bool finished_ = false;
  Fd wake_;
  std::thread ticker_;
};

}  // namespace

std::unique_ptr<BuildReporter> MakeTtyBuildReporter(const BuildProgressOptions& options) {
  return std::make_unique<TtyReporter>(options);
}

}  // namespace skiff::cli
