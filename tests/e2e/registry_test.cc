// Pull, push, login and logout against Debian's docker-registry on loopback.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "tests/e2e/support/archive.h"
#include "tests/e2e/support/http_server.h"
#include "tests/e2e/support/kernel_snapshot.h"
#include "tests/e2e/support/registry.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

// An address of this machine that counts as another one's: it is no loopback.
constexpr const char* kRemote = "10.231.77.1";
// user:secret
constexpr const char* kPasswords =
    "user:$2y$05$4tt7i5a8L/3fQpi3UoLEw..UBcgAkVadMne7rhmJouDK8J4IGMOmu\n";

std::string Base64(std::string_view bytes, bool url) {
  ProcessOptions options;
  options.environment = CleanEnvironment();
  options.input = bytes;
  std::string out = RunCommand({"openssl", "base64", "-A"}, options).out;
  if (!url) return out;
  std::ranges::replace(out, '+', '-');
  std::ranges::replace(out, '/', '_');
  while (out.ends_with('=')) out.pop_back();
  return out;
}

class RegistryTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (!Registry::Installed()) GTEST_SKIP() << "docker-registry is not installed";
    UseDefaultBridge();
  }
  void TearDown() override {
    registries_.clear();
    if (remote_) RunCommand({"ip", "address", "del", std::string(kRemote) + "/32", "dev", "lo"});
    SkiffTest::TearDown();
  }

  std::string File(const std::string& name) const { return directory() + "/" + name; }
  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(File(name), bytes, 0600, Durability::kVolatile));
  }

  // Starts one with a root of its own; returns "127.0.0.1:PORT".
  std::string StartRegistry(const std::string& name = "one", const RegistryOptions& options = RegistryOptions()) {
    registries_.emplace_back(directory(), name, options);
    return registries_.back().host();
  }
  // NAME.crt and NAME.key for an address.
  void MakeCertificate(const std::string& name, const std::string& address) {
    const Outcome made = RunCommand(
        {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=" + name, "-addext", "subjectAltName=IP:" + address, "-keyout", File(name + ".key"),
         "-out", File(name + ".crt")});
    ASSERT_THAT(made, Succeeds()) << made;
  }
  RegistryOptions WithTls(const std::string& address) {
    MakeCertificate("server", address);
    RegistryOptions options;
    options.address = address;
    options.tls = "  tls: {certificate: " + File("server.crt") + ", key: " + File("server.key") + "}\n";
    return options;
  }
  RegistryOptions WithPasswords() {
    Write("htpasswd", kPasswords);
    RegistryOptions options;
    options.auth = "  htpasswd: {realm: tests, path: " + File("htpasswd") + "}\n";
    return options;
  }
  void AddRemoteAddress() {
    if (UsesHostNetwork()) GTEST_SKIP() << "the network is the machine's";
    ASSERT_THAT(RunCommand({"ip", "address", "add", std::string(kRemote) + "/32", "dev", "lo"}),
                Succeeds());
    remote_ = true;
  }
  // A registry without TLS at that address.
  std::string StartRemoteRegistry() {
    RegistryOptions options;
    options.address = kRemote;
    return StartRegistry("remote", options);
  }
  // It may be spoken to all the same.
  void NameInsecure(const std::string& host) {
    Write("registries.json", R"({"insecure-registries":[")" + host + R"("]})");
    environment()["SKIFF_REGISTRY_CONFIG"] = File("registries.json");
  }
  Outcome LogIn(const std::string& host, const std::string& password) {
    ProcessOptions options;
    options.input = password + "\n";
    return Skiff({"docker", "login", "-u", "user", "--password-stdin", host}, options);
  }
  std::string IdOf(const std::string& image) {
    return Lines(Succeed({"image", "inspect", "-f", "{{.Id}}", image})).at(0);
  }
  // `layers` layers of `size` random bytes over busybox, as NAME.
  void MakeImage(const std::string& name, int layers, int kilobytes) {
    for (int i = 0; i < layers; ++i) {
      Succeed({"docker", "run", "--name", "maker", "--network", "none",
               i == 0 ? "busybox:latest" : name, "sh", "-c",
               "head -c " + std::to_string(kilobytes * 1024) + " /dev/urandom > /random" +
                   std::to_string(i)});
      Succeed({"docker", "commit", "maker", name});
      Succeed({"docker", "rm", "maker"});
    }
  }
  void RemoveImage(const std::string& name) { Succeed({"image", "rm", name}); }

  std::vector<Registry> registries_;
  bool remote_ = false;
};

