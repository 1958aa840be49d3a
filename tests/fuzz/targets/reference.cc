// Names of images, addresses of repositories, platforms.

#include "builder/execute/glob.h"
#include "builder/git.h"
#include "builder/platform.h"
#include "engine-core/references.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(reference) {
  using skiff::fuzz::Require;
  using skiff::fuzz::RequireEqual;
  if (input.size() > 4096) return;
  if (const auto reference = skiff::engine::ParseReference(input)) {
    const auto canonical = skiff::engine::ParseReference(reference->Canonical());
    Require(canonical && *canonical == *reference, "the long form means the same");
    const auto familiar = skiff::engine::ParseReference(reference->Familiar());
    Require(familiar && *familiar == *reference, "the short form means the same");
  }
  if (const auto platform = skiff::builder::ParsePlatform(input)) {
    const std::string full = FormatFullPlatform(*platform);
    const auto again = skiff::builder::ParsePlatform(full);
    Require(again.has_value(), "a platform can be read again");
    RequireEqual(FormatFullPlatform(*again), full, "a platform reads back the same");
  }
  if (skiff::builder::IsGitContext(input)) {
    const auto address = skiff::builder::ParseGitAddress(input);
    if (address) Require(!address->remote.starts_with("-"), "an address is no option of git");
  }
  std::string_view rest = input;
  const std::string_view pattern = skiff::fuzz::TakeUntil(rest, "\n");
  skiff::builder::MatchesGlob(pattern, rest);
}
