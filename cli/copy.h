#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "cli/context.h"

namespace skiff::cli {

// "CONTAINER:PATH", or a path of this machine: what has a "/" or "." before its first colon, or
// none, is one.
struct CopyPlace {
  std::string container;  // "": this machine.
  std::string path;       // "-": an archive on standard input or output.
};
CopyPlace ParseCopyPlace(const std::string& text);

struct CopyOptions {
  bool follow_link = false;  // Of a source that is one, its target is copied.
  bool as_user = false;      // Into a container: all belongs to the container's user.
};
struct Copied {
  std::string destination;  // As shown: "web:/srv", "/home/me/srv".
  int64_t content = 0;      // Bytes of files.
  int64_t transferred = 0;  // Bytes of the archive they came in.
};

// `docker cp`, one of the two places in a container. What the destination is decides what it means:
// an existing folder gets the source inside it (of "SRC/." its contents), any other name becomes
// the copy's own name. `input`: what "-" reads.
Result<Copied> CopyToContainer(Context& context, const CopyPlace& from, const CopyPlace& to,
                               const CopyOptions& options, int input);
Result<Copied> CopyFromContainer(Context& context, const CopyPlace& from, const CopyPlace& to,
                                 const CopyOptions& options);

}  // namespace skiff::cli
