// The live list on a terminal: one line per resource, redrawn in place.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "base/text.h"
#include "compose/progress_renderers.h"

namespace skiff::compose {
namespace {

constexpr std::string_view kSpinner[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
constexpr std::string_view kHideCursor = "\x1b[?25l";
constexpr std::string_view kShowCursor = "\x1b[?25h";
constexpr std::string_view kEraseLine = "\x1b[K";
constexpr std::string_view kEraseBelow = "\x1b[J";
constexpr size_t kTimerColumns = 6;  // "999.9s"
constexpr BootTime kSpinnerStep = std::chrono::milliseconds(100);

size_t Columns(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string Cut(std::string_view text, size_t columns) {
  if (Columns(text) <= columns) return std::string(text);
  if (columns <= 3) return std::string(columns, '.');
  size_t end = 0;
  for (size_t kept = 0; kept < columns - 3; ++kept) end += Utf8SequenceLength(text.substr(end));
  return std::string(text.substr(0, end)) + "...";
}

class TtyProgress : public Progress {
 public:
  explicit TtyProgress(const ProgressOptions& options) : options_(options) {}
  ~TtyProgress() override {
    if (drawn_ > 0 && running_) WriteProgress(options_.fd, kShowCursor);
  }

  void Begin(std::string_view operation) override {
    const std::lock_guard lock(mutex_);
    operation_ = operation;
    rows_.clear();
    index_.clear();
    drawn_ = 0;
    running_ = true;
  }

  void Report(const ProgressEvent& event) override {
    const std::lock_guard lock(mutex_);
    if (!running_) {
      if (event.status != "Starting" && event.status != "Started") {
        WriteProgress(options_.fd, EventLine(event, options_.causes));
      }
      return;
    }
    const auto [found, inserted] = index_.try_emplace(event.id, rows_.size());
    if (inserted) rows_.push_back({event.id, {}, {}, {}, ProgressPhase::kWorking, Now(), {}});
    Row& row = rows_[found->second];
    row.status = event.status;
    row.details = event.details;
    if (event.explain && options_.causes) row.cause = event.cause;
    row.phase = event.phase;
    if (event.phase != ProgressPhase::kWorking) row.ended = Now();
    Draw("");
  }

  void Diagnose(const Diagnostic& diagnostic) override {
    const std::lock_guard lock(mutex_);
    Above(RenderDiagnostic(diagnostic, options_));
  }

  void Message(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    Above(fmt::format("{}\n", text));
  }

  void End(bool) override { OutputFollows(); }

  void OutputFollows() override {
    const std::lock_guard lock(mutex_);
    if (!running_) return;
    if (!rows_.empty()) {
      Draw("");
      WriteProgress(options_.fd, kShowCursor);
    }
    running_ = false;
    drawn_ = 0;
  }

  void Tick() override {
    const std::lock_guard lock(mutex_);
    if (running_ && !rows_.empty()) Draw("");
  }
  bool WantsTicks() const override { return true; }

 private:
  struct Row {
    std::string id, status, details, cause;
    ProgressPhase phase;
    BootTime started, ended;
  };

  std::string Paint(std::string_view text, std::string_view code) const {
    if (!options_.color || text.empty()) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }

  std::string Mark(const Row& row) const {
    switch (row.phase) {
      case ProgressPhase::kDone:
        return Paint("✔", "32");
      case ProgressPhase::kWarning:
        return Paint("!", "33");
      case ProgressPhase::kError:
        return Paint("✘", "31");
      case ProgressPhase::kWorking:
        break;
    }
    const auto step = static_cast<size_t>((Now() - row.started) / kSpinnerStep);
    return Paint(kSpinner[step % std::size(kSpinner)], "33");
  }

  std::string_view StatusColor(ProgressPhase phase) const {
    switch (phase) {
      case ProgressPhase::kDone:
        return "32";
      case ProgressPhase::kWarning:
        return "33";
      case ProgressPhase::kError:
        return "31";
      case ProgressPhase::kWorking:
        return "0";
    }
    return "0";
  }

  std::string Line(const Row& row, size_t id_width) const {
    const BootTime end = row.phase == ProgressPhase::kWorking ? Now() : row.ended;
    const std::string timer =
        fmt::format("{:.1f}s", std::chrono::duration<double>(end - row.started).count());
    std::string text = row.details;
    if (text.empty() && !row.cause.empty()) text = "(" + row.cause + ")";
    std::replace(text.begin(), text.end(), '\n', ' ');
    const auto width = static_cast<size_t>(std::max(options_.columns, 20));
    const std::string id = Cut(row.id, id_width);
    const size_t fixed = 3 + id_width + 1 + Columns(row.status) + 1 + timer.size();
    text = fixed + 1 < width ? Cut(text, width - fixed - 1) : "";
    const size_t used = fixed + (text.empty() ? 0 : 1 + Columns(text));
    return fmt::format(
        " {} {}{} {}{}{}{} {}{}\n", Mark(row), id, std::string(id_width - Columns(id), ' '),
        Paint(row.status, StatusColor(row.phase)), text.empty() ? "" : " ", text,
        std::string(used < width ? width - used : 0, ' '), Paint(timer, "34"), kEraseLine);
  }

  // Puts `above` where the list was and draws the list below it.
  void Draw(std::string_view above) {
    const size_t done =
        static_cast<size_t>(std::count_if(rows_.begin(), rows_.end(), [](const Row& row) {
          return row.phase != ProgressPhase::kWorking;
        }));
    std::string frame(kHideCursor);
    if (drawn_ > 0) frame += fmt::format("\x1b[{}A\r", drawn_);
    if (!above.empty()) frame += fmt::format("{}{}", kEraseBelow, above);
    frame += fmt::format("[+] {} {}/{}{}\n", operation_, done, rows_.size(), kEraseLine);
    const auto room = static_cast<size_t>(std::max(options_.rows - 2, 1));
    const size_t shown = rows_.size() > room ? room - 1 : rows_.size();
    size_t id_width = 0, status_width = 0;
    for (size_t i = 0; i < shown; ++i) {
      id_width = std::max(id_width, Columns(rows_[i].id));
      status_width = std::max(status_width, Columns(rows_[i].status));
    }
    // Names give way before a status or a time does.
    const size_t others = 3 + 1 + status_width + 1 + kTimerColumns;
    const auto width = static_cast<size_t>(std::max(options_.columns, 20));
    id_width = std::min(id_width, width > others + 10 ? width - others : 10);
    for (size_t i = 0; i < shown; ++i) frame += Line(rows_[i], id_width);
    drawn_ = shown + 1;
    if (shown < rows_.size()) {
      frame += fmt::format(" ... {} more{}\n", rows_.size() - shown, kEraseLine);
      ++drawn_;
    }
    WriteProgress(options_.fd, frame);
  }

  void Above(const std::string& text) {
    if (running_ && drawn_ > 0) {
      Draw(text);
    } else {
      WriteProgress(options_.fd, text);
    }
  }

  const ProgressOptions options_;
  std::mutex mutex_;  // Guards everything below and the descriptor.
  std::string operation_;
  std::vector<Row> rows_;  // In the order of their first event.
  std::map<std::string, size_t> index_;
  size_t drawn_ = 0;  // Lines of the last frame.
  bool running_ = false;
};

}  // namespace

std::unique_ptr<Progress> MakeTtyProgress(const ProgressOptions& options) {
  return std::make_unique<TtyProgress>(options);
}

}  // namespace skiff::compose
