#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "cli/dispatch.h"
#include "engine-core/fake_engine.h"

namespace skiff::cli {

// Runs command lines against one fake engine and keeps what they print.
struct CommandLine {
  int status = -1;
  std::string out, err;
};

inline std::string Content(const Fd& file) {
  lseek(file.get(), 0, SEEK_SET);
  auto text = ReadAll(file.get(), 1 << 20, "a memory file");
  return text ? *text : text.error().Text();
}

inline CommandLine RunLine(std::vector<std::string> words, Surroundings surroundings) {
  const Fd out(memfd_create("out", MFD_CLOEXEC)), err(memfd_create("err", MFD_CLOEXEC));
  const Fd in(memfd_create("in", MFD_CLOEXEC));
  surroundings.in = in.get();
  surroundings.out = out.get();
  surroundings.err = err.get();
  if (!surroundings.now) surroundings.now = [] { return int64_t{1'800'000'000'000'000'000}; };
  if (surroundings.working_dir.empty()) surroundings.working_dir = "/";
  CommandLine line;
  line.status = RunProgram(std::move(words), std::move(surroundings));
  line.out = Content(out);
  line.err = Content(err);
  return line;
}

}  // namespace skiff::cli