TEST_F(RegistryTest, WhatIsPushedIsPulledAsTheSameImage) {
  const std::string host = StartRegistry();
  const std::string name = host + "/some/where:1";
  MakeImage(name, 3, 64);
  const std::string id = IdOf(name);
  const std::string pushed = Succeed({"docker", "push", name});
  EXPECT_THAT(pushed, HasSubstr("The push refers to repository [" + host + "/some/where]\n"));
  EXPECT_THAT(pushed, HasSubstr(": Pushed\n"));
  const size_t at = pushed.find("1: digest: ");
  ASSERT_NE(at, std::string::npos) << pushed;
  const std::string digest = pushed.substr(at + 11, 71);
  EXPECT_THAT(Succeed({"docker", "push", name}), HasSubstr(": Layer already exists\n"));

  RemoveImage(name);
  RemoveImage("busybox:latest");
  const std::string pulled = Succeed({"docker", "pull", name});
  EXPECT_THAT(pulled, HasSubstr("1: Pulling from some/where\n"));
  EXPECT_THAT(pulled, HasSubstr(": Pull complete\n"));
  EXPECT_THAT(pulled, HasSubstr("Digest: " + digest + "\nStatus: Downloaded newer image for " +
                                name + "\n" + name + "\n"));
  EXPECT_EQ(IdOf(name), id);
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "--network", "none", name, "sh", "-c",
                     "ls / | grep -c random"}),
            "3\n");
  EXPECT_EQ(Lines(Succeed({"image", "inspect", "-f", "{{index .RepoDigests 0}}", name}))[0],
            host + "/some/where@" + digest);
  EXPECT_THAT(Succeed({"docker", "pull", name}), HasSubstr("Status: Image is up to date for "));

  // By digest: no tag is given.
  RemoveImage(name);
  const std::string by_digest = host + "/some/where@" + digest;
  Succeed({"docker", "pull", by_digest});
  EXPECT_EQ(IdOf(by_digest), id);
  EXPECT_THAT(Skiff({"image", "inspect", name}), ExitsWith(1));
  // What came is what goes: the same digest elsewhere.
  const std::string second = StartRegistry("two") + "/copy:2";
  Succeed({"docker", "tag", by_digest, second});
  EXPECT_THAT(Succeed({"docker", "push", second}), HasSubstr("2: digest: " + digest));
}

TEST_F(RegistryTest, WhatIsNotThereIsSaid) {
  const std::string host = StartRegistry();
  const Outcome none = Skiff({"docker", "pull", host + "/none:1"});
  EXPECT_THAT(none, ExitsWith(1));
  EXPECT_THAT(none.err, HasSubstr("manifest for none:1 not found"));
  EXPECT_THAT(Skiff({"docker", "push", host + "/none:1"}).err,
              HasSubstr("An image does not exist locally with the tag: " + host + "/none"));
  const Outcome nobody = Skiff({"docker", "pull", "127.0.0.1:1/x"});
  EXPECT_THAT(nobody, ExitsWith(1));
  EXPECT_THAT(nobody.err, HasSubstr("127.0.0.1:1"));
}

TEST_F(RegistryTest, BlobsOfAnotherRepositoryAreMounted) {
  const std::string host = StartRegistry();
  MakeImage(host + "/first:1", 1, 64);
  Succeed({"docker", "push", host + "/first:1"});
  Succeed({"docker", "pull", host + "/first:1"});
  Succeed({"docker", "tag", host + "/first:1", host + "/second:1"});
  const std::string pushed = Succeed({"docker", "push", host + "/second:1"});
  EXPECT_THAT(pushed, HasSubstr(": Mounted from first\n"));
  EXPECT_THAT(pushed, Not(HasSubstr(": Pushed\n")));
}

