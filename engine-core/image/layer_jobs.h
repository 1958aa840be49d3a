#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/image/layer_store.h"
#include "engine-core/image/work_folder.h"

namespace skiff::engine::image {

// A layer between its archive and its place. Filled in before: `number`, `diff_id`, and the blob's
// digest and media type where they are known; they are compared with what was read.
struct PreparedLayer {
  size_t number = 0;
  std::string diff_id;
  std::string blob_digest;
  std::string media_type;
  int64_t blob_size = 0;
  int64_t content_size = 0;
  std::string folder;
  std::string blob_path;  // "" when the blob is in its place already.
};

// Copies the (compressed) tar `file` into the work folder as the layer's blob and unpacks that.
// kCorrupted: a digest differs ("invalid diffID for layer n").
Status PrepareFromFile(LayerStore& layers, const WorkFolder& work, const Fd& file,
                       PreparedLayer& layer);
// The same without a copy: `layer.blob_path` is the blob, open at `blob`, of which the layer takes
// the name.
Status PrepareFromBlob(LayerStore& layers, const WorkFolder& work, const Fd& blob,
                       PreparedLayer& layer);
// Gives blob and folder their names.
Status KeepLayer(LayerStore& layers, const PreparedLayer& layer);

// Runs `job` for each number, at most `threads` at once; `worker` (0 to `threads` - 1) is a thread
// of its own. The first failure is returned when all that had begun have ended.
Status RunJobs(const std::vector<size_t>& numbers, size_t threads,
               const std::function<Status(size_t worker, size_t number)>& job);
// As many as there are processors (at most four).
Status RunLayerJobs(const std::vector<size_t>& numbers, const std::function<Status(size_t)>& job);

}  // namespace skiff::engine::image
