#include "engine-core/transfer/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "base/fd.h"
#include "base/identity.h"
#include "engine-core/transfer/tree_writer.h"

// Two readers of libarchive in a row: the first only decompresses, the second only reads tar.
// Between them passes exactly the uncompressed stream, whose digest is the layer's identity.
namespace skiff::engine::transfer {
namespace {

constexpr size_t kBlock = 1 << 18;
constexpr int64_t kMaximumAttribute = 1 << 20;

struct FreeReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, FreeReader>;

tl::unexpected<Error> FailArchive(archive* reader, const std::string& what) {
  const char* text = archive_error_string(reader);
  const int number = archive_errno(reader);
  const std::string cause = text == nullptr ? "" : std::string(": ") + text;
  Code code = Code::kInvalidArgument;
  if (number == ENOMEM || number == ENOSPC) code = Code::kExhausted;
  return Fail(Error(code, what + cause));
}

// The stream as it comes, the same uncompressed, and what is known about both.
class Source {
 public:
  // `named`: the digests are wanted.
  Source(int tar_fd, int blob_fd, const UnpackLimits& limits, bool named)
      : tar_fd_(tar_fd),
        blob_fd_(blob_fd),
        limits_(limits),
        named_(named),
        buffer_(kBlock, '\0') {}

  Status Open() {
    reader_.reset(archive_read_new());
    if (!reader_) return Fail(Code::kExhausted, "out of memory");
    archive* reader = reader_.get();
    // By name: "all" would include filters that run programs.
    archive_read_support_filter_gzip(reader);
    archive_read_support_filter_bzip2(reader);
    archive_read_support_filter_xz(reader);
    archive_read_support_filter_zstd(reader);
    archive_read_support_format_raw(reader);
    archive_read_support_format_empty(reader);
    if (archive_read_open2(reader, this, nullptr, &Source::ReadRaw, nullptr, nullptr) !=
        ARCHIVE_OK) {
      return Failure("cannot read the archive");
    }
    archive_entry* entry = nullptr;
    if (archive_read_next_header(reader, &entry) != ARCHIVE_OK) {
      if (failure_) return Fail(*failure_);
      return Fail(Code::kInvalidArgument, "cannot read the archive: it is empty");
    }
    return {};
  }

  // The rest of the stream after the tar's end belongs to the digest.
  Status Drain() {
    const void* block = nullptr;
    while (true) {
      const ssize_t got = NextBlock(&block);
      if (got == 0) break;
      if (got < 0) return Failure("cannot read the archive");
    }
    while (true) {
      // Bytes after the end of the compressed stream.
      const ssize_t got = ReadRaw(nullptr, this, &block);
      if (got == 0) return {};
      if (got < 0) return Fail(*failure_);
    }
  }

  static la_ssize_t ReadTar(archive* reader, void* self, const void** block) {
    auto* source = static_cast<Source*>(self);
    const ssize_t got = source->NextBlock(block);
    if (got < 0) {
      archive_set_error(reader, EINVAL, "%s",
                        source->failure_ ? source->failure_->message.c_str()
                                         : archive_error_string(source->reader_.get()));
    }
    return got;
  }

  std::string compression() const {
    if (archive_filter_count(reader_.get()) < 2) return "";
    const char* name = archive_filter_name(reader_.get(), 0);
    return name == nullptr ? "" : name;
  }
  const std::optional<Error>& failure() const { return failure_; }
  std::string DiffId() { return uncompressed_hash_.FinishHex(); }
  std::string BlobDigest() { return raw_hash_.FinishHex(); }
  int64_t raw_bytes() const { return raw_bytes_; }
  int64_t out_bytes() const { return out_bytes_; }

 private:
  Status Failure(const std::string& what) {
    if (failure_) return Fail(*failure_);
    return FailArchive(reader_.get(), what);
  }

  ssize_t Give(ssize_t result, Error error) {
    failure_ = std::move(error);
    return result;
  }