TEST_F(RegistryTest, ConfigPinsImagesToWhatIsThereNow) {
  const std::string host = StartRegistry();
  MakeImage(host + "/some/where:1", 1, 4);
  const std::string pushed = Succeed({"docker", "push", host + "/some/where:1"});
  const std::string digest = pushed.substr(pushed.find("1: digest: ") + 11, 71);
  WriteProject("name: p\nservices:\n  a:\n    image: " + host +
               "/some/where:1\n    user: me\n    pre_start: [{image: " + host +
               "/some/where:1, command: x}]\n"
               "    volumes: [{type: image, source: b, target: /b}, /x]\n  b: {build: .}\n");
  const std::string pinned = host + "/some/where:1@" + digest;
  const Outcome lock = Skiff({"config", "--lock-image-digests"});
  ASSERT_THAT(lock, Succeeds());
  EXPECT_EQ(lock.out, "services:\n  a:\n    image: " + pinned +
                          "\n    volumes:\n      - type: image\n        source: b\n"
                          "        target: /b\n  b: {}\n");
  EXPECT_THAT(lock.err, HasSubstr("service \"a\": the images of pre_start hooks are not pinned"));
  const std::string whole = Succeed({"config", "--resolve-image-digests"});
  EXPECT_THAT(whole, HasSubstr("    image: " + pinned + "\n"));
  EXPECT_THAT(whole, HasSubstr("        image: " + pinned + "\n"));
  EXPECT_THAT(whole, HasSubstr("    user: me\n"));
  // The lock is an override of the file.
  WriteFile("lock.yaml", lock.out);
  EXPECT_EQ(Succeed({"-f", "compose.yaml", "-f", "lock.yaml", "config", "--images"}),
            pinned + "\np-b\n");
  WriteProject("services: {a: {image: '" + host + "/none:1'}}");
  const Outcome none = Skiff({"config", "--resolve-image-digests"});
  EXPECT_THAT(none, ExitsWith(1));
  EXPECT_THAT(none.err, HasSubstr("failed to resolve digest for " + host + "/none:1: "));
}

TEST_F(RegistryTest, ABuildGoesThere) {
  const std::string name = StartRegistry() + "/built:1";
  WriteFile("Dockerfile", "FROM busybox\nRUN echo hello > /f\n");
  const Outcome pushed = Skiff({"docker", "build", "--push", "--progress=plain", "-t", name, "."});
  ASSERT_THAT(pushed, Succeeds()) << pushed;
  EXPECT_THAT(pushed.err, HasSubstr("pushing manifest for " + name + "@sha256:"));
  RemoveImage(name);
  Succeed({"docker", "pull", name});
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "--network", "none", name, "cat", "/f"}), "hello\n");
  RemoveImage(name);
  ASSERT_THAT(Skiff({"docker", "build", "-o", "type=image,push=true", "-t", name, "."}), Succeeds());
  RemoveImage(name);
}

