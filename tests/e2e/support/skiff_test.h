#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/support/census.h"
#include "tests/e2e/support/process.h"
#include "tests/e2e/support/warden.h"

namespace skiff::e2e {

using Words = std::vector<std::string>;

// A machine of the test's own as far as skiff can tell: both roots and a project folder in a new
// directory, the image busybox:latest, a network namespace. When the test ends, everything of it is
// taken down and nothing may be left (kernel objects that go away later are awaited 2 s).
class SkiffTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Folder of the test; the project's folder "project" below it is where commands run.
  const std::string& directory() const { return directory_; }
  std::string project_directory() const { return directory_ + "/project"; }
  // Writes a file below the project's folder.
  void WriteFile(const std::string& path, std::string_view text, bool executable = false);
  // The same for compose.yaml.
  void WriteProject(std::string_view yaml) { WriteFile("compose.yaml", yaml); }
  std::string ReadProjectFile(const std::string& path);

  // `skiff WORDS...` with the roots of the test. Fails the test when it hangs.
  Outcome Skiff(const Words& words, const ProcessOptions& options = {}, milliseconds limit = 60s);
  Process StartSkiff(const Words& words, ProcessOptions options = {});
  // The same, and expects success. Returns its standard output.
  std::string Succeed(const Words& words, const ProcessOptions& options = {});
  // Environment of commands; a test may add to it.
  std::map<std::string, std::string>& environment() { return environment_; }

  // A field of a container by docker's template, without the newline: Inspect("p-web-1",
  // "{{.State.Pid}}").
  std::string Inspect(const std::string& container, const std::string& field);
  // Lines of a text without the last empty one, sorted on demand.
  static std::vector<std::string> Lines(std::string_view text);
  static std::multiset<std::string> LineSet(std::string_view text);
  // Answer of an HTTP server, "" when there is none.
  static std::string HttpGet(const std::string& host, int port, const std::string& path = "/");

  std::multiset<std::string> Snapshot() const;
  // All that is counted; see Census.
  Census Count() const { return TakeCensus(directory_, root_hashes_); }
  // Awaits for 2 s that all is counted as in `before`; how it differs, "" when it does not.
  std::string DifferenceTo(const Census& before) const;
  // Awaits for 2 s that the machine is as it was when the test began.
  void ExpectNothingLeft();

  // The default bridge of `docker run` stays until the machine restarts, as docker's does: makes it
  // a part of what was there before.
  void UseDefaultBridge();

  // A second pair of roots, for tests of company. Imported image included.
  std::map<std::string, std::string> MakeRoots(const std::string& name);
  // The test has taken them down itself.
  void ForgetRoots(const std::string& name) { std::erase(root_names_, name); }

 private:
  void TakeEverythingDown();

  std::string directory_;
  Warden warden_;
  std::vector<std::string> root_hashes_;
  std::vector<std::string> root_names_;
  std::map<std::string, std::string> environment_;
  std::multiset<std::string> before_;
  bool ready_ = false;
};

// Paths of the tree and of the programs under test.
std::string SourceDirectory();
std::string SkiffProgram();

MATCHER(Succeeds, "exits with 0") {
  return arg.exit_code == 0 && !arg.timed_out;
}
MATCHER_P(ExitsWith, code, "") {
  return arg.exit_code == code && !arg.timed_out;
}

}  // namespace skiff::e2e
