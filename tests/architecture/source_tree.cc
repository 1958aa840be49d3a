#include "tests/architecture/source_tree.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

namespace skiff::architecture {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Matches(const std::string& text, const std::regex& form) {
  std::vector<std::string> found;
  for (auto it = std::sregex_iterator(text.begin(), text.end(), form); it != std::sregex_iterator();
       ++it) {
    found.push_back((*it)[1]);
  }
  return found;
}

// Length of a raw string literal that begins at `at` with R", or 0.
size_t RawStringLength(std::string_view text, size_t at) {
  if (text.substr(at, 2) != "R\"") return 0;
  const size_t open = text.find('(', at);
  if (open == std::string_view::npos || open - at > 18) return 0;
  const std::string end = ")" + std::string(text.substr(at + 2, open - at - 2)) + "\"";
  const size_t close = text.find(end, open);
  return close == std::string_view::npos ? 0 : close + end.size() - at;
}

// Length of the comment, string or character literal at `at`, or 0.
size_t SkippedLength(std::string_view text, size_t at) {
  const std::string_view two = text.substr(at, 2);
  if (two == "//") return std::min(text.find('\n', at), text.size()) - at;
  if (two == "/*") {
    const size_t end = text.find("*/", at + 2);
    return end == std::string_view::npos ? text.size() - at : end + 2 - at;
  }
  if (const size_t raw = RawStringLength(text, at); raw != 0) return raw;
  const char quote = text[at];
  if (quote != '"' && quote != '\'') return 0;
  // 1'000'000 is a number.
  if (quote == '\'' && at > 0 && std::isxdigit(static_cast<unsigned char>(text[at - 1])) != 0) {
    return 0;
  }
  size_t end = at + 1;
  while (end < text.size() && text[end] != quote && text[end] != '\n') {
    end += text[end] == '\\' ? 2 : 1;
  }
  return std::min(end + 1, text.size()) - at;
}

}  // namespace

const std::vector<std::string> kModules = {"base",    "schema",  "netmgr", "volumes", "engine-core",
                                           "builder", "compose", "api",    "cli"};

std::string RepositoryRoot() {
  return SKIFF_TEST_SOURCE_DIR;
}

bool Exists(const std::string& relative_path) {
  return fs::exists(fs::path(RepositoryRoot()) / relative_path);
}

std::string ReadTextFile(const std::string& relative_path) {
  std::ifstream file(fs::path(RepositoryRoot()) / relative_path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<SourceFile> ReadSources(const std::vector<std::string>& folders) {
  std::vector<SourceFile> files;
  const fs::path root = RepositoryRoot();
  for (const std::string& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (!entry.is_regular_file() ||
          (extension != ".h" && extension != ".cc" && extension != ".c")) {
        continue;
      }
      SourceFile file;
      file.path = fs::relative(entry.path(), root);
      file.module = file.path.substr(0, file.path.find('/'));
      file.text = ReadTextFile(file.path);
      file.code = BlankCommentsAndStrings(file.text);
      file.line_count = static_cast<size_t>(std::count(file.text.begin(), file.text.end(), '\n'));
      files.push_back(std::move(file));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

std::string BlankCommentsAndStrings(std::string_view text) {
  std::string code(text);
  for (size_t at = 0; at < text.size();) {
    const size_t length = SkippedLength(text, at);
    for (size_t i = at; i < at + length; ++i) {
      if (code[i] != '\n') code[i] = ' ';
    }
    at += length == 0 ? 1 : length;
  }
  return code;
}

std::vector<std::string> QuotedIncludes(const SourceFile& file) {
  static const std::regex form(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]+"([^"]+)")re");
  return Matches(file.text, form);
}

std::vector<std::string> SystemIncludes(const SourceFile& file) {
  static const std::regex form(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]+<([^>]+)>)re");
  return Matches(file.text, form);
}

size_t LineOf(std::string_view text, size_t offset) {
  return 1 + static_cast<size_t>(
                 std::count(text.begin(), text.begin() + static_cast<long>(offset), '\n'));
}

std::vector<std::string> ReadList(const std::string& relative_path) {
  std::vector<std::string> lines;
  std::istringstream stream(ReadTextFile(relative_path));
  for (std::string line; std::getline(stream, line);) {
    line = line.substr(0, line.find('#'));
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) continue;
    lines.push_back(line.substr(first, line.find_last_not_of(" \t\r") - first + 1));
  }
  return lines;
}

}  // namespace skiff::architecture
