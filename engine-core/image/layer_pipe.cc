#include "engine-core/image/layer_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "engine-core/image/pack_tree.h"

namespace skiff::engine::image {
namespace {

constexpr size_t kPipeBytes = 1 << 20;  // What a user without privileges may ask for, too.
constexpr size_t kBuffered = 1 << 16;   // Smaller pieces are put together.

}  // namespace

Result<std::unique_ptr<LayerPipe>> LayerPipe::Open(LayerStore& layers, const std::string& hex) {
  SKIFF_ASSIGN(Fd folder, OpenFile(layers.layout().layer_diff(hex), O_RDONLY | O_DIRECTORY));
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  // Fewer switches between the two; where the kernel refuses, its 64 KiB do.
  [[maybe_unused]] const int size = ::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeBytes);
  std::unique_ptr<LayerPipe> out(new LayerPipe(std::move(pipe)));
  out->thread_ = std::thread(
      [self = out.get(), of_layer = std::move(folder)] { self->Pack(of_layer); });
  return out;
}

void LayerPipe::Pack(const Fd& folder) {
  const auto packed = PackTree(
      folder.get(), {}, [this](std::string_view data) { return Put(data); },
      [this](int fd, int64_t size) { return PutFile(fd, size); });
  packed_ = packed ? Flush() : Status(Fail(packed.error()));
  unread_ = !packed_ && packed_.error().sys_errno == EPIPE;
  pipe_.write.Reset();  // The reader is told that this is the end.
}

Status LayerPipe::Flush() {
  SKIFF_TRY(WriteAll(pipe_.write.get(), buffer_, "a pipe"));
  buffer_.clear();
  return {};
}

Status LayerPipe::Put(std::string_view data) {
  buffer_ += data;
  return buffer_.size() < kBuffered ? Status() : Flush();
}

Status LayerPipe::PutFile(int fd, int64_t size) {
  // The pages of the file become the pipe's, as they are.
  if (size >= static_cast<int64_t>(kBuffered)) SKIFF_TRY(Flush());
  while (size >= static_cast<int64_t>(kBuffered)) {
    const ssize_t moved = ::splice(fd, nullptr, pipe_.write.get(), nullptr,
                                   std::min<size_t>(kPipeBytes, static_cast<size_t>(size)), 0);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0 && errno == EINVAL) break;  // Not of this file system.
    if (moved < 0) return FailErrno("cannot write to a pipe");
    if (moved == 0) break;
    size -= moved;
  }
  std::string rest(std::min<size_t>(kBuffered, static_cast<size_t>(size)), '\0');
  while (size > 0) {
    const ssize_t got = ::read(fd, rest.data(), std::min<size_t>(rest.size(),
                                                                 static_cast<size_t>(size)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read a file of a layer");
    if (got == 0) return Fail(Code::kFailedPrecondition, "a file of a layer became shorter");
    SKIFF_TRY(Put({rest.data(), static_cast<size_t>(got)}));
    size -= got;
  }
  return {};
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
