#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "cli/text_table.h"
#include "engine-core/images.h"

namespace skiff::cli {

// Shows what a pull or push does as docker does: on a terminal a line for each layer with a bar,
// redrawn in place; otherwise a line whenever a layer's status changes.
class ImageOutput {
 public:
  enum class Stream { kOut, kError };
  ImageOutput(Context& context, bool quiet, Stream stream = Stream::kOut);

  engine::ImageProgressSink Sink();
  // The first failure to write, told at the end.
  const Status& status() const { return status_; }

 private:
  void Show(const engine::ImageProgress& progress);
  void Redraw(const std::string& id, const std::string& text);
  void Print(const std::string& text);

  Context& context_;
  bool quiet_;
  Stream stream_;
  bool terminal_;
  std::vector<std::string> order_;
  std::map<std::string, std::string> shown_;
  Status status_;
};

// "Digest: ..." and "Status: ...", as lines.
std::string PulledText(const engine::PulledImage& pulled, const std::string& familiar_name);

// "Downloading [====>    ]  1.2MB/4MB"
std::string ProgressText(const engine::ImageProgress& progress);

}  // namespace skiff::cli
