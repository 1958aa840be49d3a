#include "cli/registry_config.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/text.h"
#include "cli/credential_helper.h"
#include "engine-core/references.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr const char* kTokenUser = "<token>";  // What helpers call the user of an identity token.
constexpr size_t kMaximumFile = 4u << 20;

// An object, empty when there is no such file.
Result<Json> ReadJson(const std::string& path) {
  const auto text = ReadFile(path, kMaximumFile);
  if (!text) {
    if (text.error().code == Code::kNotFound) return Json::object();
    return Fail(text.error());
  }
  Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) {
    return Fail(Code::kInvalidArgument, "cannot read '" + path + "': it is no JSON object");
  }
  return json;
}

std::string TextOf(const Json& in, const std::string& key) {
  const auto it = in.find(key);
  return it != in.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::vector<std::string> ListOf(const Json& in, const std::string& key) {
  std::vector<std::string> out;
  const auto it = in.find(key);
  if (it == in.end() || !it->is_array()) return out;
  for (const Json& item : *it) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

// The helper that keeps the credentials of `key`, "" for the file itself.
std::string HelperOf(const Json& config, const std::string& key) {
  const auto helpers = config.find("credHelpers");
  if (helpers != config.end() && helpers->is_object()) {
    if (const std::string name = TextOf(*helpers, key); !name.empty()) return name;
  }
  return TextOf(config, "credsStore");
}

Result<engine::Credentials> FromHelper(const Context& context, const std::string& helper,
                                       const std::string& key) {
  engine::Credentials credentials;
  const auto output = RunCredentialHelper(helper, "get", key, context.around().environment);
  if (!output) {
    // None stored: anonymous.
    if (output.error().message.find("credentials not found") != std::string::npos) {
      return credentials;
    }
    return Fail(output.error());
  }
  const Json json = Json::parse(*output, nullptr, false);
  if (!json.is_object()) {
    return Fail(Code::kUnavailable, "docker-credential-" + helper + " gave no JSON object");
  }
  const std::string user = TextOf(json, "Username");
  if (user == kTokenUser) {
    credentials.identity_token = TextOf(json, "Secret");
  } else {
    credentials.username = user;
    credentials.password = TextOf(json, "Secret");
  }
  return credentials;
}

Result<engine::Credentials> FromEntry(const Json& entry) {
  engine::Credentials credentials;
  credentials.identity_token = TextOf(entry, "identitytoken");
  credentials.registry_token = TextOf(entry, "registrytoken");
  credentials.username = TextOf(entry, "username");
  credentials.password = TextOf(entry, "password");
  const std::string auth = TextOf(entry, "auth");
  if (auth.empty()) return credentials;
  SKIFF_ASSIGN(const std::string pair, DecodeBase64(auth));
  const size_t colon = pair.find(':');
  if (colon == std::string::npos) {
    return Fail(Code::kInvalidArgument, "invalid auth configuration file");
  }
  credentials.username = pair.substr(0, colon);
  credentials.password = pair.substr(colon + 1);
  return credentials;
}

// Old files have whole URLs as keys.
std::string BareHost(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  return std::string(key.substr(0, key.find('/')));
}

Result<engine::Credentials> CredentialsOf(const Context& context, const std::string& host) {
  SKIFF_ASSIGN(const Json config, ReadJson(DockerConfigPath(context)));
  const std::string key = CredentialKey(host);
  if (const std::string helper = HelperOf(config, key); !helper.empty()) {
    return FromHelper(context, helper, key);
  }
  const auto auths = config.find("auths");
  if (auths == config.end() || !auths->is_object()) return engine::Credentials();
  if (const auto exact = auths->find(key); exact != auths->end()) return FromEntry(*exact);
  for (const auto& [name, entry] : auths->items()) {
    if (BareHost(name) == host) return FromEntry(entry);
  }
  return engine::Credentials();
}

// Certificates for one registry, docker's names: *.crt vouch, NAME.cert with NAME.key are shown.
Status ReadCertificates(const std::string& folder_path, engine::RegistrySettings& settings) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(folder_path.c_str()), ::closedir);
  if (!folder) return errno == ENOENT ? Status() : FailErrno("cannot read '" + folder_path + "'");
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder.get())) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = folder_path + "/" + name;
    if (name.ends_with(".crt")) {
      SKIFF_ASSIGN(const std::string pem, ReadFile(path, kMaximumFile));
      settings.ca_pem += pem + "\n";
    }
    if (!name.ends_with(".cert")) continue;
    SKIFF_ASSIGN(settings.client_cert_pem, ReadFile(path, kMaximumFile));
    const std::string key = path.substr(0, path.size() - 5) + ".key";
    auto pem = ReadFile(key, kMaximumFile);
    if (!pem) {
      return Fail(Code::kInvalidArgument, "missing key " + name.substr(0, name.size() - 5) +
                                              ".key for client certificate " + name +
                                              ". CA certificates must use the extension .crt");
    }
    settings.client_key_pem = std::move(*pem);
  }
  return {};
}