  static la_ssize_t ReadRaw(archive*, void* self, const void** block) {
    auto* source = static_cast<Source*>(self);
    ssize_t got = 0;
    do {
      got = ::read(source->tar_fd_, source->buffer_.data(), source->buffer_.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
      return source->Give(-1, Error(CodeOfErrno(errno), "cannot read the archive", errno));
    }
    const std::string_view data(source->buffer_.data(), static_cast<size_t>(got));
    if (source->named_) source->raw_hash_.Update(data);
    source->raw_bytes_ += got;
    if (source->blob_fd_ >= 0) {
      if (auto kept = WriteAll(source->blob_fd_, data, "the blob"); !kept) {
        return source->Give(-1, std::move(kept).error());
      }
    }
    *block = data.data();
    return got;
  }

  ssize_t NextBlock(const void** block) {
    size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(reader_.get(), block, &size, &offset);
    if (result == ARCHIVE_EOF) return 0;
    if (result != ARCHIVE_OK) return -1;
    if (named_) uncompressed_hash_.Update({static_cast<const char*>(*block), size});
    out_bytes_ += static_cast<int64_t>(size);
    if (out_bytes_ > limits_.bytes && out_bytes_ / limits_.ratio > raw_bytes_) {
      return Give(-1,
                  Error(Code::kExhausted, "the archive grows to more than " +
                                              std::to_string(limits_.ratio) + " times its size"));
    }
    return static_cast<ssize_t>(size);
  }

  int tar_fd_;
  int blob_fd_;
  UnpackLimits limits_;
  bool named_;
  std::string buffer_;
  Reader reader_;
  Sha256 uncompressed_hash_;
  Sha256 raw_hash_;
  int64_t raw_bytes_ = 0;
  int64_t out_bytes_ = 0;
  std::optional<Error> failure_;
};

Result<EntryKind> KindOf(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return EntryKind::kHardlink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return EntryKind::kFile;
    case AE_IFDIR:
      return EntryKind::kFolder;
    case AE_IFLNK:
      return EntryKind::kSymlink;
    case AE_IFCHR:
      return EntryKind::kCharacter;
    case AE_IFBLK:
      return EntryKind::kBlock;
    case AE_IFIFO:
      return EntryKind::kFifo;
    default:
      return Fail(Code::kInvalidArgument, "an entry of an unknown type");
  }
}

std::string TextOf(const char* text) {
  return text == nullptr ? std::string() : std::string(text);
}

Result<Entry> Translate(archive_entry* from) {
  Entry entry;
  entry.path = TextOf(archive_entry_pathname(from));
  SKIFF_ASSIGN(entry.kind, KindOf(from));
  entry.link = TextOf(entry.kind == EntryKind::kHardlink ? archive_entry_hardlink(from)
                                                         : archive_entry_symlink(from));
  entry.mode = archive_entry_mode(from) & 07777;
  const la_int64_t uid = archive_entry_uid(from);
  const la_int64_t gid = archive_entry_gid(from);
  constexpr la_int64_t kLastId = 0xfffffffe;
  if (uid < 0 || gid < 0 || uid > kLastId || gid > kLastId) {
    return Fail(Code::kInvalidArgument,
                "cannot unpack '" + entry.path + "': its owner is out of range");
  }
  entry.uid = static_cast<uid_t>(uid);
  entry.gid = static_cast<gid_t>(gid);
  entry.size = archive_entry_size(from);
  if (entry.size < 0) {
    return Fail(Code::kInvalidArgument, "cannot unpack '" + entry.path + "': its size is negative");
  }
  entry.mtime = {archive_entry_mtime(from), archive_entry_mtime_nsec(from)};
  entry.device = makedev(archive_entry_rdevmajor(from), archive_entry_rdevminor(from));
  archive_entry_xattr_reset(from);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    if (name == nullptr || size > kMaximumAttribute) {
      return Fail(Code::kInvalidArgument,
                  "cannot unpack '" + entry.path + "': an attribute is too large");
    }
    entry.attributes.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
  return entry;
}

// Sparse parts are left as holes.
Status WriteContent(archive* tar, const Entry& entry, const Fd& file, int64_t* content) {
  const void* block = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  while (true) {
    const int result = archive_read_data_block(tar, &block, &size, &offset);
    if (result == ARCHIVE_EOF) break;
    if (result != ARCHIVE_OK) return FailArchive(tar, "cannot unpack '" + entry.path + "'");
    const char* data = static_cast<const char*>(block);
    for (size_t done = 0; done < size;) {
      const ssize_t wrote =
          ::pwrite(file.get(), data + done, size - done, offset + static_cast<la_int64_t>(done));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return FailErrno("cannot write '" + entry.path + "'");
      done += static_cast<size_t>(wrote);
    }
    *content += static_cast<int64_t>(size);
  }
  if (::ftruncate(file.get(), entry.size) != 0) {
    return FailErrno("cannot set the size of '" + entry.path + "'");
  }
  return {};
}

// Names are bytes, but libarchive converts those of pax records from UTF-8 to the locale. Towards a
// UTF-8 locale it would compose characters; towards "C" it fails for all but ASCII, says so, and
// gives the bytes of the record. This locale is part of libc: no file is read for it.
class NamesAsBytes {
 public:
  NamesAsBytes() : locale_(::newlocale(LC_CTYPE_MASK, "C", nullptr)) {
    if (locale_ != nullptr) before_ = ::uselocale(locale_);
  }
  ~NamesAsBytes() {
    if (locale_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(locale_);
  }
  NamesAsBytes(const NamesAsBytes&) = delete;
  NamesAsBytes& operator=(const NamesAsBytes&) = delete;

 private:
  locale_t locale_;
  locale_t before_ = nullptr;
};

bool OnlyNameNotConverted(archive* tar, int result) {
  const char* text = archive_error_string(tar);
  return result == ARCHIVE_WARN && text != nullptr &&
         std::string_view(text).ends_with(" can't be converted from UTF-8 to current locale.");
}

}  // namespace

Result<UnpackAnswer> Unpack(int tar_fd, int folder_fd, int blob_fd, const UnpackLimits& limits,
                            const std::optional<UnpackTarget>& target) {
  const NamesAsBytes names;
  Source source(tar_fd, blob_fd, limits, !target);
  SKIFF_TRY(source.Open());
  const Reader tar(archive_read_new());
  if (!tar) return Fail(Code::kExhausted, "out of memory");
  archive_read_support_format_tar(tar.get());
  // The same for names outside of pax records.
  archive_read_set_option(tar.get(), "tar", "hdrcharset", "BINARY");
  UnpackAnswer answer;
  const auto fail = [&](const std::string& what) -> tl::unexpected<Error> {
    if (source.failure()) return Fail(*source.failure());
    return FailArchive(tar.get(), what);
  };
  if (archive_read_open2(tar.get(), &source, nullptr, &Source::ReadTar, nullptr, nullptr) !=
      ARCHIVE_OK) {
    return fail("cannot read the archive");
  }
  TreeWriter writer(folder_fd, target);
  while (true) {
    archive_entry* raw = nullptr;
    const int result = archive_read_next_header(tar.get(), &raw);
    if (result == ARCHIVE_EOF) break;
    // Any other warning means that something was malformed and skipped: refused, or two readers of
    // one archive would see different files.
    if (result != ARCHIVE_OK && !OnlyNameNotConverted(tar.get(), result)) {
      return fail("cannot read the archive");
    }
    if (++answer.layer.entries > limits.entries) {
      return Fail(Code::kExhausted,
                  "the archive has more than " + std::to_string(limits.entries) + " entries");
    }
    SKIFF_ASSIGN(Entry entry, Translate(raw));
    if (target && target->owner) {
      entry.uid = target->owner->uid;
      entry.gid = target->owner->gid;
    }
    SKIFF_ASSIGN(const Fd file, writer.Begin(entry));
    if (!file.valid()) continue;
    if (auto written = WriteContent(tar.get(), entry, file, &answer.layer.content_size); !written) {
      if (source.failure()) return Fail(*source.failure());
      return Fail(std::move(written).error());
    }
    SKIFF_TRY(writer.FinishFile(entry, file));
  }
  SKIFF_TRY(writer.Finish());
  SKIFF_TRY(source.Drain());
  answer.layer.compression = source.compression();
  if (!target) {
    answer.layer.diff_id = source.DiffId();
    answer.layer.blob_digest = source.BlobDigest();
  }
  answer.layer.blob_size = source.raw_bytes();
  answer.opaque = writer.opaque();
  return answer;
}

}  // namespace skiff::engine::transfer
