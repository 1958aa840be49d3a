#include "engine-core/image/compress.h"

#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <deque>
#include <future>
#include <string>
#include <thread>

namespace skiff::engine::image {
namespace {

constexpr size_t kBlock = 1u << 20;
constexpr unsigned kMaximumCompressors = 4;
constexpr int kGzipLevel = 6;
constexpr int kZstdLevel = 3;

unsigned Threads() {
  return std::clamp(std::thread::hardware_concurrency(), 1u, kMaximumCompressors);
}

tl::unexpected<Error> FailMemory() {
  return Fail(Code::kExhausted, "not enough memory to compress a layer");
}

// One gzip member.
Result<std::string> CompressBlock(const std::string& block, int level) {
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
      libdeflate_alloc_compressor(level), libdeflate_free_compressor);
  if (!compressor) return FailMemory();
  std::string out(libdeflate_gzip_compress_bound(compressor.get(), block.size()), '\0');
  const size_t size = libdeflate_gzip_compress(compressor.get(), block.data(), block.size(),
                                               out.data(), out.size());
  if (size == 0) return Fail(Code::kInternal, "a block cannot be compressed");
  out.resize(size);
  return out;
}

class GzipCompressor : public Compressor {
 public:
  GzipCompressor(int level, ByteSink sink) : level_(level), sink_(std::move(sink)) {}

  Status Write(std::string_view data) override {
    while (!data.empty()) {
      const size_t part = std::min(data.size(), kBlock - block_.size());
      block_.append(data.substr(0, part));
      data.remove_prefix(part);
      if (block_.size() == kBlock) SKIFF_TRY(Begin());
    }
    return {};
  }

  Status Finish() override {
    if (!block_.empty()) SKIFF_TRY(Begin());
    while (!running_.empty()) SKIFF_TRY(Emit());
    return {};
  }

 private:
  Status Begin() {
    if (running_.size() >= Threads()) SKIFF_TRY(Emit());
    running_.push_back(
        std::async(std::launch::async, CompressBlock, std::exchange(block_, {}), level_));
    return {};
  }

  // The oldest, when it is done.
  Status Emit() {
    const Result<std::string> member = running_.front().get();
    running_.pop_front();
    if (!member) return Fail(member.error());
    return sink_(*member);
  }

  int level_;
  ByteSink sink_;
  std::string block_;
  std::deque<std::future<Result<std::string>>> running_;
};

class ZstdCompressor : public Compressor {
 public:
  ZstdCompressor(int level, ByteSink sink)
      : sink_(std::move(sink)), context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    if (!context_) return;
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
    // One worker and several give equal bytes; none does not. A library without threads refuses.
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_nbWorkers, static_cast<int>(Threads()));
  }

  Status Write(std::string_view data) override { return Feed(data, ZSTD_e_continue); }
  Status Finish() override { return Feed({}, ZSTD_e_end); }

 private:
  Status Feed(std::string_view data, ZSTD_EndDirective mode) {
    if (!context_) return FailMemory();
    ZSTD_inBuffer in = {data.data(), data.size(), 0};
    for (;;) {
      ZSTD_outBuffer out = {buffer_.data(), buffer_.size(), 0};
      const size_t left = ZSTD_compressStream2(context_.get(), &out, &in, mode);
      if (ZSTD_isError(left) != 0) {
        return Fail(Code::kInternal,
                    std::string("a layer cannot be compressed: ") + ZSTD_getErrorName(left));
      }
      if (out.pos > 0) SKIFF_TRY(sink_({buffer_.data(), out.pos}));
      const bool done = mode == ZSTD_e_end ? left == 0 : in.pos == in.size;
      if (done) return {};
    }
  }

  ByteSink sink_;
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context_;
  std::string buffer_ = std::string(ZSTD_CStreamOutSize(), '\0');
};

}  // namespace

std::string_view MediaSuffix(CompressionKind kind) {
  return kind == CompressionKind::kZstd ? "zstd" : "gzip";
}

Result<std::unique_ptr<Compressor>> Compressor::Make(const LayerCompression& compression,
                                                     ByteSink sink) {
  const bool zstd = compression.kind == CompressionKind::kZstd;
  if (!zstd && compression.kind != CompressionKind::kGzip) {
    return Fail(Code::kInvalidArgument, "this is no compression");
  }
  const int level = compression.level.value_or(zstd ? kZstdLevel : kGzipLevel);
  if (level < 0 || level > (zstd ? kMaximumZstdLevel : kMaximumGzipLevel)) {
    return Fail(Code::kInvalidArgument, std::string(MediaSuffix(compression.kind)) +
                                            " has no compression level " + std::to_string(level));
  }
  if (zstd) return std::make_unique<ZstdCompressor>(level, std::move(sink));
  return std::make_unique<GzipCompressor>(level, std::move(sink));
}

}  // namespace skiff::engine::image
