#pragma once

#include "cli/build_request.h"
#include "cli/context.h"

namespace skiff::cli {

// What standard input begins with. A pipe is spooled to a file without a name first, so that it can
// be read again.
struct InputFile {
  Fd file;
  bool is_archive = false;
};
Result<InputFile> OpenInput(const Context& context);

// The archive becomes the context of the build: unpacked into a folder that is gone with `request`.
Status UnpackContext(Context& context, const InputFile& input, BuildRequest& request);

// What comes from a stream until its end, as a file without a name, at its beginning.
Result<Fd> Spool(int from);

}  // namespace skiff::cli
