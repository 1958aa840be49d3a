// Compose files at addresses: repositories of Git and artifacts of a registry.

#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>

#include "base/identity.h"
#include "tests/e2e/support/git_server.h"
#include "tests/e2e/support/http_server.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Answers as a registry that has one repository "app".
class ArtifactRegistry {
 public:
  struct Layer {
    std::string type;
    std::map<std::string, std::string> annotations;
    std::string content;
  };
  ArtifactRegistry() : server_([this](const ServerRequest& request) { return Answer(request); }) {}

  // Returns the digest.
  std::string Put(const std::string& tag, const std::string& type, const std::vector<Layer>& layers) {
    std::string list;
    for (const Layer& layer : layers) {
      std::string notes;
      for (const auto& [key, value] : layer.annotations) {
        notes += (notes.empty() ? "" : ",") + ("\"" + key) + "\":\"" + value + "\"";
      }
      list += (list.empty() ? "" : ",") + Descriptor(layer.type, layer.content, notes);
    }
    const std::string manifest =
        R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
        R"("artifactType":")" + type + R"(","config":)" +
        Descriptor("application/vnd.oci.empty.v1+json", "{}", "") + R"(,"layers":[)" + list + "]}";
    return Name(tag, manifest, "application/vnd.oci.image.manifest.v1+json");
  }
  // A list with this manifest and one of something else before it.
  void PutList(const std::string& tag, const std::string& digest, const std::string& type) {
    const std::string other = Put("", "application/x.other", {});
    const auto entry = [&](const std::string& of, const std::string& what) {
      return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" + of +
             R"(","size":)" + std::to_string(blobs_[of].size()) + R"(,"artifactType":")" + what +
             "\"}";
    };
    Name(tag,
         R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)" +
             entry(other, "application/x.other") + "," + entry(digest, type) + "]}",
         "application/vnd.oci.image.index.v1+json");
  }
  void Damage(const std::string& content) {
    const std::lock_guard lock(mutex_);
    blobs_["sha256:" + Sha256Hex(content)] = std::string(content.size(), '#');
  }
  std::string Address(const std::string& rest) const { return "oci://" + server_.host() + "/app" + rest; }
  HttpServer& server() { return server_; }

 private:
  std::string Descriptor(const std::string& type, const std::string& content,
                         const std::string& notes) {
    const std::lock_guard lock(mutex_);
    const std::string digest = "sha256:" + Sha256Hex(content);
    blobs_[digest] = content;
    return R"({"mediaType":")" + type + R"(","digest":")" + digest + R"(","size":)" +
           std::to_string(content.size()) + R"(,"annotations":{)" + notes + "}}";
  }
  std::string Name(const std::string& tag, const std::string& manifest, const std::string& type) {
    const std::lock_guard lock(mutex_);
    const std::string digest = "sha256:" + Sha256Hex(manifest);
    for (const std::string& name : {tag, digest}) manifests_[name] = {type, manifest};
    blobs_[digest] = manifest;
    return digest;
  }
  ServerAnswer Answer(const ServerRequest& request) {
    const std::lock_guard lock(mutex_);
    if (request.target == "/v2/") return {};
    const std::string name = request.target.substr(request.target.rfind('/') + 1);
    if (request.target.starts_with("/v2/app/manifests/") && manifests_.contains(name)) {
      return {200, {"Content-Type: " + manifests_[name].first}, manifests_[name].second};
    }
    if (request.target.starts_with("/v2/app/blobs/") && blobs_.contains(name)) {
      return {200, {}, blobs_[name]};
    }
    return {404, {}, "{}"};
  }

  std::mutex mutex_;
  std::map<std::string, std::pair<std::string, std::string>> manifests_;
  std::map<std::string, std::string> blobs_;
  HttpServer server_;
};

constexpr const char* kProject = "application/vnd.docker.compose.project";
constexpr const char* kFile = "application/vnd.docker.compose.file+yaml";
constexpr const char* kEnv = "application/vnd.docker.compose.envfile";

class RemoteFilesTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    environment()["XDG_CACHE_HOME"] = directory() + "/cache";
  }
  std::string cache() const { return directory() + "/cache/skiff/remote"; }
  // Fetching, and nothing else.
  Outcome Fetch(Words flags = {}) {
    flags.insert(flags.end(), {"create", "--no-recreate"});
    return Skiff(flags);
  }
};

