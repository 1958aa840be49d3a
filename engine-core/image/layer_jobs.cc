#include "engine-core/image/layer_jobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <thread>

#include "base/failpoint.h"
#include "engine-core/image/manifest.h"

namespace skiff::engine::image {
namespace {

constexpr unsigned kMaximumThreads = 4;

// Shares the blocks where the file system can, else copies them.
Status CopyFile(const Fd& from, const Fd& to, const std::string& what) {
  if (::lseek(from.get(), 0, SEEK_SET) != 0) return FailErrno("cannot read '" + what + "'");
  while (true) {
    const ssize_t copied =
        ::copy_file_range(from.get(), nullptr, to.get(), nullptr, 1u << 30, 0);
    if (copied == 0) return {};
    if (copied > 0 || errno == EINTR) continue;
    if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS) {
      return FailErrno("cannot copy '" + what + "'");
    }
    break;
  }
  std::string buffer(1 << 18, '\0');
  while (true) {
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read '" + what + "'");
    if (got == 0) return {};
    SKIFF_TRY(WriteAll(to.get(), {buffer.data(), static_cast<size_t>(got)}, what));
  }
}

Status Compare(const UnpackedLayer& unpacked, PreparedLayer& layer) {
  const std::string diff_id = DigestOf(unpacked.diff_id);
  if (diff_id != layer.diff_id) {
    return Fail(Code::kCorrupted, "invalid diffID for layer " + std::to_string(layer.number) +
                                      ": expected \"" + layer.diff_id + "\", got \"" + diff_id +
                                      "\"");
  }
  const std::string digest = DigestOf(unpacked.blob_digest);
  if (!layer.blob_digest.empty() && layer.blob_digest != digest) {
    return Fail(Code::kCorrupted, "the content of layer " + std::to_string(layer.number) +
                                      " has the digest " + digest + ", not " + layer.blob_digest);
  }
  layer.blob_digest = digest;
  layer.blob_size = unpacked.blob_size;
  layer.content_size = unpacked.content_size;
  if (layer.media_type.empty()) {
    layer.media_type = std::string(kOciLayer) +
                       (unpacked.compression.empty() ? "" : "+" + unpacked.compression);
  }
  return {};
}

}  // namespace

Status PrepareFromFile(LayerStore& layers, const WorkFolder& work, const Fd& file,
                       PreparedLayer& layer) {
  const std::string name = std::to_string(layer.number);
  layer.blob_path = work.path() + "/blob-" + name;
  // A folder with its content of an earlier image of the same archive has gone to its place.
  SKIFF_ASSIGN(const Fd blob,
               OpenFile(layer.blob_path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  SKIFF_TRY(CopyFile(file, blob, layer.diff_id));
  if (::lseek(blob.get(), 0, SEEK_SET) != 0) return FailErrno("cannot read a layer");
  SKIFF_ASSIGN(layer.folder, layers.PrepareLayer(work, "layer-" + name));
  SKIFF_ASSIGN(const UnpackedLayer unpacked, layers.Unpack(blob.get(), layer.folder, -1));
  return Compare(unpacked, layer);
}

Status PrepareFromBlob(LayerStore& layers, const WorkFolder& work, const Fd& blob,
                       PreparedLayer& layer) {
  if (::lseek(blob.get(), 0, SEEK_SET) != 0) return FailErrno("cannot read a layer");
  SKIFF_ASSIGN(layer.folder,
               layers.PrepareLayer(work, "layer-" + std::to_string(layer.number)));
  SKIFF_ASSIGN(const UnpackedLayer unpacked, layers.Unpack(blob.get(), layer.folder, -1));
  return Compare(unpacked, layer);
}

Status KeepLayer(LayerStore& layers, const PreparedLayer& layer) {
  if (!layer.blob_path.empty()) {
    SKIFF_TRY(layers.KeepFile(layer.blob_path, DigestHex(layer.blob_digest)));
  }
  return layers.PutLayer(DigestHex(layer.diff_id), layer.folder, layer.content_size);
}

Status RunJobs(const std::vector<size_t>& numbers, size_t threads,
               const std::function<Status(size_t, size_t)>& job) {
  std::mutex mutex;
  size_t next = 0;
  Status first;
  const auto work = [&](size_t worker) {
    while (true) {
      size_t number = 0;
      {
        const std::lock_guard lock(mutex);
        if (next == numbers.size() || !first) return;
        number = numbers[next++];
      }
      Status done = job(worker, number);
      const std::lock_guard lock(mutex);
      if (!done && first) first = std::move(done);
    }
  };
  const size_t count = std::min(threads, numbers.size());
  std::vector<std::thread> running;
  for (size_t worker = 1; worker < count; ++worker) running.emplace_back(work, worker);
  if (count > 0) work(0);
  for (std::thread& thread : running) thread.join();
  return first;
}

Status RunLayerJobs(const std::vector<size_t>& numbers, const std::function<Status(size_t)>& job) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  return RunJobs(numbers, std::min(cores, kMaximumThreads),
                 [&](size_t, size_t number) { return job(number); });
}

}  // namespace skiff::engine::image
