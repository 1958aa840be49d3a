#include "tests/e2e/support/skiff_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/identity.h"
#include "tests/e2e/support/kernel_snapshot.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;

// One tar for all tests of the program: made by the script the README's command uses.
const std::string& BusyboxTar() {
  static const std::string path = [] {
    const std::string file = fs::temp_directory_path() / ("skiff-busybox-" + RandomHex(6) + ".tar");
    const Outcome made = RunCommand({SourceDirectory() + "/samples/make-busybox-root", file});
    if (!made.ok()) {
      ADD_FAILURE() << "cannot make the image: " << made;
    }
    static const struct Remover {
      std::string file;
      ~Remover() { unlink(file.c_str()); }
    } remover{file};
    return file;
  }();
  return path;
}

}  // namespace

std::string SourceDirectory() {
  return SKIFF_TEST_SOURCE_DIR;
}
std::string SkiffProgram() {
  const char* folder = std::getenv("SKIFF_TEST_PROGRAMS");
  return std::string(folder != nullptr ? folder : SKIFF_TEST_PROGRAM_DIR) + "/skiff";
}

void SkiffTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "containers need root";
  std::string reason;
  if (!EnterTestNetwork(&reason)) GTEST_SKIP() << reason;
  if (access(SkiffProgram().c_str(), X_OK) != 0) FAIL() << SkiffProgram() << " is not built";

  std::string pattern = fs::temp_directory_path() / "skiff-e2e.XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  directory_ = pattern;
  warden_ = Warden::Start(directory_, SkiffProgram());
  fs::create_directory(project_directory());
  environment_ = CleanEnvironment();
  environment_["HOME"] = directory_;
  environment_.merge(MakeRoots(""));
  before_ = Snapshot();
  ready_ = true;
}

std::map<std::string, std::string> SkiffTest::MakeRoots(const std::string& name) {
  const std::string root = directory_ + "/" + name + "root", run = directory_ + "/" + name + "run";
  root_hashes_.push_back(Sha256Hex(root).substr(0, 8));
  root_names_.push_back(name);
  std::map<std::string, std::string> roots = {{"SKIFF_ROOT", root}, {"SKIFF_RUN", run}};
  ProcessOptions options;
  options.environment = environment_;
  for (const auto& [key, value] : roots) options.environment[key] = value;
  EXPECT_THAT(
      RunCommand({SkiffProgram(), "image", "import", BusyboxTar(), "busybox:latest"}, options),
      Succeeds());
  return roots;
}

void SkiffTest::TearDown() {
  if (!ready_) {
    warden_.Dismiss();
    if (!directory_.empty()) fs::remove_all(directory_);
    return;
  }
  TakeEverythingDown();
  ExpectNothingLeft();
  warden_.Dismiss();
  std::error_code error;
  fs::remove_all(directory_, error);
  EXPECT_FALSE(error) << "cannot remove " << directory_ << ": " << error.message();
}

void SkiffTest::TakeEverythingDown() {
  for (const std::string& name : root_names_) {
    ProcessOptions options;
    options.environment = environment_;
    options.environment["SKIFF_ROOT"] = directory_ + "/" + name + "root";
    options.environment["SKIFF_RUN"] = directory_ + "/" + name + "run";
    options.directory = directory_;
    const auto skiff = [&](Words words) {
      words.insert(words.begin(), SkiffProgram());
      const Outcome outcome = RunCommand(words, options);
      EXPECT_THAT(outcome, Succeeds()) << ::testing::PrintToString(words);
      return Lines(outcome.out);
    };
    std::set<std::string> projects;
    for (const std::string& line :
         skiff({"docker", "ps", "-a", "--format", "{{.Label \"com.docker.compose.project\"}}"})) {
      if (!line.empty()) projects.insert(line);
    }
    for (const char* kind : {"network", "volume"}) {
      for (const std::string& line :
           skiff({kind, "ls", "--format", "{{.Label \"com.docker.compose.project\"}}"})) {
        if (!line.empty()) projects.insert(line);
      }
    }
    for (const std::string& project : projects) {
      skiff({"-p", project, "down", "-v", "-t", "0", "--remove-orphans"});
    }
    const Words containers = skiff({"docker", "ps", "-aq"});
    if (!containers.empty()) {
      Words words = {"docker", "rm", "-f", "-v"};
      words.insert(words.end(), containers.begin(), containers.end());
      skiff(words);
    }
    const Words volumes = skiff({"volume", "ls", "-q"});
    for (const std::string& volume : volumes) skiff({"volume", "rm", volume});
  }
}