class GitFilesTest : public RemoteFilesTest {
 protected:
  void SetUp() override {
    if (!GitServer::Installed()) GTEST_SKIP() << "git is not installed";
    RemoteFilesTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    git_.emplace(directory());
    git_->Commit({{"compose.yaml",
                   "services:\n"
                   "  web:\n"
                   "    image: busybox\n"
                   "    command: cat /conf/word\n"
                   "    volumes: [\"./conf:/conf\"]\n"},
                  {"conf/word", "one\n"},
                  {"sub/compose.yml", "services:\n  below: {image: busybox, command: \"true\"}\n"}});
    git_->Serve();
  }
  void TearDown() override {
    git_.reset();
    RemoteFilesTest::TearDown();
  }
  std::optional<GitServer> git_;
};

TEST_F(GitFilesTest, AProjectRunsFromItsRepository) {
  const Words project = {"-f", git_->Address()};
  const auto with = [&](Words words) {
    words.insert(words.begin(), project.begin(), project.end());
    return words;
  };
  // Called after the folder it is used in; its paths start in the repository.
  EXPECT_EQ(Succeed(with({"run", "--rm", "web"})), "one\n");
  EXPECT_THAT(Succeed(with({"config"})), HasSubstr("name: project\n"));
  git_->Commit({{"conf/word", "two\n"}});
  // Looking at it asks nobody; starting it does.
  EXPECT_THAT(Succeed(with({"config"})), Not(HasSubstr(git_->Head())));
  EXPECT_EQ(Succeed(with({"run", "--rm", "web"})), "two\n");
  EXPECT_THAT(Succeed(with({"config"})), HasSubstr(git_->Head()));
}

TEST_F(GitFilesTest, IncludeAndExtendsReachRepositories) {
  WriteProject("include:\n"
               "  - " + git_->Address("#main:sub") + "\n"
               "services:\n"
               "  own:\n"
               "    extends: {file: \"" + git_->Address() + "\", service: web}\n");
  const Outcome unread = Skiff({"config"});
  EXPECT_THAT(unread, ExitsWith(1));
  EXPECT_THAT(unread.err, HasSubstr("compose.yaml:2:5: error: include.0: cannot include '" +
                                    git_->Address("#main:sub") +
                                    "': it is not here, and this command fetches nothing"));
  EXPECT_THAT(unread.err, HasSubstr("cannot extend '" + git_->Address() + "'"));
  EXPECT_FALSE(fs::exists(cache()));
  ASSERT_THAT(Fetch(), Succeeds());
  const std::string config = Succeed({"config"});
  EXPECT_THAT(config, HasSubstr("  below:\n"));
  EXPECT_THAT(config, HasSubstr("source: " + cache() + "/git-" + git_->Head()));
}

TEST_F(GitFilesTest, WhatARemoteProjectIncludesIsConfirmed) {
  git_->Commit({{"far/compose.yaml",
                 "include: [\"" + git_->Address("#main:sub") + "\"]\n"
                 "services:\n  web: {image: busybox, command: \"true\"}\n"}});
  const std::string address = git_->Address("#main:far");
  const Outcome asked = Skiff({"-f", address, "up", "-d"});
  EXPECT_THAT(asked, ExitsWith(130));
  EXPECT_THAT(asked.err, HasSubstr("includes files from further addresses:\n  - " +
                                   git_->Address("#main:sub") + "\n"));
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "");
  const Outcome confirmed = Skiff({"-f", address, "up", "-d", "-y"});
  EXPECT_THAT(confirmed, Succeeds());
  EXPECT_THAT(confirmed.err, HasSubstr("Project \"" + address + "\" is stored in \"" + cache()));
  Succeed({"-f", address, "down"});
}

TEST_F(GitFilesTest, DraftsOfTheDeadGo) {
  fs::create_directories(cache() + "/git-x.tmp-1/half");
  // Named by a variable, it is the project's own file and nothing further.
  environment()["COMPOSE_FILE"] = git_->Address();
  environment()["COMPOSE_PATH_SEPARATOR"] = ";";
  EXPECT_EQ(Succeed({"run", "--rm", "web"}), "one\n");
  EXPECT_FALSE(fs::exists(cache() + "/git-x.tmp-1"));
}

TEST_F(GitFilesTest, ACommitThatIsHereNeedsNoServer) {
  const Words project = {"-f", git_->Address("#" + git_->Head())};
  ASSERT_THAT(Fetch(project), Succeeds());
  fs::remove_all(cache() + "/pins");
  EXPECT_THAT(Succeed({"-f", project[1], "config", "--services"}), HasSubstr("web"));
  EXPECT_EQ(Succeed({"-f", project[1], "run", "--rm", "web"}), "one\n");
}