TEST_F(RegistryTest, ACertificateHasToBeVouchedFor) {
  AddRemoteAddress();
  if (IsSkipped()) return;
  const std::string host = StartRegistry("one", WithTls(kRemote));
  const std::string name = host + "/box:1";
  Succeed({"docker", "tag", "busybox:latest", name});
  const Outcome refused = Skiff({"docker", "push", name});
  EXPECT_THAT(refused, ExitsWith(1));
  EXPECT_THAT(refused.err, HasSubstr("certificate"));
  EXPECT_THAT(refused.err, HasSubstr("certs.d"));

  std::filesystem::create_directories(File("certs.d/" + host));
  std::filesystem::copy_file(File("server.crt"), File("certs.d/" + host + "/ca.crt"));
  environment()["SKIFF_CERTS_DIR"] = File("certs.d");
  Succeed({"docker", "push", name});
  // Somebody else's does not do.
  MakeCertificate("other", kRemote);
  std::filesystem::copy_file(File("other.crt"), File("certs.d/" + host + "/ca.crt"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(Skiff({"docker", "pull", name}), ExitsWith(1));
  // Named as insecure, nobody has to vouch.
  NameInsecure(host);
  Succeed({"docker", "pull", name});
}

TEST_F(RegistryTest, OnlyLoopbackAndInsecureRegistriesAreSpokenToInTheOpen) {
  AddRemoteAddress();
  if (IsSkipped()) return;
  const std::string host = StartRemoteRegistry();
  Succeed({"docker", "tag", "busybox:latest", host + "/box:1"});
  const Outcome refused = Skiff({"docker", "push", host + "/box:1"});
  EXPECT_THAT(refused, ExitsWith(1));
  EXPECT_THAT(refused.err, HasSubstr("insecure-registries"));
  NameInsecure(host);
  Succeed({"docker", "push", host + "/box:1"});
}

TEST_F(RegistryTest, RunAndCreatePullAsTheyAreTold) {
  const std::string name = StartRegistry() + "/box:1";
  Succeed({"docker", "tag", "busybox:latest", name});
  Succeed({"docker", "push", name});
  RemoveImage(name);
  RemoveImage("busybox:latest");
  const auto run = [&](const Words& flags) {
    Words words = {"docker", "run", "--rm", "--network", "none"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.insert(words.end(), {name, "echo", "hi"});
    return Skiff(words);
  };
  const Outcome never = run({"--pull", "never"});
  EXPECT_THAT(never, ExitsWith(125));
  EXPECT_THAT(never.err, HasSubstr("No such image: " + name));
  const Outcome missing = run({});
  EXPECT_THAT(missing, Succeeds()) << missing;
  EXPECT_EQ(missing.out, "hi\n");
  EXPECT_THAT(missing.err, HasSubstr("Unable to find image '" + name + "' locally\n"));
  EXPECT_THAT(missing.err, HasSubstr("Status: Downloaded newer image for " + name + "\n"));
  const Outcome here = run({});
  EXPECT_EQ(here.out + here.err, "hi\n");
  const Outcome always = run({"--pull", "always"});
  EXPECT_EQ(always.out, "hi\n");
  EXPECT_THAT(always.err, HasSubstr("Status: Image is up to date for " + name + "\n"));
  RemoveImage(name);
  const Outcome quiet = run({"-q"});
  EXPECT_EQ(quiet.out + quiet.err, "hi\n");
  RemoveImage(name);
  Succeed({"docker", "create", "--name", "made", name, "true"});
  Succeed({"docker", "rm", "made"});
  // The file for the id is claimed before anything comes, and goes when nothing does.
  RemoveImage(name);
  Write("taken", "");
  EXPECT_EQ(run({"--cidfile", File("taken")}).err.find("Unable to find image"), std::string::npos);
  EXPECT_THAT(Skiff({"docker", "run", "--cidfile", File("id"), name + "0"}), ExitsWith(125));
  EXPECT_FALSE(std::filesystem::exists(File("id")));
  const Outcome nowhere = Skiff({"docker", "run", "--rm", name + "0"});
  EXPECT_THAT(nowhere, ExitsWith(125));
  EXPECT_THAT(nowhere.err, HasSubstr("manifest unknown"));
}

TEST_F(RegistryTest, ALayerMadeHereGoesCompressedToOtherMachinesAndOnce) {
  AddRemoteAddress();
  if (IsSkipped()) return;
  const std::string host = StartRemoteRegistry();
  NameInsecure(host);
  const std::string name = host + "/app:1";
  Succeed({"docker", "run", "--name", "maker", "--network", "none", "busybox:latest", "sh", "-c",
           "yes | head -c 3000000 > /many"});
  Succeed({"docker", "commit", "maker", name});
  Succeed({"docker", "rm", "maker"});
  const std::string pushed = Succeed({"docker", "push", name});
  // Both the layer of the commit and the root that was imported as a plain tar.
  const auto manifest = [&] {
    const std::string url = "http://" + host + "/v2/app/manifests/1";
    const Outcome got = RunCommand({"curl", "-sf", "-H",
                                    "Accept: application/vnd.oci.image.manifest.v1+json", url});
    return Json::parse(got.out);
  };
  const Json first = manifest();
  ASSERT_EQ(first["layers"].size(), 2u) << first;
  for (const Json& layer : first["layers"]) {
    EXPECT_EQ(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
  }
  EXPECT_LT(first["layers"][1]["size"].get<int64_t>(), 100'000);
  // What has been compressed is kept: the same again, found there.
  EXPECT_THAT(Succeed({"docker", "push", name}), HasSubstr(": Layer already exists\n"));
  EXPECT_EQ(manifest(), first);
  const std::string id = IdOf(name);
  RemoveImage(name);
  Succeed({"docker", "pull", name});
  EXPECT_EQ(IdOf(name), id);
  // On this machine nothing is compressed for the way.
  const std::string near = StartRegistry("near") + "/app:1";
  Succeed({"docker", "tag", "busybox:latest", near});
  Succeed({"docker", "push", near});
  Succeed({"system", "check"});
}

TEST_F(RegistryTest, PasswordsAreKeptByLoginAndForgottenByLogout) {
  const std::string host = StartRegistry("one", WithPasswords());
  const std::string name = host + "/box:1";
  Succeed({"docker", "tag", "busybox:latest", name});
  const Outcome anonymous = Skiff({"docker", "push", name});
  EXPECT_THAT(anonymous, ExitsWith(1));
  EXPECT_THAT(anonymous.err, HasSubstr("no basic auth credentials"));
  const Outcome wrong = LogIn(host, "guess");
  EXPECT_THAT(wrong, ExitsWith(1));
  EXPECT_THAT(wrong.err, HasSubstr("401 Unauthorized"));
  EXPECT_FALSE(std::filesystem::exists(File(".docker/config.json")));

  const Outcome right = LogIn(host, "secret");
  EXPECT_THAT(right, Succeeds()) << right;
  EXPECT_EQ(right.out, "Login Succeeded\n");
  const Json config = Json::parse(ReadFile(File(".docker/config.json")).value_or(""));
  EXPECT_EQ(config["auths"][host]["auth"], Base64("user:secret", false));
  EXPECT_EQ(std::filesystem::status(File(".docker/config.json")).permissions(),
            std::filesystem::perms(0600));
  Succeed({"docker", "push", name});
  Succeed({"docker", "pull", name});
  EXPECT_EQ(Succeed({"docker", "logout", host}), "Removing login credentials for " + host + "\n");
  EXPECT_EQ(Succeed({"docker", "logout", host}), "Not logged in to " + host + "\n");
  EXPECT_THAT(Skiff({"docker", "pull", name}), ExitsWith(1));
}

TEST_F(RegistryTest, ACredentialHelperKeepsThePassword) {
  const std::string host = StartRegistry("one", WithPasswords());
  WriteFile("bin/docker-credential-drawer",
            "#!/bin/sh\nd=" + File("drawer") + R"(
case $1 in
store) cat > $d ;;
get) cat > $d.asked; test -f $d && cat $d || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f $d ;;
esac
)",
            true);
  environment()["PATH"] = project_directory() + "/bin:" + environment()["PATH"];
  std::filesystem::create_directory(File(".docker"));
  Write(".docker/config.json", R"({"credsStore":"drawer","other":{"kept":[1]}})");
  Succeed({"docker", "tag", "busybox:latest", host + "/box:1"});
  EXPECT_THAT(LogIn(host, "secret"), Succeeds());
  EXPECT_EQ(Json::parse(ReadFile(File("drawer")).value_or("")),
            Json({{"ServerURL", host}, {"Username", "user"}, {"Secret", "secret"}}));
  const std::string config = ReadFile(File(".docker/config.json")).value_or("");
  EXPECT_THAT(config, Not(HasSubstr("\"auth\"")));
  EXPECT_EQ(Json::parse(config)["other"], Json({{"kept", {1}}}));
  Succeed({"docker", "push", host + "/box:1"});
  EXPECT_EQ(ReadFile(File("drawer.asked")).value_or(""), host);
  Succeed({"docker", "logout", host});
  EXPECT_FALSE(std::filesystem::exists(File("drawer")));
  EXPECT_THAT(Skiff({"docker", "pull", host + "/box:1"}), ExitsWith(1));
}

// docker-registry asks for tokens, which a server of the test signs for whom it knows.
TEST_F(RegistryTest, TokensAreFetchedForWhatIsNeeded) {
  MakeCertificate("signer", "127.0.0.1");
  const std::string der =
      RunCommand({"openssl", "x509", "-in", File("signer.crt"), "-outform", "DER"}).out;
  const std::string known = "Basic " + Base64("user:secret", false);
  std::vector<std::string> authorizations;
  HttpServer tokens([&](const ServerRequest& request) -> ServerAnswer {
    authorizations.push_back(request.Header("authorization"));
    if (request.Header("authorization") != known) return {401};
    Json access = Json::array();
    std::string target = request.target;
    for (size_t at = target.find("scope="); at != std::string::npos;
         at = target.find("scope=", at + 1)) {
      // repository:NAME:ACTIONS with its colons and slashes written as %3A and %2F.
      std::string scope = target.substr(at + 6, target.find('&', at) - at - 6);
      for (const auto& [code, sign] : {std::pair("%3A", ":"), {"%2F", "/"}, {"%2C", ","}}) {
        for (size_t i; (i = scope.find(code)) != std::string::npos;) scope.replace(i, 3, sign);
      }
      const size_t first = scope.find(':'), last = scope.rfind(':');
      Json actions = Json::array({"pull"});
      if (scope.ends_with("push")) actions.push_back("push");
      access.push_back({{"type", scope.substr(0, first)},
                        {"name", scope.substr(first + 1, last - first - 1)},
                        {"actions", actions}});
    }
    const time_t now = ::time(nullptr);
    const Json head = {{"typ", "JWT"}, {"alg", "RS256"}, {"x5c", {Base64(der, false)}}};
    const Json claims = {{"iss", "tests"},   {"sub", "user"},      {"aud", "registry"},
                         {"iat", now - 5},   {"nbf", now - 5},     {"exp", now + 300},
                         {"jti", "one"},     {"access", access}};
    const std::string text = Base64(head.dump(), true) + "." + Base64(claims.dump(), true);
    ProcessOptions options;
    options.environment = CleanEnvironment();
    options.input = text;
    const std::string signature =
        RunCommand({"openssl", "dgst", "-sha256", "-sign", File("signer.key")}, options).out;
    return {200, {}, Json({{"token", text + "." + Base64(signature, true)}}).dump()};
  });
  RegistryOptions options;
  options.auth = "  token: {realm: \"http://" + tokens.host() +
                 "/token\", service: registry, issuer: tests, rootcertbundle: " +
                 File("signer.crt") + "}\n";
  const std::string host = StartRegistry("one", options);
  Succeed({"docker", "tag", "busybox:latest", host + "/deep/box:1"});
  EXPECT_THAT(Skiff({"docker", "push", host + "/deep/box:1"}), ExitsWith(1));
  EXPECT_THAT(LogIn(host, "guess"), ExitsWith(1));
  EXPECT_THAT(LogIn(host, "secret"), Succeeds());
  Succeed({"docker", "push", host + "/deep/box:1"});
  Succeed({"docker", "pull", host + "/deep/box:1"});
  EXPECT_THAT(tokens.requests().back(),
              ::testing::EndsWith("service=registry&scope=repository%3Adeep%2Fbox%3Apull&account=user"));
  // With rights on both repositories, blobs are mounted.
  Succeed({"docker", "tag", host + "/deep/box:1", host + "/other/box:1"});
  EXPECT_THAT(Succeed({"docker", "push", host + "/other/box:1"}), HasSubstr(": Mounted from deep/box"));
}

// ---- Registries that misbehave -------------------------------------------------------------------

class FaultyRegistryTest : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // Nothing that could be compressed, and large enough to be cut.
    std::string noise;
    for (int i = 0; noise.size() < (3u << 20); ++i) noise += Digest(std::to_string(i));
    image_ = CraftImage({Tar({{"noise", noise}}), Tar({{"small", "file"}})});
    for (const std::string& layer : image_.layers) blobs_[Digest(layer)] = layer;
    blobs_[Digest(image_.config)] = image_.config;
  }

  // What a good registry answers, ranges included.
  ServerAnswer Good(const ServerRequest& request) const {
    const std::string last = request.target.substr(request.target.rfind('/') + 1);
    if (request.target.find("/manifests/") != std::string::npos) {
      return {200, {"Content-Type: application/vnd.oci.image.manifest.v1+json"}, image_.manifest};
    }
    const auto blob = blobs_.find(last);
    if (blob == blobs_.end()) return {200};
    const std::string range = request.Header("range");
    if (range.empty()) return {200, {}, blob->second};
    const size_t from = std::stoul(range.substr(range.find('=') + 1));
    return {206, {}, blob->second.substr(from)};
  }

  CraftedImage image_;
  std::map<std::string, std::string> blobs_;
};