void SkiffTest::WriteFile(const std::string& path, std::string_view text, bool executable) {
  const fs::path file = fs::path(project_directory()) / path;
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
  fs::permissions(file, executable ? fs::perms(0755) : fs::perms(0644));
}

std::string SkiffTest::ReadProjectFile(const std::string& path) {
  std::ifstream file(fs::path(project_directory()) / path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Process SkiffTest::StartSkiff(const Words& words, ProcessOptions options) {
  Words command = {SkiffProgram()};
  command.insert(command.end(), words.begin(), words.end());
  std::map<std::string, std::string> environment = environment_;
  for (const auto& [key, value] : options.environment) environment[key] = value;
  options.environment = std::move(environment);
  if (options.directory.empty()) options.directory = project_directory();
  return Process::Start(command, options);
}

Outcome SkiffTest::Skiff(const Words& words, const ProcessOptions& options, milliseconds limit) {
  Outcome outcome = StartSkiff(words, options).Finish(limit);
  EXPECT_FALSE(outcome.timed_out) << ::testing::PrintToString(words) << "\n" << outcome;
  EXPECT_FALSE(outcome.output_held) << ::testing::PrintToString(words) << "\n" << outcome;
  return outcome;
}

std::string SkiffTest::Succeed(const Words& words, const ProcessOptions& options) {
  const Outcome outcome = Skiff(words, options);
  EXPECT_THAT(outcome, Succeeds()) << ::testing::PrintToString(words);
  return outcome.out;
}

std::string SkiffTest::Inspect(const std::string& container, const std::string& field) {
  std::string text = Succeed({"docker", "inspect", "-f", field, container});
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::vector<std::string> SkiffTest::Lines(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(line);
  }
  return lines;
}

std::multiset<std::string> SkiffTest::LineSet(std::string_view text) {
  const std::vector<std::string> lines = Lines(text);
  return {lines.begin(), lines.end()};
}

std::string SkiffTest::HttpGet(const std::string& host, int port, const std::string& path) {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct timeval limit = {5, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
  const std::string request = "GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n";
  if (!WriteAll(socket.get(), request, "request")) return "";
  Result<std::string> answer = ReadAll(socket.get(), 1 << 20, "answer");
  if (!answer) return "";
  const size_t body = answer->find("\r\n\r\n");
  return body == std::string::npos ? *answer : answer->substr(body + 4);
}

std::multiset<std::string> SkiffTest::Snapshot() const {
  return TakeSnapshot(directory_, root_hashes_);
}

std::string SkiffTest::DifferenceTo(const Census& before) const {
  std::string difference;
  Eventually([&] {
    difference = Difference(before, Count());
    return difference.empty();
  });
  return difference;
}

void SkiffTest::UseDefaultBridge() {
  Succeed({"docker", "run", "--rm", "busybox:latest", "true"});
  // The kernel takes the container's own link away after the end of its network namespace.
  EXPECT_TRUE(Eventually([&] {
    before_ = Snapshot();
    return std::ranges::none_of(
        before_, [](const std::string& thing) { return thing.starts_with("link sv"); });
  }));
}

void SkiffTest::ExpectNothingLeft() {
  std::string difference;
  const bool clean = Eventually([&] {
    difference = Difference(before_, Snapshot());
    return difference.empty();
  });
  EXPECT_TRUE(clean) << difference;
}

}  // namespace skiff::e2e
