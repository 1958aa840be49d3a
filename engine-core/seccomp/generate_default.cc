// Runs when Skiff is built: prints docker's default policy for docker's default capabilities as the
// C++ source of engine-core/child/default_filter.h.

#include <linux/filter.h>

#include <cstdio>
#include <cstring>

#include "engine-core/capabilities.h"
#include "engine-core/seccomp/compile.h"

int main() {
  const auto filter =
      skiff::engine::seccomp::CompileDefaultPolicy(skiff::engine::kDefaultCapabilities);
  if (!filter) {
    std::fprintf(stderr, "%s\n", filter.error().Text().c_str());
    return 1;
  }
  std::puts("#include \"engine-core/child/default_filter.h\"\n\n#include <linux/filter.h>\n");
  std::puts("namespace skiff::engine::child {\nnamespace {\n");
  std::puts("constexpr sock_filter kFilter[] = {");
  for (size_t at = 0; at + sizeof(sock_filter) <= filter->size(); at += sizeof(sock_filter)) {
    sock_filter step;
    std::memcpy(&step, filter->data() + at, sizeof step);
    std::printf("    {0x%x, %u, %u, 0x%x},\n", step.code, step.jt, step.jf, step.k);
  }
  std::puts("};\n\n}  // namespace\n\nstd::string_view DefaultFilter() {");
  std::puts("  return {reinterpret_cast<const char*>(kFilter), sizeof kFilter};\n}\n");
  std::puts("}  // namespace skiff::engine::child");
  return 0;
}
