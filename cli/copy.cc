#include "cli/copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/fd.h"
#include "base/units.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "engine-core/pack_path.h"

namespace skiff::cli {
namespace {

constexpr int kMaximumLinks = 40;

// Without ".", ".." and doubled slashes, but a "/" or "/." at the end stays: it says that the path
// names a folder.
std::string Clean(const std::string& path) {
  std::string clean = std::filesystem::path(path).lexically_normal().string();
  while (clean.size() > 1 && clean.ends_with('/')) clean.pop_back();
  const std::string_view last = std::string_view(path).substr(path.rfind('/') + 1);
  if (last == ".") return clean == "/" ? "/." : clean + "/.";
  if (path.ends_with('/') && clean != "/") clean += '/';
  return clean;
}

Result<std::string> HostPath(const std::string& path) {
  std::error_code error;
  const auto folder = std::filesystem::current_path(error);
  if (error) return FailErrno(error.value(), "cannot find the working directory");
  return Clean(path.starts_with('/') ? path : folder.string() + "/" + path);
}

struct PathParts {
  std::string folder;  // With a "/" at its end.
  std::string name;    // "." for the contents of the folder.
};
PathParts SplitLast(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const size_t base = path.rfind('/') + 1;
  return {path.substr(0, base), path.substr(base)};
}

bool AssertsFolder(const std::string& path) {
  return path.ends_with('/') || path.ends_with("/.");
}

// Either side of a copy, as far as it matters.
struct Info {
  std::string path;
  bool exists = false;
  bool folder = false;
};

struct Placement {
  std::string folder;  // Where the archive is unpacked.
  std::string name;    // What its entries are called.
};

// docker's rule of what a destination means.
Result<Placement> Place(const Info& from, const std::string& own_name, const Info& to) {
  if (to.exists && to.folder) return Placement{to.path, own_name};
  if (to.exists && from.folder) return Fail(Code::kInvalidArgument, "cannot copy directory");
  if (!to.exists && !from.folder && AssertsFolder(to.path)) {
    return Fail(Code::kNotFound, "no such directory");
  }
  const std::string path = to.path.ends_with("/.") ? to.path.substr(0, to.path.size() - 1) : to.path;
  PathParts split = SplitLast(path);
  if (split.folder.size() > 1) split.folder.pop_back();
  return Placement{std::move(split.folder), std::move(split.name)};
}

Result<Info> LstatHost(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) {
      return Fail(Code::kNotFound, "lstat " + path + ": no such file or directory");
    }
    return FailErrno("cannot read '" + path + "'");
  }
  return Info{path, true, S_ISDIR(info.st_mode)};
}

Result<std::string> RealPath(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), ::free);
  if (!real) {
    if (errno == ENOENT) {
      return Fail(Code::kNotFound, "lstat " + path + ": no such file or directory");
    }
    return FailErrno("cannot read '" + path + "'");
  }
  return std::string(real.get());
}

Status CheckKind(uint32_t mode, const std::string& shown) {
  if (S_ISDIR(mode) || S_ISREG(mode) || S_ISLNK(mode)) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("destination \"{}\" must be a directory or a regular file: got {}", shown,
                          S_ISBLK(mode) || S_ISCHR(mode) ? "a device" : "an irregular file"));
}

std::string Joined(const std::string& link, const std::string& target) {
  return Clean(target.starts_with('/') ? target : SplitLast(link).folder + target);
}

// What the path is in the container, links followed to their end, which need not be there.
Result<Info> InfoIn(engine::Engine& engine, const CopyPlace& place) {
  Info info{Clean(place.path.starts_with('/') ? place.path : "/" + place.path)};
  for (int links = 0; links < kMaximumLinks; ++links) {
    const auto found = engine.StatPath(place.container, info.path);
    // The container itself has been looked up before.
    if (!found && found.error().code == Code::kNotFound) return info;
    if (!found) return Fail(found.error());
    SKIFF_TRY(CheckKind(found->mode, place.container + ":" + place.path));
    if (!S_ISLNK(found->mode)) {
      info.exists = true;
      info.folder = S_ISDIR(found->mode);
      return info;
    }
    info.path = Joined(info.path, found->link_target);
  }
  return Fail(Code::kInvalidArgument, "too many symlinks in " + place.path);
}

Result<Info> InfoOfHost(const std::string& original) {
  std::string path = original;
  for (int links = 0; links < kMaximumLinks; ++links) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
      if (errno != ENOENT) return FailErrno("cannot read '" + path + "'");
      return Info{path};
    }
    SKIFF_TRY(CheckKind(info.st_mode, original));
    if (!S_ISLNK(info.st_mode)) return Info{path, true, S_ISDIR(info.st_mode)};
    std::string target(PATH_MAX, '\0');
    const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    if (length < 0) return FailErrno("cannot read the link '" + path + "'");
    target.resize(static_cast<size_t>(length));
    path = Joined(path, target);
  }
  return Fail(Code::kInvalidArgument, "too many symlinks in " + original);
}