TEST_F(FaultyRegistryTest, ABrokenTransferGoesOnWhereItStopped) {
  const std::string large = Digest(image_.layers[0]);
  std::vector<std::string> ranges;
  HttpServer server([&](const ServerRequest& request) {
    ServerAnswer answer = Good(request);
    if (request.target.ends_with(large)) {
      ranges.push_back(request.Header("range"));
      answer.cut = 1u << 20;
    }
    return answer;
  });
  Succeed({"docker", "pull", server.host() + "/x:1"});
  EXPECT_THAT(ranges, ::testing::ElementsAre("", "bytes=1048576-", "bytes=2097152-",
                                             "bytes=3145728-"));
}

TEST_F(FaultyRegistryTest, TheNextCommandGoesOnWhereThisOneWasKilled) {
  const std::string large = Digest(image_.layers[0]);
  std::vector<std::string> ranges;
  bool refuse_rest = true;
  HttpServer server([&](const ServerRequest& request) {
    if (!request.target.ends_with(large)) return Good(request);
    ranges.push_back(request.Header("range"));
    if (refuse_rest && ranges.back() != "") return ServerAnswer{.status = 403};
    ServerAnswer answer = Good(request);
    if (refuse_rest) answer.cut = 1u << 20;
    return answer;
  });
  EXPECT_THAT(Skiff({"docker", "pull", server.host() + "/x:1"}), ExitsWith(1));
  refuse_rest = false;
  for (const char* point : {"image.download=kill", "image.downloaded=kill", "image.pull=kill",
                            "image.downloaded=error", "transfer.registry=error"}) {
    environment()["SKIFF_FAILPOINTS"] = point;
    EXPECT_NE(Skiff({"docker", "pull", server.host() + "/x:1"}).exit_code, 0) << point;
    environment().erase("SKIFF_FAILPOINTS");
    EXPECT_THAT(Skiff({"docker", "ps"}), Succeeds()) << point;
    EXPECT_THAT(Skiff({"system", "check"}), Succeeds()) << point;
  }
  const std::string name = server.host() + "/x:1";
  Succeed({"docker", "pull", name});
  EXPECT_EQ(IdOf(name), Digest(image_.config));
  // Nothing that was there is fetched again, whichever command died since.
  EXPECT_EQ(std::ranges::count(ranges, ""), 1);
}

