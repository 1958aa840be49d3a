#pragma once

#include <memory>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/image/layer_store.h"

namespace skiff::engine::image {

// A layer of this machine's making (`hex`) that is packed while somebody reads it, so that it goes
// out without a file of its own in between. One thread, which ends with the object.
class LayerPipe {
 public:
  static Result<std::unique_ptr<LayerPipe>> Open(LayerStore& layers, const std::string& hex);
  ~LayerPipe();
  LayerPipe(const LayerPipe&) = delete;
  LayerPipe& operator=(const LayerPipe&) = delete;

  int reader() const { return pipe_.read.get(); }
  // After the last byte that anybody wants: whether that was the whole layer. kCorrupted: it is not
  // the layer any more.
  Result<bool> Close();

 private:
  LayerPipe(LayerStore& layers, Pipe pipe) : layers_(layers), pipe_(std::move(pipe)) {}
  void Pack(const std::string& hex);

  LayerStore& layers_;
  Pipe pipe_;
  Status packed_;  // These two are the thread's until it is joined.
  bool unread_ = false;
  std::thread thread_;
};

}  // namespace skiff::engine::image