// What Ctrl-C has ended fails as that and not as what it did to the programs at work.
Status Uninterrupted(Context& context, const Status& outcome) {
  SKIFF_ASSIGN(const bool interrupted, context.Interrupted());
  if (!outcome && interrupted) return Fail(Code::kCancelled, "interrupted");
  return outcome;
}

// One thread writes an archive that this one reads. Ctrl-C ends the stream between them.
template <typename Write, typename Read>
Status Streamed(Context& context, const Write& write, const Read& read) {
  SKIFF_ASSIGN(const int interrupt, context.InterruptFd());
  // Sockets, since a pipe cannot be ended from beside.
  SKIFF_ASSIGN(auto ends, MakeSocketPair(SOCK_STREAM));
  SKIFF_ASSIGN(Pipe over, MakePipe());
  Status written;
  std::thread writer([&] {
    written = write(ends.first.get());
    ::shutdown(ends.first.get(), SHUT_WR);
  });
  std::thread guard([&] {
    pollfd wanted[] = {{interrupt, POLLIN, 0}, {over.read.get(), 0, 0}};
    while (::poll(wanted, 2, -1) < 0 && errno == EINTR) {
    }
    if (wanted[0].revents != 0) ::shutdown(ends.first.get(), SHUT_RDWR);
  });
  const Status done = read(ends.second.get());
  ::shutdown(ends.second.get(), SHUT_RDWR);  // A writer that is not done fails with EPIPE.
  writer.join();
  over.write.Reset();  // The hang-up that the guard waits for.
  guard.join();
  // Of two failures the reader's explains the writer's, unless that one came first.
  const bool writer_first = !written && written.error().sys_errno != EPIPE;
  return Uninterrupted(context, writer_first || done ? written : done);
}

Status WritableParent(const std::string& path) {
  const std::string parent = SplitLast(path).folder;
  struct stat info {};
  if (::stat(parent.c_str(), &info) == 0) return {};
  std::string shown = parent;
  while (shown.size() > 1 && shown.ends_with('/')) shown.pop_back();
  return Fail(Code::kNotFound,
              fmt::format("invalid output path: directory \"{}\" does not exist", shown));
}

// From a person's pipe, which may say nothing for long: Ctrl-C is waited for beside it, and that
// nobody wants the rest.
Status Relay(Context& context, int from, int to) {
  SKIFF_ASSIGN(const int interrupt, context.InterruptFd());
  std::string buffer(size_t{1} << 16, '\0');
  for (;;) {
    pollfd wanted[] = {{from, POLLIN, 0}, {interrupt, POLLIN, 0}, {to, 0, 0}};
    if (::poll(wanted, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot wait for input");
    }
    if (wanted[1].revents != 0 || wanted[2].revents != 0) return {};
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read standard input");
    if (got == 0) return {};
    SKIFF_TRY(WriteAll(to, {buffer.data(), static_cast<size_t>(got)}, "the archive"));
  }
}

void PrintSummary(Context& context, const Copied& copied) {
  const std::string size = FormatSize(copied.content, 3);
  context.PrintError(
      copied.content == copied.transferred
          ? fmt::format("Successfully copied {} to {}\n", size, copied.destination)
          : fmt::format("Successfully copied {} (transferred {}) to {}\n", size,
                        FormatSize(copied.transferred, 3), copied.destination));
}

}  // namespace

CopyPlace ParseCopyPlace(const std::string& text) {
  const size_t colon = text.find(':');
  if (text.starts_with('/') || text.starts_with('.') || colon == std::string::npos) {
    return {"", text};
  }
  return {text.substr(0, colon), text.substr(colon + 1)};
}