TEST_F(FaultyRegistryTest, EachByteIsVerified) {
  const std::string small = Digest(image_.layers[1]);
  std::function<void(const ServerRequest&, ServerAnswer&)> harm;
  HttpServer server([&](const ServerRequest& request) {
    ServerAnswer answer = Good(request);
    harm(request, answer);
    return answer;
  });
  const auto expect = [&](const std::string& ref, const std::string& message, auto damage) {
    harm = damage;
    const Outcome outcome = Skiff({"docker", "pull", server.host() + ref});
    EXPECT_THAT(outcome, ExitsWith(1));
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_THAT(Skiff({"image", "inspect", server.host() + "/x:1"}), ExitsWith(1));
    EXPECT_THAT(Skiff({"system", "check"}), Succeeds());
  };
  expect("/x:1", "has the digest", [&](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target.ends_with(small)) answer.body[600] ^= 1;
  });
  expect("/x:1", "is larger than", [&](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target.ends_with(small)) answer.body += "more";
  });
  expect("/x:1", "digest", [&](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target.ends_with(Digest(image_.config))) answer.body[3] ^= 1;
  });
  expect("/x@" + Digest("something else"), "not " + Digest("something else"),
         [](const ServerRequest&, ServerAnswer&) {});
  // CVE-2021-41190: one document, two readings.
  expect("/x:1", "says it is", [&](const ServerRequest& request, ServerAnswer& answer) {
    if (request.target.find("/manifests/") == std::string::npos) return;
    answer.headers = {"Content-Type: application/vnd.oci.image.index.v1+json"};
  });
  // A realm of somebody else's, in the open, while the registry itself is asked with TLS or not.
  harm = [](const ServerRequest&, ServerAnswer&) {};
  Succeed({"docker", "pull", server.host() + "/x:1"});
}

