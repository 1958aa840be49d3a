#include "cli/image_output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/units.h"

namespace skiff::cli {
namespace {

constexpr int64_t kBarWidth = 50;

}  // namespace

std::string PulledText(const engine::PulledImage& pulled, const std::string& familiar_name) {
  return fmt::format("Digest: {}\nStatus: {} for {}\n", pulled.digest,
                     pulled.changed ? "Downloaded newer image" : "Image is up to date",
                     familiar_name);
}

std::string ProgressText(const engine::ImageProgress& progress) {
  if (progress.total <= 0) return progress.status;
  const int64_t filled =
      std::clamp(progress.current * kBarWidth / progress.total, int64_t{0}, kBarWidth);
  std::string bar(static_cast<size_t>(filled), '=');
  if (filled < kBarWidth) bar += '>';
  return fmt::format("{} [{:<50}]  {}/{}", progress.status, bar, FormatSize(progress.current),
                     FormatSize(progress.total));
}

ImageOutput::ImageOutput(Context& context, bool quiet, Stream stream)
    : context_(context),
      quiet_(quiet),
      stream_(stream),
      terminal_(::isatty(stream == Stream::kOut ? context.around().out : context.around().err) !=
                0) {}

void ImageOutput::Print(const std::string& text) {
  if (stream_ == Stream::kError) {
    context_.PrintError(text);
  } else if (status_) {
    status_ = context_.Print(text);
  }
}

engine::ImageProgressSink ImageOutput::Sink() {
  if (quiet_) return {};
  return [this](const engine::ImageProgress& progress) { Show(progress); };
}

void ImageOutput::Redraw(const std::string& id, const std::string& text) {
  auto at = std::find(order_.begin(), order_.end(), id);
  if (at == order_.end()) {
    order_.push_back(id);
    Print(fmt::format("{}: {}\n", id, text));
    return;
  }
  const auto up = order_.end() - at;
  Print(fmt::format("\x1b[{}A\r\x1b[2K{}: {}\x1b[{}B\r", up, id, text, up));
}

void ImageOutput::Show(const engine::ImageProgress& progress) {
  if (progress.id.empty()) {
    // Lines below which nothing is redrawn.
    order_.clear();
    Print(progress.status + '\n');
    return;
  }
  const std::string text = terminal_ ? ProgressText(progress) : progress.status;
  std::string& shown = shown_[progress.id];
  if (shown == text) return;
  shown = text;
  if (terminal_) {
    Redraw(progress.id, text);
  } else {
    Print(fmt::format("{}: {}\n", progress.id, text));
  }
}

}  // namespace skiff::cli