Result<Copied> CopyToContainer(Context& context, const CopyPlace& from, const CopyPlace& to,
                               const CopyOptions& options, int input) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_TRY(engine->InspectContainer(to.container));
  SKIFF_ASSIGN(const Info destination, InfoIn(*engine, to));
  Copied copied;
  copied.destination = to.container + ":" + to.path;
  engine::WriteArchiveOptions write;
  write.as_user = options.as_user;
  if (from.path == "-") {
    if (!destination.exists || !destination.folder) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("destination \"{}:{}\" must be a directory", to.container, to.path));
    }
    SKIFF_TRY(Streamed(
        context, [&](int fd) { return Relay(context, input, fd); },
        [&](int fd) { return engine->WriteArchive(to.container, destination.path, fd, write); }));
    return copied;
  }
  SKIFF_ASSIGN(std::string path, HostPath(from.path));
  const std::string name = SplitLast(path).name;  // "." for contents.
  SKIFF_ASSIGN(Info source, LstatHost(path));
  if (options.follow_link && name != ".") {
    SKIFF_ASSIGN(path, RealPath(path));
    SKIFF_ASSIGN(source, LstatHost(path));
  }
  SKIFF_ASSIGN(const Placement placement, Place(source, name, destination));
  SKIFF_ASSIGN(const Fd root, OpenFile("/", O_PATH | O_DIRECTORY));
  const auto pack = [&](int fd) -> Status {
    SKIFF_ASSIGN(const engine::PackedTree packed,
                 engine::PackPath(root.get(), path, placement.name, [&](std::string_view data) {
                   copied.transferred += static_cast<int64_t>(data.size());
                   return WriteAll(fd, data, "the archive");
                 }));
    copied.content = packed.content_size;
    return {};
  };
  SKIFF_TRY(Streamed(context, pack, [&](int fd) {
    return engine->WriteArchive(to.container, placement.folder, fd, write);
  }));
  return copied;
}

Result<Copied> CopyFromContainer(Context& context, const CopyPlace& from, const CopyPlace& to,
                                 const CopyOptions& options) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  Copied copied;
  std::string destination_path = to.path;
  if (to.path != "-") {
    SKIFF_ASSIGN(destination_path, HostPath(to.path));
    SKIFF_TRY(WritableParent(destination_path));
  }
  copied.destination = destination_path;
  SKIFF_TRY(engine->InspectContainer(from.container));
  std::string path = Clean(from.path.starts_with('/') ? from.path : "/" + from.path);
  SKIFF_ASSIGN(engine::PathInfo info, engine->StatPath(from.container, path));
  const std::string name = SplitLast(path).name;
  for (int links = 0; options.follow_link && S_ISLNK(info.mode); ++links) {
    if (links == kMaximumLinks) {
      return Fail(Code::kInvalidArgument, "too many symlinks in " + from.path);
    }
    path = Joined(path, info.link_target);
    SKIFF_ASSIGN(info, engine->StatPath(from.container, path));
  }
  if (to.path == "-") {
    if (IsTerminal(context.around().out)) {
      return Fail(Code::kInvalidArgument,
                  "refusing to write an archive to a terminal: redirect standard output");
    }
    SKIFF_TRY(Uninterrupted(context, engine->ReadArchive(from.container, path,
                                                         name.empty() ? "/" : name,
                                                         context.around().out)));
    return copied;
  }
  SKIFF_ASSIGN(const Info destination, InfoOfHost(destination_path));
  const Info source{path, true, S_ISDIR(info.mode)};
  SKIFF_ASSIGN(const Placement placement, Place(source, name.empty() ? "." : name, destination));
  SKIFF_ASSIGN(const Fd folder, OpenFile(placement.folder, O_RDONLY | O_DIRECTORY));
  const Status streamed = Streamed(
      context,
      [&](int fd) { return engine->ReadArchive(from.container, path, placement.name, fd); },
      [&](int fd) -> Status {
        SKIFF_ASSIGN(copied.transferred,
                     engine->UnpackFiles(fd, folder.get(), {::geteuid(), ::getegid()}));
        return {};
      });
  SKIFF_TRY(streamed);
  copied.content = S_ISDIR(info.mode) ? copied.transferred : info.size;
  return copied;
}

Result<int> RunContainerCopy(Context& context, const Arguments& arguments) {
  const CopyPlace from = ParseCopyPlace(arguments.Operand(0));
  const CopyPlace to = ParseCopyPlace(arguments.Operand(1));
  if (arguments.Operand(0).empty()) return Fail(Code::kInvalidArgument, "source can not be empty");
  if (arguments.Operand(1).empty()) {
    return Fail(Code::kInvalidArgument, "destination can not be empty");
  }
  const CopyOptions options{arguments.Bool("follow-link"), arguments.Bool("archive")};
  if (!from.container.empty() && !to.container.empty()) {
    return Fail(Code::kInvalidArgument, "copying between containers is not supported");
  }
  if (from.container.empty() && to.container.empty()) {
    return Fail(Code::kInvalidArgument, "must specify at least one container source");
  }
  SKIFF_ASSIGN(const Copied copied, to.container.empty()
                                        ? CopyFromContainer(context, from, to, options)
                                        : CopyToContainer(context, from, to, options, context.around().in));
  const bool quiet = arguments.Has("quiet") ? arguments.Bool("quiet")
                                            : !IsTerminal(context.around().out);
  if (!quiet && from.path != "-" && to.path != "-") PrintSummary(context, copied);
  return 0;
}

}  // namespace skiff::cli
