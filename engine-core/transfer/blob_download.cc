#include "engine-core/transfer/blob_download.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

namespace skiff::engine::transfer {

Result<BlobDownload> BlobDownload::Begin(int fd, const std::string& digest, int64_t expected) {
  BlobDownload download(fd, digest, expected);
  struct stat info {};
  if (::fstat(fd, &info) != 0) return FailErrno("cannot read a half downloaded blob");
  if (info.st_size > expected) {
    SKIFF_TRY(download.Restart());
    return download;
  }
  std::string buffer(1 << 18, '\0');
  while (download.size_ < info.st_size) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), download.size_);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read a half downloaded blob");
    if (got == 0) break;
    download.hash_.Update({buffer.data(), static_cast<size_t>(got)});
    download.size_ += got;
  }
  if (::lseek(fd, download.size_, SEEK_SET) < 0) return FailErrno("cannot write a blob");
  return download;
}

Status BlobDownload::Restart() {
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) < 0) {
    return FailErrno("cannot write a blob");
  }
  hash_ = Sha256();
  size_ = 0;
  return {};
}

bool BlobDownload::Take(int http_status, bool resumed, std::string_view data) {
  if (http_status == 200 && resumed && !restarted_) {
    // The registry knows no ranges.
    restarted_ = true;
    status_ = Restart();
    if (!status_) return false;
  }
  if (size_ + static_cast<int64_t>(data.size()) > expected_) {
    status_ = Fail(Code::kCorrupted, "the blob " + digest_ + " is larger than the " +
                                         std::to_string(expected_) + " bytes it ought to have");
    // Nothing of it can be trusted.
    [[maybe_unused]] const Status emptied = Restart();
    return false;
  }
  status_ = WriteAll(fd_, data, "the blob " + digest_);
  if (!status_) return false;
  hash_.Update(data);
  size_ += static_cast<int64_t>(data.size());
  return true;
}

Status BlobDownload::Finish() {
  const std::string found = "sha256:" + hash_.FinishHex();
  if (found == digest_) return {};
  SKIFF_TRY(Restart());
  return Fail(Code::kCorrupted, "the content of the blob " + digest_ + " has the digest " + found);
}

}  // namespace skiff::engine::transfer
