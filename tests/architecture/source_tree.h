#pragma once

#include <string>
#include <string_view>
#include <vector>

// The repository's own files as text, for checks of habits.
namespace skiff::architecture {

struct SourceFile {
  std::string path;    // Relative to the repository: "netmgr/dns/message.cc".
  std::string module;  // First part of the path.
  std::string text;
  // `text` with comments, characters and the insides of strings blanked out; lines stay lines.
  std::string code;
  size_t line_count = 0;
};

// Folders of product code.
extern const std::vector<std::string> kModules;

std::string RepositoryRoot();
// All .h, .cc and .c below these folders, sorted by path.
std::vector<SourceFile> ReadSources(const std::vector<std::string>& folders);
std::string ReadTextFile(const std::string& relative_path);
bool Exists(const std::string& relative_path);

std::string BlankCommentsAndStrings(std::string_view text);
// Files named in `#include "..."` lines.
std::vector<std::string> QuotedIncludes(const SourceFile& file);
std::vector<std::string> SystemIncludes(const SourceFile& file);
size_t LineOf(std::string_view text, size_t offset);

// Lines of a list in this folder ("child_symbols.txt") without comments (from #) and spaces around.
std::vector<std::string> ReadList(const std::string& relative_path);

}  // namespace skiff::architecture