TEST_F(GitFilesTest, WhatIsWrongIsSaid) {
  git_->Link("away.yaml", "/etc/passwd");
  const std::pair<std::string, std::string> rows[] = {
      {git_->Address("#nope"), "repository does not contain ref nope"},
      {git_->Address("#main:conf"), "it has no Compose file in conf"},
      {git_->Address("#main:none.yaml"), "it has no file 'none.yaml'"},
      {git_->Address("#main:../../x"), "it has no file '../../x'"},
      {git_->Address("#main:away.yaml"), "'away.yaml' leads out of it"},
      {"git://127.0.0.1:1/repo", "unable to connect"},
  };
  for (const auto& [address, message] : rows) {
    const Outcome outcome = Fetch({"-f", address});
    EXPECT_THAT(outcome, ExitsWith(1));
    EXPECT_THAT(outcome.err, HasSubstr("error: cannot read '" + address + "': ")) << outcome;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << outcome;
  }
  environment()["COMPOSE_EXPERIMENTAL_GIT_REMOTE"] = "false";
  EXPECT_THAT(Fetch({"-f", git_->Address()}).err,
              HasSubstr("COMPOSE_EXPERIMENTAL_GIT_REMOTE forbids it"));
  for (const auto& entry : fs::directory_iterator(cache())) {
    EXPECT_THAT(entry.path().string(), Not(HasSubstr(".tmp-")));
  }
}

TEST_F(RemoteFilesTest, AProjectRunsFromARegistry) {
  ArtifactRegistry registry;
  const std::string digest = registry.Put(
      "1", kProject,
      {{kFile,
        {{"com.docker.compose.file", "compose.yaml"}},
        "services:\n"
        "  web:\n"
        "    image: busybox\n"
        "    command: echo first\n"
        "    env_file: vars.env\n"
        "    extends: {file: base.yaml, service: base}\n"},
       {kFile, {{"com.docker.compose.file", "over.yaml"}},
        "services:\n  web: {command: \"sh -c 'echo $$A $$B'\"}\n"},
       {kFile, {{"com.docker.compose.file", "base.yaml"}, {"com.docker.compose.extends", "true"}},
        "services:\n  base: {environment: {B: b}}\n"},
       {kEnv, {{"com.docker.compose.envfile", "vars.env"}}, "A=a\n"}});
  registry.PutList("list", digest, kProject);
  for (const std::string& rest : {std::string(":1"), std::string(":list"), "@" + digest}) {
    EXPECT_EQ(Succeed({"-f", registry.Address(rest), "run", "--rm", "web"}), "a b\n");
  }
  // A digest that is here is not asked for.
  const size_t asked = registry.server().requests().size();
  EXPECT_EQ(Succeed({"-f", registry.Address("@" + digest), "run", "--rm", "web"}), "a b\n");
  EXPECT_THAT(Succeed({"-f", registry.Address(":1"), "config"}), HasSubstr("name: project\n"));
  EXPECT_EQ(registry.server().requests().size(), asked);
}

TEST_F(RemoteFilesTest, AnArtifactIsCheckedBeforeItIsUsed) {
  ArtifactRegistry registry;
  const std::string yaml = "services:\n  web: {image: busybox}\n";
  registry.Put("image", "application/x.other", {});
  registry.Put("empty", kProject, {});
  registry.Put("damaged", kProject, {{kFile, {}, yaml}});
  registry.Damage(yaml);
  registry.Put("large", kProject, {{kFile, {}, std::string((16 << 20) + 1, ' ')}});
  for (const char* name : {"../up.env", "/etc/x", "", ".hidden"}) {
    registry.Put(std::string("name") + std::to_string(std::string_view(name).size()), kProject,
                 {{kFile, {}, "services: {}\n"}, {kEnv, {{"com.docker.compose.envfile", name}}, "A=1\n"}});
  }
  const std::pair<std::string, std::string> rows[] = {
      {":none", "not found"},
      {":image", "is no artifact of the type application/vnd.docker.compose.project"},
      {":empty", "it has no Compose file"},
      {":damaged", "has the digest"},
      {":large", "is larger than 16777216 bytes"},
      {":name9", "a file in it has the name '../up.env'"},
      {":name6", "a file in it has the name '/etc/x'"},
      {":name0", "a file in it has the name ''"},
      {":name7", "a file in it has the name '.hidden'"},
  };
  for (const auto& [rest, message] : rows) {
    const Outcome outcome = Fetch({"-f", registry.Address(rest)});
    EXPECT_THAT(outcome, ExitsWith(1)) << rest;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << outcome;
  }
  EXPECT_TRUE(!fs::exists(cache()) || fs::is_empty(cache()));
}

}  // namespace
}  // namespace skiff::e2e
