// One command's builds, each for one platform or several.
#include <algorithm>
#include <memory>
#include <optional>
#include <thread>

#include "base/failpoint.h"
#include "builder/execute/session.h"
#include "engine-core/image_config.h"
#include "engine-core/references.h"

namespace skiff::builder {
namespace {

Result<ImageDescription> Describe(const std::string& config) {
  SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(config));
  ImageDescription description;
  description.config = document.config;
  description.args_escaped = document.args_escaped;
  description.author = document.author;
  description.platform = {document.os, document.architecture, document.variant,
                          document.os_version};
  description.has_layers = !document.diff_ids.empty();
  for (const engine::HistoryEntry& entry : document.history) {
    // 0 would be one of this build.
    description.history.push_back({entry.created_by, entry.empty_layer, entry.comment, entry.author,
                                   entry.created_at.value_or(1)});
  }
  return description;
}

}  // namespace

ImageResolver LocalImages(engine::Engine& engine) {
  return [&engine](const std::string& reference,
                   const Platform& /*platform*/) -> Result<ImageDescription> {
    SKIFF_ASSIGN(const std::string config, engine.ReadImageConfig(reference));
    return Describe(config);
  };
}

Builder::Builder(engine::Engine& engine, BuilderOptions options)
    : shared_(std::make_unique<Shared>(engine, std::move(options))) {}

Builder::~Builder() = default;

ImageResolver Builder::Images(bool pull, BuildProgress& progress) {
  Shared* shared = shared_.get();
  return [shared, pull, &progress](const std::string& reference,
                                   const Platform& platform) -> Result<ImageDescription> {
    const std::string key =
        reference + " " + FormatFullPlatform(platform) + (pull ? " anew" : "");
    return shared->DescribeOnce(key, [&]() -> Result<ImageDescription> {
      const std::string of = IsOfHost(platform) ? "" : FormatPlatform(platform) + " ";
      const int step = progress.Begin("[" + of + "internal] load metadata for " + reference);
      const auto describe = [&]() -> Result<ImageDescription> {
        SKIFF_ASSIGN(const BaseImage base,
                     shared->base_images().Find(reference, platform, pull));
        return Describe(base.config);
      };
      auto description = describe();
      progress.End(step, description ? StepOutcome::kDone : StepOutcome::kFailed,
                   description ? "" : description.error().Text());
      if (description) return description;
      Error error = std::move(description.error());
      error.message = "failed to resolve source metadata for " + reference + ": " + error.message;
      return Fail(std::move(error));
    });
  };
}

namespace {

// The image that the names stand for where this machine runs them.
size_t MainOf(const std::vector<BuildPlan>& plans) {
  const auto it = std::ranges::find_if(plans, [](const BuildPlan& plan) {
    return IsOfHost(plan.result().image.platform);
  });
  return it == plans.end() ? 0 : static_cast<size_t>(it - plans.begin());
}

// The sessions of one build, one for each platform, at once.
class Sessions {
 public:
  Sessions(Builder::Shared& shared, const std::vector<BuildPlan>& plans,
           const BuildSettings& settings, BuildProgress& progress) {
    for (const BuildPlan& plan : plans) {
      sessions_.push_back(
          std::make_unique<BuildSession>(shared, plan, settings, progress, plans.size() > 1));
    }
  }

  Result<std::vector<BuiltImage>> Run() {
    std::vector<std::thread> threads;
    std::vector<std::optional<Result<BuiltImage>>> results(sessions_.size());
    const auto run = [&](size_t i) {
      results[i] = sessions_[i]->Run();
      if (*results[i]) return;
      for (const auto& session : sessions_) session->Stop();
    };
    for (size_t i = 1; i < sessions_.size(); ++i) threads.emplace_back(run, i);
    run(0);
    for (std::thread& thread : threads) thread.join();
    // The failure that made the others stop is the one to tell.
    const Error* failure = nullptr;
    std::vector<BuiltImage> images;
    for (auto& result : results) {
      if (*result) {
        images.push_back(std::move(**result));
      } else if (failure == nullptr || failure->code == Code::kCancelled) {
        failure = &result->error();
      }
    }
    if (failure != nullptr) return Fail(*failure);
    return images;
  }

  Status WriteCaches(const std::vector<BuiltImage>& images) const {
    return BuildSession::WriteCaches(sessions_, images);
  }
  bool lost_cache() const {
    return std::ranges::any_of(sessions_, [](const auto& one) { return one->lost_cache(); });
  }

 private:
  std::vector<std::unique_ptr<BuildSession>> sessions_;
};

// Keeps images of a build; those of it that were new go again unless all are kept.
class ImageKeeper {
 public:
  ImageKeeper(engine::Engine& engine, const BuildSettings& settings, BuiltImages& built,
              BuildProgress& progress)
      : engine_(engine), settings_(settings), built_(built), progress_(progress) {}

  Status Keep() {
    const int step = progress_.Begin("exporting to image");
    Status kept = KeepAll(step);
    for (size_t i = 0; !kept && i < made_.size(); ++i) {
      // Without a name it is garbage; that it stays is less than what made the build fail.
      [[maybe_unused]] const auto removed = engine_.RemoveImage(made_[i], false);
    }
    progress_.End(step, kept ? StepOutcome::kDone : StepOutcome::kFailed,
                  kept ? "" : kept.error().Text());
    return kept;
  }

 private:
  Status KeepAll(int step) {
    std::vector<std::string> others;
    BuiltImage& main = built_.images[built_.main];
    for (BuiltImage& image : built_.images) {
      if (image.id == main.id) continue;
      SKIFF_TRY(KeepOne(step, image, {}, {}));
      others.push_back(image.id);
    }
    SKIFF_TRY(KeepOne(step, main, settings_.references, others));
    for (const std::string& name : settings_.references) {
      const auto reference = engine::ParseReference(name);
      progress_.Detail(step, "naming to " + (reference ? reference->Canonical() : name));
    }
    return {};
  }

  Status KeepOne(int step, BuiltImage& image, const std::vector<std::string>& references,
                 const std::vector<std::string>& others) {
    SKIFF_TRY(Failpoint("build.image"));
    image.existed = engine_.InspectImage(image.id).has_value();
    SKIFF_ASSIGN(image.id, engine_.CreateImage({image.config, references, "", others}));
    if (!image.existed) made_.push_back(image.id);
    progress_.Detail(step, "writing image " + image.id);
    return {};
  }

  engine::Engine& engine_;
  const BuildSettings& settings_;
  BuiltImages& built_;
  BuildProgress& progress_;
  std::vector<std::string> made_;
};

}  // namespace

Result<BuiltImages> Builder::Build(const std::vector<BuildPlan>& plans,
                                   const BuildSettings& settings, BuildProgress& progress) {
  for (;;) {
    Sessions sessions(*shared_, plans, settings, progress);
    auto images = sessions.Run();
    const bool stopped = !images && images.error().code == Code::kCancelled;
    // Once for each cache at most. What has been made by then is found.
    if (!images && !stopped && sessions.lost_cache()) continue;
    if (!images) return Fail(std::move(images.error()));
    BuiltImages built{std::move(*images), MainOf(plans)};
    if (settings.keep_image) {
      SKIFF_TRY(ImageKeeper(shared_->engine(), settings, built, progress).Keep());
    }
    const Status written = sessions.WriteCaches(built.images);
    if (!written && sessions.lost_cache()) continue;
    SKIFF_TRY(written);
    return built;
  }
}

}  // namespace skiff::builder
