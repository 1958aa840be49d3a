#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/layout.h"

namespace skiff::engine::image {

// A blob on its way here: a file in <root>/downloads named by its digest, which outlives the
// command, so that the next one goes on where this one stopped. Held by one process and thread at
// a time.
class Download {
 public:
  // Waits while somebody else is at it. `hex`: the digest's digits.
  static Result<Download> Open(const Layout& layout, const std::string& hex);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  // What is in it turned out to be wrong.
  Status Drop() const;

 private:
  Download(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  Fd fd_;
};

// Removes downloads that nobody is at and that have not grown for `age` seconds; returns their
// bytes.
Result<int64_t> RemoveDownloads(const Layout& layout, int64_t age);

}  // namespace skiff::engine::image
