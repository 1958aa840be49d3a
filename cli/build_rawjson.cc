// --progress=rawjson: BuildKit's SolveStatus, one object a line.
#include <fmt/format.h>

#include "base/identity.h"
#include "base/json_text.h"
#include "base/units.h"
#include "cli/build_print.h"
#include "cli/build_steps.h"

namespace skiff::cli {
namespace {

using builder::StepOutcome;

class RawJsonReporter : public BuildStepTracker {
 public:
  using BuildStepTracker::BuildStepTracker;

 protected:
  void Begun(BuildStepState& step) override { Vertex(step); }
  void Ended(BuildStepState& step) override { Vertex(step); }
  void Raw(BuildStepState& step, engine::LogStream stream, std::string_view text) override {
    Write(fmt::format(R"({{"logs":[{{"vertex":{},"stream":{},"data":"{}","timestamp":"{}"}}]}})"
                      "\n",
                      Digest(step), stream == engine::LogStream::kStdout ? 1 : 2, Base64(text),
                      FormatTimestamp(options().now())));
  }
  void Detailed(BuildStepState& step, const std::string& text) override {
    const std::string now = FormatTimestamp(options().now());
    Write(fmt::format(
        R"({{"statuses":[{{"id":{},"vertex":{},"current":0,"timestamp":"{}","started":"{}","completed":"{}"}}]}})"
        "\n",
        JsonQuote(text), Digest(step), now, now, now));
  }

 private:
  static std::string Digest(const BuildStepState& step) {
    return JsonQuote("sha256:" + Sha256Hex(fmt::format("{} {}", step.number, step.title)));
  }
  void Vertex(const BuildStepState& step) {
    std::string text =
        fmt::format(R"({{"vertexes":[{{"digest":{},"name":{},"started":"{}")", Digest(step),
                    JsonQuote(step.title), FormatTimestamp(step.begun));
    if (step.ended != 0) text += fmt::format(R"(,"completed":"{}")", FormatTimestamp(step.ended));
    if (step.ended != 0 && step.outcome == StepOutcome::kCached) text += R"(,"cached":true)";
    if (!step.message.empty()) text += ",\"error\":" + JsonQuote(step.message);
    Write(text + "}]}\n");
  }
};

}  // namespace

std::unique_ptr<BuildReporter> MakeRawJsonBuildReporter(const BuildProgressOptions& options) {
  return std::make_unique<RawJsonReporter>(options);
}

}  // namespace skiff::cli
