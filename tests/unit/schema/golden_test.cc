// Whole texts against files in tests/golden/schema:
//   errors/NAME.yaml       -> errors/NAME.txt: all diagnostics of the file
//   config/NAME/           -> NAME/expected.yaml, expected.json: `config` of the folder
//   docs/compose.schema.json: `config --schema`
// SKIFF_UPDATE_GOLDEN=1 writes what is expected instead of comparing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "schema/load.h"

namespace skiff::schema {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = fs::weakly_canonical(SKIFF_GOLDEN_DIR);

std::string ReadText(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void Compare(const fs::path& path, const std::string& actual) {
  if (std::getenv("SKIFF_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << actual;
    return;
  }
  ASSERT_TRUE(fs::exists(path)) << path << " is missing; SKIFF_UPDATE_GOLDEN=1 writes it";
  EXPECT_EQ(actual, ReadText(path)) << path;
}

// The folder of the sources is not part of what is expected.
std::string WithoutRoot(std::string text) {
  for (size_t at = 0; (at = text.find(kRoot.string(), at)) != std::string::npos;) {
    text.replace(at, kRoot.string().size(), "@");
  }
  return text;
}

std::vector<std::string> Names(const std::string& folder, const std::string& extension) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kRoot / folder)) {
    if (entry.path().extension() == extension) names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string TestName(const testing::TestParamInfo<std::string>& parameter) {
  std::string name = parameter.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class GoldenErrors : public testing::TestWithParam<std::string> {};

TEST_P(GoldenErrors, AreWordForWord) {
  LoadOptions options;
  options.working_dir = (kRoot / "errors").string();
  options.files = {GetParam() + ".yaml"};
  options.project_name = "golden";
  options.env_files = {"/dev/null"};
  const LoadResult result = LoadProject(options);
  EXPECT_FALSE(result.diagnostics.empty()) << "a golden error file without any diagnostic";
  Compare(kRoot / "errors" / (GetParam() + ".txt"),
          WithoutRoot(FormatDiagnostics(result.diagnostics, *result.sources)));
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenErrors, testing::ValuesIn(Names("errors", ".yaml")),
                         TestName);

class GoldenConfig : public testing::TestWithParam<std::string> {};

TEST_P(GoldenConfig, IsWordForWord) {
  LoadOptions options;
  options.working_dir = (kRoot / "config" / GetParam()).string();
  options.environment = {{"HOME", "/home/user"}, {"FROM_PROCESS", "process"}};
  const fs::path profiles = fs::path(options.working_dir) / "profiles";
  if (fs::exists(profiles)) {
    std::istringstream words(ReadText(profiles));
    for (std::string word; words >> word;) options.profiles.push_back(word);
  }
  const LoadResult result = LoadProject(options);
  ASSERT_TRUE(result.ok()) << FormatDiagnostics(result.diagnostics, *result.sources);
  const fs::path folder = options.working_dir;
  Compare(folder / "expected.yaml", WithoutRoot(RenderYaml(*result.tree)));
  Compare(folder / "expected.json", WithoutRoot(RenderJson(*result.tree)) + "\n");
}

std::vector<std::string> Projects() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kRoot / "config")) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Projects, GoldenConfig, testing::ValuesIn(Projects()), TestName);

// The file that editors are pointed at.
TEST(JsonSchema, IsTheOneInTheDocumentation) {
  Compare(kRoot / "../../../docs/compose.schema.json", RenderJsonSchema());
}

}  // namespace
}  // namespace skiff::schema
