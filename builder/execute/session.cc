#include "builder/execute/session.h"

#include <poll.h>

#include <algorithm>
#include <thread>

#include "base/descriptor.h"
#include "base/text.h"
#include "base/trace.h"

namespace skiff::builder {
namespace {

// "[build 2/5] RUN make": "[build 1/5] FROM ..." for the same stage.
std::string FromTitle(const PlannedStage& stage, const std::string& reference) {
  const std::string total = std::to_string(stage.steps.size() + 1);
  const std::string name = stage.title.empty() ? "" : stage.title + " ";
  return "[" + name + "1/" + total + "] FROM " + reference;
}

}  // namespace

void BuildSession::Stop() {
  RaiseEvent(stop_);
}

bool BuildSession::Stopped() const {
  pollfd fds[] = {{stop_.get(), POLLIN, 0}, {shared_.options().cancel_fd, POLLIN, 0}};
  return ::poll(fds, 2, 0) > 0;
}

std::string BuildSession::TitleOf(const std::string& title, const PlannedStage& stage) const {
  if (!title.starts_with('[')) return title;
  std::string before = settings_.title.empty() ? "" : settings_.title + " ";
  if (several_) {
    const Platform& target = plan_.result().platform;
    before += FormatPlatform(stage.platform);
    if (stage.platform != target) before += "->" + target.architecture + target.variant;
    before += " ";
  }
  return "[" + before + title.substr(1);
}

Result<BuiltImage> BuildSession::Run() {
  if (!stop_) return Fail(Code::kExhausted, "cannot make an event");
  ReadCaches();
  const size_t count = plan_.stages.size();
  std::vector<std::promise<Result<StageOutput>>> promises(count);
  for (auto& promise : promises) outputs_.push_back(promise.get_future().share());
  const auto run = [&](size_t stage) {
    Result<StageOutput> output = RunStage(plan_.stages[stage]);
    if (!output) Stop();
    promises[stage].set_value(std::move(output));
  };
  // The last thread is this one.
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i) {
    if (plan_.stages[i].needed && i != plan_.target) threads.emplace_back(run, i);
  }
  run(plan_.target);
  for (std::thread& thread : threads) thread.join();
  shared_.SaveDigests();
  // The failure that made the others stop is the one to tell.
  const Error* failure = nullptr;
  for (size_t i = 0; i < count; ++i) {
    if (!plan_.stages[i].needed) continue;
    const auto& output = outputs_[i].get();
    if (output) continue;
    if (failure == nullptr || failure->code == Code::kCancelled) failure = &output.error();
  }
  if (failure != nullptr) return Fail(*failure);
  return MakeImage(*outputs_[plan_.target].get());
}

Result<BuildSession::StageOutput> BuildSession::OutputOf(size_t stage) {
  return outputs_[stage].get();
}

Result<std::vector<std::string>> BuildSession::LayersOf(const Source& source) {
  if (const auto* stage = std::get_if<StageSource>(&source)) {
    SKIFF_ASSIGN(StageOutput output, OutputOf(stage->stage));
    return std::move(output.layers);
  }
  if (const auto* image = std::get_if<ImageSource>(&source)) {
    SKIFF_ASSIGN(BaseImage base, shared_.base_images().Take(image->reference, image->platform));
    return std::move(base.layers);
  }
  return std::vector<std::string>();
}

Result<std::vector<std::string>> BuildSession::BaseLayers(const PlannedStage& stage) {
  const auto* image = std::get_if<ImageSource>(&stage.base);
  if (image == nullptr) return LayersOf(stage.base);
  const int progress = progress_.Begin(TitleOf(FromTitle(stage, image->reference), stage));
  auto layers = LayersOf(stage.base);
  progress_.End(progress, layers ? StepOutcome::kDone : StepOutcome::kFailed,
                layers ? "" : layers.error().Text());
  if (!layers && !layers.error().span.valid()) layers.error().span = stage.span;
  return layers;
}

Result<BuildSession::StageOutput> BuildSession::RunStage(const PlannedStage& stage) {
  StageOutput output;
  if (const auto* base = std::get_if<StageSource>(&stage.base)) {
    SKIFF_ASSIGN(output, OutputOf(base->stage));
  } else {
    SKIFF_ASSIGN(output.layers, BaseLayers(stage));
  }
  for (const Step& step : stage.steps) {
    if (Stopped()) return Fail(Code::kCancelled, "the build was stopped");
    const int progress = progress_.Begin(TitleOf(step.title, stage));
    auto made = MakeStep({stage, step, output.layers, progress});
    if (!made) {
      Error error = std::move(made.error());
      const bool cancelled = error.code == Code::kCancelled;
      progress_.End(progress, cancelled ? StepOutcome::kCancelled : StepOutcome::kFailed,
                    error.Text());
      if (!error.span.valid()) error.span = step.span;
      return Fail(std::move(error));
    }
    progress_.End(progress, made->cached ? StepOutcome::kCached : StepOutcome::kDone, "");
    output.layers.push_back(made->diff_id);
    output.created.push_back(made->created_at);
  }
  return output;
}

Result<MadeLayer> BuildSession::MakeStep(const StepPlace& place) {
  const TraceSpan span("build.step");
  if (const auto* run = std::get_if<RunStep>(&place.step.action)) return MakeRun(place, *run);
  if (const auto* copy = std::get_if<CopyStep>(&place.step.action)) return MakeCopy(place, *copy);
  return MakeWorkdir(place, std::get<WorkdirStep>(place.step.action));
}

}  // namespace skiff::builder
