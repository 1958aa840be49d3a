#include "cli/build_archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/fd.h"

namespace skiff::cli {
namespace {

using namespace std::string_view_literals;

constexpr size_t kBlock = 512;
constexpr std::string_view kMagics[] = {"\x1f\x8b"sv, "BZh"sv, "\xfd\x37\x7a\x58\x5a"sv,
                                        "\x28\xb5\x2f\xfd"sv};

// Archives a context comes in: tar and its compressions.
bool IsArchive(std::string_view data) {
  for (const std::string_view magic : kMagics) {
    if (data.starts_with(magic)) return true;
  }
  return data.size() > 262 && data.substr(257, 5) == "ustar";
}

}  // namespace

Result<Fd> Spool(int from) {
  SKIFF_ASSIGN(Fd file, OpenFile("/tmp", O_TMPFILE | O_RDWR, 0600));
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(from, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read standard input");
    if (got == 0) break;
    SKIFF_TRY(WriteAll(file.get(), {buffer, static_cast<size_t>(got)}, "a temporary file"));
  }
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return FailErrno("cannot read standard input");
  return file;
}

Result<InputFile> OpenInput(const Context& context) {
  InputFile input;
  const int in = context.around().in;
  struct stat info = {};
  const bool regular = fstat(in, &info) == 0 && S_ISREG(info.st_mode);
  if (regular) {
    input.file = Fd(::fcntl(in, F_DUPFD_CLOEXEC, 3));
    if (!input.file) return FailErrno("cannot read standard input");
  } else {
    SKIFF_ASSIGN(input.file, Spool(in));
  }
  const off_t at = ::lseek(input.file.get(), 0, SEEK_CUR);
  char block[kBlock];
  const ssize_t got = ::pread(input.file.get(), block, sizeof block, at);
  if (got < 0) return FailErrno("cannot read standard input");
  input.is_archive = IsArchive({block, static_cast<size_t>(got)});
  return input;
}

Status UnpackContext(Context& context, const InputFile& input, BuildRequest& request) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(request.unpacked, engine->CreateLayer({}));
  SKIFF_ASSIGN(const bool unpacked, engine->UnpackArchive(input.file.get(), *request.unpacked));
  if (!unpacked) {
    return Fail(Code::kInvalidArgument, "standard input is compressed, but no tar archive");
  }
  SKIFF_ASSIGN(const Fd root, request.unpacked->OpenRoot());
  SKIFF_ASSIGN(request.context, PathOfDescriptor(root.get(), "the folder of the context"));
  return {};
}

}  // namespace skiff::cli
