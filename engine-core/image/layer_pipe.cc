#include "engine-core/image/layer_pipe.h"

#include <fcntl.h>

#include <cerrno>

#include "engine-core/image/archive_save.h"

namespace skiff::engine::image {
namespace {

constexpr int kPipeBytes = 1 << 20;  // What a user without privileges may ask for, too.

}  // namespace

Result<std::unique_ptr<LayerPipe>> LayerPipe::Open(LayerStore& layers, const std::string& hex) {
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  // Fewer switches between the two; where the kernel refuses, its 64 KiB do.
  [[maybe_unused]] const int size = ::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeBytes);
  std::unique_ptr<LayerPipe> out(new LayerPipe(layers, std::move(pipe)));
  out->thread_ = std::thread([self = out.get(), hex] { self->Pack(hex); });
  return out;
}

void LayerPipe::Pack(const std::string& hex) {
  packed_ = PackLayer(layers_, hex, [&](std::string_view data) {
    Status written = WriteAll(pipe_.write.get(), data, "a pipe");
    unread_ = !written && written.error().sys_errno == EPIPE;
    return written;
  });
  pipe_.write.Reset();  // The reader is told that this is the end.
}

Result<bool> LayerPipe::Close() {
  pipe_.read.Reset();
  if (thread_.joinable()) thread_.join();
  if (unread_) return false;
  SKIFF_TRY(packed_);
  return true;
}

LayerPipe::~LayerPipe() {
  // Whoever wanted to know has asked.
  [[maybe_unused]] const Result<bool> packed = Close();
}

}  // namespace skiff::engine::image