std::string EitherCase(const Context& context, const std::string& name) {
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  const std::string value = context.Variable(upper);
  return value.empty() ? context.Variable(name) : value;
}

}  // namespace

std::string CredentialKey(const std::string& host) {
  return host == "docker.io" || host == "index.docker.io" ? std::string(kDockerHub) : host;
}

std::string DockerConfigPath(const Context& context) {
  const std::string folder = context.Variable("DOCKER_CONFIG");
  return (folder.empty() ? context.Variable("HOME") + "/.docker" : folder) + "/config.json";
}

engine::RegistrySettings ProxiesOf(const Context& context) {
  engine::RegistrySettings settings;
  settings.http_proxy = EitherCase(context, "http_proxy");
  settings.https_proxy = EitherCase(context, "https_proxy");
  settings.no_proxy = EitherCase(context, "no_proxy");
  return settings;
}

Result<engine::RegistryAccess> AccessTo(const Context& context, const std::string& host) {
  engine::RegistryAccess access;
  access.settings = ProxiesOf(context);
  SKIFF_ASSIGN(access.credentials, CredentialsOf(context, host));
  engine::RegistrySettings& settings = access.settings;
  const std::string chosen = context.Variable("SKIFF_REGISTRY_CONFIG");
  Json config = Json::object();
  for (const std::string& path :
       chosen.empty() ? std::vector<std::string>{"/etc/skiff/registries.json",
                                                 "/etc/docker/daemon.json"}
                      : std::vector<std::string>{chosen}) {
    SKIFF_ASSIGN(config, ReadJson(path));
    if (!config.empty()) break;
  }
  if (host == "docker.io") settings.mirrors = ListOf(config, "registry-mirrors");
  const std::vector<std::string> insecure = ListOf(config, "insecure-registries");
  settings.insecure =
      engine::IsLoopbackRegistry(host) || std::find(insecure.begin(), insecure.end(), host) != insecure.end();
  const std::string certificates = context.Variable("SKIFF_CERTS_DIR");
  for (const std::string& folder :
       certificates.empty() ? std::vector<std::string>{"/etc/skiff/certs.d", "/etc/docker/certs.d"}
                            : std::vector<std::string>{certificates}) {
    SKIFF_TRY(ReadCertificates(folder + "/" + host, settings));
  }
  return access;
}

Result<engine::RegistryAccess> AccessToImage(const Context& context,
                                             const std::string& reference) {
  SKIFF_ASSIGN(const engine::Reference parsed, engine::ParseReference(reference));
  return AccessTo(context, parsed.domain);
}

Status StoreCredentials(const Context& context, const std::string& host,
                        const engine::Credentials& credentials, bool* plain) {
  const std::string path = DockerConfigPath(context);
  SKIFF_ASSIGN(Json config, ReadJson(path));
  const std::string key = CredentialKey(host);
  const bool token = !credentials.identity_token.empty();
  const std::string helper = HelperOf(config, key);
  *plain = helper.empty();
  if (!helper.empty()) {
    const Json entry = {{"ServerURL", key},
                        {"Username", token ? kTokenUser : credentials.username},
                        {"Secret", token ? credentials.identity_token : credentials.password}};
    SKIFF_TRY(RunCredentialHelper(helper, "store", entry.dump(), context.around().environment));
    config["auths"][key] = Json::object();
  } else {
    Json entry = {
        {"auth", EncodeBase64(credentials.username + ":" + (token ? "" : credentials.password))}};
    if (token) entry["identitytoken"] = credentials.identity_token;
    config["auths"][key] = std::move(entry);
  }
  SKIFF_TRY(MakeDirectories(path.substr(0, path.rfind('/')), 0700));
  return WriteFileAtomically(path, config.dump(1, '\t') + "\n", 0600, Durability::kDurable);
}

Result<bool> EraseCredentials(const Context& context, const std::string& host) {
  const std::string path = DockerConfigPath(context);
  SKIFF_ASSIGN(Json config, ReadJson(path));
  const std::string key = CredentialKey(host);
  bool there = false;
  if (const std::string helper = HelperOf(config, key); !helper.empty()) {
    SKIFF_TRY(RunCredentialHelper(helper, "erase", key, context.around().environment));
    there = true;
  }
  if (config.contains("auths") && config["auths"].is_object()) {
    there = config["auths"].erase(key) > 0 || there;
  }
  if (!there) return false;
  SKIFF_TRY(
      WriteFileAtomically(path, config.dump(1, '\t') + "\n", 0600, Durability::kDurable));
  return true;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) out += j <= count ? kBase64[group >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

Result<std::string> DecodeBase64(std::string_view text) {
  std::string out;
  uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const size_t digit = kBase64.find(c);
    if (digit == std::string_view::npos) {
      return Fail(Code::kInvalidArgument, "the credentials are no base64 text");
    }
    group = group << 6 | static_cast<uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(group >> bits & 255);
  }
  return out;
}

}  // namespace skiff::cli
