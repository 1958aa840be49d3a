// An ignore file, then "%%" and paths, one a line.

#include "builder/ignore_file.h"
#include "schema/text/short_syntax.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(ignore_file) {
  using skiff::builder::IgnoreMatcher;
  using skiff::fuzz::TakeUntil;
  if (input.size() > 4096) return;
  skiff::SourceMap sources;
  const uint32_t file = sources.Add(".dockerignore", std::string(TakeUntil(input, "%%\n")));
  const auto matcher = IgnoreMatcher::Parse(sources, file);
  if (!matcher) return;
  for (int count = 0; count < 20 && !input.empty(); ++count) {
    const std::string path = skiff::schema::CleanPath(TakeUntil(input, "\n"));
    if (path.starts_with("/") || path.starts_with("..") || path == ".") continue;
    // A walk from the root has to find what a look at the whole path finds. With exceptions it need
    // not: as in the reference, a rule that would change nothing for a folder is not tried there,
    // and its match not inherited.
    IgnoreMatcher::Trail trail;
    for (size_t end = 0; end != path.npos;) {
      end = path.find('/', end + 1);
      const std::string folder = path.substr(0, end);
      trail = matcher->Step(trail, folder);
    }
    skiff::fuzz::Require(matcher->has_exceptions() || trail.ignored == matcher->Ignores(path),
                         "a walk and a look agree");
  }
}
