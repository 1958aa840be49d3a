// Renderers that write a line per event: plain, json, quiet.
#include <fmt/format.h>
#include <unistd.h>

#include <mutex>

#include "base/json_text.h"
#include "base/text.h"
#include "base/units.h"
#include "compose/progress_renderers.h"

namespace skiff::compose {

void WriteProgress(int fd, std::string_view text) {
  // A terminal that is gone must not fail the work itself.
  (void)WriteAll(fd, text, "progress");
}

std::string RenderDiagnostic(const Diagnostic& diagnostic, const ProgressOptions& options) {
  static const SourceMap kNoSources;
  Diagnostic shown = diagnostic;
  if (options.sources == nullptr) {
    shown.error.span = {};
    for (Note& note : shown.error.notes) note.span = {};
  }
  return FormatDiagnostic(shown, options.sources ? *options.sources : kNoSources,
                          {.color = options.color});
}

std::string EventLine(const ProgressEvent& event, bool causes) {
  std::string line = fmt::format(" {} {}", event.id, event.status);
  if (causes && event.explain && !event.cause.empty()) line += fmt::format(" ({})", event.cause);
  if (!event.details.empty()) line += " " + event.details;
  return line + "\n";
}

std::string_view PhaseName(ProgressPhase phase) {
  switch (phase) {
    case ProgressPhase::kWorking:
      return "Working";
    case ProgressPhase::kDone:
      return "Done";
    case ProgressPhase::kWarning:
      return "Warning";
    case ProgressPhase::kError:
      return "Error";
  }
  return "";
}

namespace {

class PlainProgress : public Progress {
 public:
  explicit PlainProgress(const ProgressOptions& options) : options_(options) {}

  void Begin(std::string_view) override {}
  void Report(const ProgressEvent& event) override {
    const std::lock_guard lock(mutex_);
    WriteProgress(options_.fd, EventLine(event, options_.causes));
  }
  void Diagnose(const Diagnostic& diagnostic) override {
    const std::lock_guard lock(mutex_);
    WriteProgress(options_.fd, RenderDiagnostic(diagnostic, options_));
  }
  void Message(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    WriteProgress(options_.fd, fmt::format("{}\n", text));
  }
  void End(bool) override {}

 protected:
  const ProgressOptions options_;
  std::mutex mutex_;  // Guards the descriptor: lines are whole.
};

class QuietProgress : public PlainProgress {
 public:
  using PlainProgress::PlainProgress;
  void Report(const ProgressEvent&) override {}
};

class JsonProgress : public Progress {
 public:
  explicit JsonProgress(const ProgressOptions& options) : options_(options) {}

  void Begin(std::string_view operation) override {
    operation_ = operation;
    Write(fmt::format("{{\"type\":\"begin\",\"operation\":{}", JsonQuote(operation)));
  }
  void Report(const ProgressEvent& event) override {
    std::string line =
        fmt::format("{{\"type\":\"progress\",\"id\":{},\"status\":\"{}\",\"text\":{}",
                    JsonQuote(event.id), PhaseName(event.phase), JsonQuote(event.status));
    if (!event.details.empty()) line += ",\"details\":" + JsonQuote(event.details);
    if (!event.cause.empty()) line += ",\"cause\":" + JsonQuote(event.cause);
    Write(std::move(line));
  }
  void Diagnose(const Diagnostic& diagnostic) override {
    static const SourceMap kNoSources;
    Diagnostic shown = diagnostic;
    if (options_.sources == nullptr) {
      shown.error.span = {};
      for (Note& note : shown.error.notes) note.span = {};
    }
    std::string line = DiagnosticToJson(shown, options_.sources ? *options_.sources : kNoSources);
    while (!line.empty() && (line.back() == '\n' || line.back() == '}')) line.pop_back();
    Write("{\"type\":\"diagnostic\"," + line.substr(1));
  }
  void Message(std::string_view text) override {
    Write("{\"type\":\"message\",\"text\":" + JsonQuote(text));
  }
  void End(bool ok) override {
    Write(fmt::format("{{\"type\":\"end\",\"operation\":{},\"ok\":{}", JsonQuote(operation_), ok));
  }

 private:
  // Adds the time and closes the object.
  void Write(std::string line) {
    const std::lock_guard lock(mutex_);
    line += fmt::format(",\"time\":\"{}\"}}\n", FormatTimestamp(WallClockNanoseconds()));
    WriteProgress(options_.fd, line);
  }

  const ProgressOptions options_;
  std::string operation_;
  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<Progress> MakeProgress(const ProgressOptions& options) {
  switch (options.mode) {
    case ProgressMode::kTty:
      return MakeTtyProgress(options);
    case ProgressMode::kPlain:
      return std::make_unique<PlainProgress>(options);
    case ProgressMode::kJson:
      return std::make_unique<JsonProgress>(options);
    case ProgressMode::kQuiet:
      return std::make_unique<QuietProgress>(options);
  }
  return nullptr;
}

}  // namespace skiff::compose