// CVE-2020-15157: whom a registry sends us to learns nothing of what it was told.
TEST_F(FaultyRegistryTest, PasswordsDoNotFollowARedirect) {
  std::vector<std::string> seen;
  HttpServer store([&](const ServerRequest& request) {
    seen.push_back(request.Header("authorization"));
    return Good(request);
  });
  HttpServer server([&](const ServerRequest& request) -> ServerAnswer {
    if (request.Header("authorization").empty()) {
      return {401, {"WWW-Authenticate: Basic realm=\"x\""}};
    }
    if (request.target.find("/blobs/") == std::string::npos) return Good(request);
    return {307, {"Location: http://" + store.host() + request.target}};
  });
  EXPECT_THAT(LogIn(server.host(), "secret"), Succeeds());
  Succeed({"docker", "pull", server.host() + "/x:1"});
  EXPECT_THAT(seen, ::testing::ElementsAre("", "", ""));
}

TEST_F(FaultyRegistryTest, MirrorsAreAskedFirst) {
  HttpServer empty([](const ServerRequest& request) -> ServerAnswer {
    return {request.target == "/v2/" ? 200 : 404};
  });
  HttpServer mirror([&](const ServerRequest& request) { return Good(request); });
  Write("registries.json", R"({"registry-mirrors":["http://)" + empty.host() + R"(","http://)" +
                               mirror.host() + R"("]})");
  environment()["SKIFF_REGISTRY_CONFIG"] = File("registries.json");
  Succeed({"docker", "pull", "mirrored:1"});
  EXPECT_EQ(IdOf("mirrored:1"), Digest(image_.config));
  EXPECT_THAT(empty.requests(), ::testing::Contains("GET /v2/library/mirrored/manifests/1"));
}

TEST_F(FaultyRegistryTest, AProxyIsUsedForWhatIsNotLocal) {
  HttpServer proxy([&](const ServerRequest& request) -> ServerAnswer {
    if (request.method == "CONNECT") return {403};
    return Good(request);
  });
  NameInsecure("registry.example");
  environment()["http_proxy"] = "http://" + proxy.host();
  environment()["https_proxy"] = "http://" + proxy.host();
  Succeed({"docker", "pull", "registry.example/x:1"});
  EXPECT_THAT(proxy.requests(),
              ::testing::Contains("GET http://registry.example/v2/x/manifests/1"));
}

