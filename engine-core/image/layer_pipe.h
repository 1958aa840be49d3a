#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/image/layer_store.h"

namespace skiff::engine::image {

// A layer of this machine's making (`hex`) that is packed while somebody reads it, so that it goes
// out without a file of its own in between, and the contents of large files without a copy. It is
// not hashed on the way: whoever reads compares digests. One thread, which ends with the object.
class LayerPipe {
 public:
  static Result<std::unique_ptr<LayerPipe>> Open(LayerStore& layers, const std::string& hex);
  ~LayerPipe();
  LayerPipe(const LayerPipe&) = delete;
  LayerPipe& operator=(const LayerPipe&) = delete;

  int reader() const { return pipe_.read.get(); }
  // After the last byte that anybody wants: whether that was the whole layer.
  Result<bool> Close();

 private:
  explicit LayerPipe(Pipe pipe) : pipe_(std::move(pipe)) {}
  void Pack(const Fd& folder);
  Status Put(std::string_view data);
  Status PutFile(int fd, int64_t size);
  Status Flush();

  Pipe pipe_;
  std::string buffer_;
  Status packed_;  // These two are the thread's until it is joined.
  bool unread_ = false;
  std::thread thread_;
};

}  // namespace skiff::engine::image
