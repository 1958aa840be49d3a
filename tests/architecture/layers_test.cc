// Which module may include what (DESIGN: "Modules and the direction of dependencies").

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/architecture/source_tree.h"

namespace skiff::architecture {
namespace {

// Arrows point down only. cli/ is also where everything is put together.
const std::map<std::string, std::set<std::string>> kArrows = {
    {"base", {}},
    {"schema", {"base"}},
    {"netmgr", {"base"}},
    {"volumes", {"base"}},
    {"engine-core", {"base", "netmgr", "volumes"}},
    {"builder", {"base", "engine-core"}},
    {"compose", {"base", "schema", "builder", "engine-core"}},
    {"api", {"base", "schema", "compose", "builder", "engine-core"}},
    {"cli", {"base", "schema", "compose", "builder", "engine-core", "api"}},
};

// What those above the seam see of the engine. fake_engine.h is for tests.
const std::set<std::string> kSeam = {"engine-core/engine.h", "engine-core/types.h",
                                     "engine-core/references.h", "engine-core/project_lock.h",
                                     "engine-core/images.h",     "engine-core/image_config.h",
                                     "engine-core/image_platform.h"};
const std::set<std::string> kBehindTheSeam = {"builder", "compose", "api"};

// Private folders that another part may use all the same. The static monitor needs names and relay
// and must not link the rest of netmgr.
struct Exception {
  std::string user, headers;
};
const std::vector<Exception> kExceptions = {
    {"engine-core/monitor/", "netmgr/dns/"},
    {"engine-core/monitor/", "netmgr/relay/"},
};

// A library has one home; whoever else wants it asks the module that lives there.
struct Home {
  std::string header;  // Beginning of a system include.
  std::vector<std::string> folders;
};
const std::vector<Home> kHomes = {
    {"yaml-cpp/", {"schema/"}},
    {"sqlite3.h", {"engine-core/store/"}},
    {"CLI/", {"cli/"}},
    {"archive.h", {"engine-core/transfer/"}},
    {"archive_entry.h", {"engine-core/transfer/"}},
    {"curl/", {"engine-core/transfer/"}},
    {"netlink/", {"netmgr/"}},
    {"openssl/", {"base/"}},
    {"seccomp.h", {"engine-core/"}},
};

bool StartsWith(const std::string& text, const std::string& beginning) {
  return text.compare(0, beginning.size(), beginning) == 0;
}

// Module of an include path, "" when it is none of ours.
std::string ModuleOf(const std::string& include) {
  const std::string first = include.substr(0, include.find('/'));
  return kArrows.count(first) != 0 && include.find('/') != std::string::npos ? first : "";
}

bool IsPrivate(const std::string& include) {
  return std::count(include.begin(), include.end(), '/') > 1;
}

bool IsExcepted(const std::string& user, const std::string& include) {
  return std::any_of(kExceptions.begin(), kExceptions.end(), [&](const Exception& exception) {
    return StartsWith(user, exception.user) && StartsWith(include, exception.headers);
  });
}

// Module whose private headers a file may use: of tests that of the folder they mirror.
std::string OwnModule(const SourceFile& file) {
  if (file.module != "tests") return file.module;
  static const std::map<std::string, std::string> parts = {{"child", "engine-core"},
                                                           {"monitor", "engine-core"}};
  const size_t kind = file.path.find('/') + 1;
  const size_t module = file.path.find('/', kind) + 1;
  const std::string name = file.path.substr(module, file.path.find('/', module) - module);
  const auto part = parts.find(name);
  return part != parts.end() ? part->second : name;
}

const std::vector<SourceFile>& ProductSources() {
  static const std::vector<SourceFile> files = ReadSources(kModules);
  return files;
}

TEST(LayersTest, TheTreeIsThere) {
  EXPECT_GT(ProductSources().size(), 50U);
}

TEST(LayersTest, IncludesFollowTheArrows) {
  for (const SourceFile& file : ProductSources()) {
    const std::set<std::string>& allowed = kArrows.at(file.module);
    for (const std::string& include : QuotedIncludes(file)) {
      const std::string target = ModuleOf(include);
      EXPECT_FALSE(target.empty()) << file.path << " includes \"" << include
                                   << "\": paths are relative to the repository's root";
      if (target.empty() || target == file.module) continue;
      EXPECT_TRUE(allowed.count(target) != 0 || IsExcepted(file.path, include))
          << file.path << " includes " << include << ": " << file.module << " must not know "
          << target;
    }
  }
}

TEST(LayersTest, SubfoldersArePrivate) {
  std::vector<std::string> folders = kModules;
  folders.insert(folders.end(), {"tests/unit", "tests/kernel", "tests/e2e"});
  for (const SourceFile& file : ReadSources(folders)) {
    for (const std::string& include : QuotedIncludes(file)) {
      const std::string target = ModuleOf(include);
      if (target.empty() || !IsPrivate(include) || target == OwnModule(file)) continue;
      EXPECT_TRUE(IsExcepted(file.path, include))
          << file.path << " includes " << include << ", a private header of " << target;
    }
  }
}

TEST(LayersTest, OnlyTheSeamOfTheEngineIsUsedAbove) {
  for (const SourceFile& file : ProductSources()) {
    if (kBehindTheSeam.count(file.module) == 0) continue;
    for (const std::string& include : QuotedIncludes(file)) {
      if (ModuleOf(include) != "engine-core") continue;
      EXPECT_EQ(kSeam.count(include), 1U)
          << file.path << " includes " << include << ", which is not the engine's seam";
    }
  }
}

TEST(LayersTest, TheFakeEngineIsForTests) {
  for (const SourceFile& file : ProductSources()) {
    if (file.path == "engine-core/fake_engine.cc" || file.path.starts_with("engine-core/fake/")) {
      continue;
    }
    for (const std::string& include : QuotedIncludes(file)) {
      EXPECT_NE(include, "engine-core/fake_engine.h") << file.path;
    }
  }
}

TEST(LayersTest, LibrariesHaveOneHome) {
  for (const SourceFile& file : ProductSources()) {
    for (const std::string& include : SystemIncludes(file)) {
      for (const Home& home : kHomes) {
        if (!StartsWith(include, home.header)) continue;
        EXPECT_TRUE(
            std::any_of(home.folders.begin(), home.folders.end(),
                        [&](const std::string& folder) { return StartsWith(file.path, folder); }))
            << file.path << " includes <" << include << ">";
      }
    }
  }
}

// Heavy headers behind light ones make everything that includes them slow to build.
TEST(LayersTest, HeavyHeadersStayOutOfPublicHeaders) {
  static const std::set<std::string> heavy = {"nlohmann/json.hpp", "CLI/CLI.hpp", "yaml-cpp/yaml.h",
                                              "fmt/ranges.h"};
  for (const SourceFile& file : ProductSources()) {
    // Nobody includes headers of cli but cli itself.
    if (!file.path.ends_with(".h") || IsPrivate(file.path) || file.module == "cli") continue;
    for (const std::string& include : SystemIncludes(file)) {
      EXPECT_EQ(heavy.count(include), 0U) << file.path << " includes <" << include << ">";
    }
  }
}

}  // namespace
}  // namespace skiff::architecture