// Takes uploads that have their digest; `refuse` may answer the one of a layer that was made here
// instead.
class UploadServer {
 public:
  explicit UploadServer(std::function<std::optional<ServerAnswer>(const ServerRequest&)> refuse)
      : refuse_(std::move(refuse)), server_([this](const ServerRequest& request) {
          return Answer(request);
        }) {}

  std::string host() const { return server_.host(); }
  // By digest.
  const std::map<std::string, std::string>& taken() const { return taken_; }

 private:
  // Smaller is the configuration, larger the base image, which goes as it came.
  static bool IsMade(const std::string& body) {
    return body.size() > 300'000 && body.size() < 400'000;
  }

  ServerAnswer Answer(const ServerRequest& request) {
    if (request.method == "HEAD") return {404};
    if (request.method == "POST") return {202, {"Location: /upload"}};
    if (request.method != "PUT") return {200};
    const size_t digest = request.target.find("digest=sha256%3A");
    if (digest == std::string::npos) return {201};
    if (IsMade(request.body)) {
      if (auto refusal = refuse_(request)) return *refusal;
    }
    const std::string expected = "sha256:" + request.target.substr(digest + 16);
    if (Digest(request.body) != expected) return {400};
    taken_[expected] = request.body;
    return {201};
  }

  std::function<std::optional<ServerAnswer>(const ServerRequest&)> refuse_;
  std::map<std::string, std::string> taken_;
  HttpServer server_;
};

TEST_F(FaultyRegistryTest, ALayerThatIsPackedOnItsWayIsSentAgainWhenItBreaks) {
  MakeImage("made:1", 1, 300);
  for (const int status : {0, 503, 401, 400}) {
    int refused = 0;
    UploadServer server([&](const ServerRequest& request) -> std::optional<ServerAnswer> {
      // 401: an authorization that holds no longer.
      const bool refuses = status == 401 ? request.Header("authorization").empty() : refused == 0;
      if (!refuses) return std::nullopt;
      ++refused;
      return ServerAnswer{status, {"WWW-Authenticate: Basic realm=\"x\""}};
    });
    EXPECT_THAT(LogIn(server.host(), "secret"), Succeeds());
    const std::string name = server.host() + "/made:1";
    Succeed({"docker", "tag", "made:1", name});
    Succeed({"docker", "push", name});
    EXPECT_GT(refused, 0) << status;
    EXPECT_EQ(server.taken().size(), 3u) << status;
  }
}

TEST_F(FaultyRegistryTest, ARefusalOfALayerIsTold) {
  MakeImage("made:1", 1, 300);
  UploadServer server([](const ServerRequest&) {
    return ServerAnswer{413, {}, R"({"errors":[{"code":"TOO_BIG","message":"no more than a byte"}]})"};
  });
  Succeed({"docker", "tag", "made:1", server.host() + "/made:1"});
  const Outcome refused = Skiff({"docker", "push", server.host() + "/made:1"});
  EXPECT_THAT(refused, ExitsWith(1));
  EXPECT_THAT(refused.err, HasSubstr("too big: no more than a byte"));
}

TEST_F(FaultyRegistryTest, ALayerThatChangedOnDiskIsNotPushed) {
  for (const bool longer : {false, true}) {
    const std::string made = longer ? "made:2" : "made:1";
    MakeImage(made, 1, 300);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(environment()["SKIFF_ROOT"])) {
      if (entry.path().filename() != "random0") continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      if (longer) file.seekp(0, std::ios::end);
      file << "changed";
    }
    UploadServer server([](const ServerRequest&) { return std::nullopt; });
    Succeed({"docker", "tag", made, server.host() + "/made:1"});
    const Outcome refused = Skiff({"docker", "push", server.host() + "/made:1"});
    EXPECT_THAT(refused, ExitsWith(1));
    EXPECT_THAT(refused.err, HasSubstr("has changed on disk"));
  }
}

TEST_F(FaultyRegistryTest, APushThatDiesIsDoneByTheNext) {
  const std::string host = StartRegistry();
  const std::string name = host + "/box:1";
  Succeed({"docker", "tag", "busybox:latest", name});
  for (const char* point : {"image.push_layer=kill", "image.push_layer=error",
                            "image.push_manifest=kill", "image.push_manifest=error"}) {
    environment()["SKIFF_FAILPOINTS"] = point;
    // What is there already is not sent again.
    Skiff({"docker", "push", name});
    environment().erase("SKIFF_FAILPOINTS");
    EXPECT_THAT(Skiff({"system", "check", "--repair"}), Succeeds()) << point;
  }
  Succeed({"docker", "push", name});
  Succeed({"docker", "pull", name});
}

}  // namespace
}  // namespace skiff::e2e
