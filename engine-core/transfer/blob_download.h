#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/identity.h"

namespace skiff::engine::transfer {

// A blob on its way into a file, hashed as it comes. What the file holds already counts as the
// beginning. Never more than the expected size is written.
class BlobDownload {
 public:
  // Reads what is there. A file that is longer than the blob starts anew.
  static Result<BlobDownload> Begin(int fd, const std::string& digest, int64_t expected);

  // Bytes of an answer: with 206 they go on behind what is there, with 200 they are the whole blob
  // again. False: no more, see status().
  void NextAnswer() { restarted_ = false; }
  bool Take(int http_status, bool resumed, std::string_view data);
  Status Restart();
  // Compares the digest: kCorrupted, and the file is empty again.
  Status Finish();

  int64_t size() const { return size_; }
  bool complete() const { return size_ == expected_; }
  const Status& status() const { return status_; }

 private:
  BlobDownload(int fd, std::string digest, int64_t expected)
      : fd_(fd), digest_(std::move(digest)), expected_(expected) {}

  int fd_;
  std::string digest_;
  int64_t expected_;
  int64_t size_ = 0;
  bool restarted_ = false;
  Sha256 hash_;
  Status status_;
};

}  // namespace skiff::engine::transfer
