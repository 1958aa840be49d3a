#pragma once

#include <string>

#include "base/error.h"
#include "cli/context.h"
#include "engine-core/images.h"

// What a person's machine says about registries (docs/registries.md): credentials in docker's
// config.json or a credential helper; mirrors, insecure registries, certificates; proxies.
namespace skiff::cli {

inline constexpr std::string_view kDockerHub = "https://index.docker.io/v1/";

// The key of `host` among credentials: docker.io has an old one.
std::string CredentialKey(const std::string& host);
// $DOCKER_CONFIG/config.json or ~/.docker/config.json.
std::string DockerConfigPath(const Context& context);

// The proxies of the environment alone: for servers that are no registries.
engine::RegistrySettings ProxiesOf(const Context& context);
Result<engine::RegistryAccess> AccessTo(const Context& context, const std::string& host);
// Of the registry that has the image `reference`.
Result<engine::RegistryAccess> AccessToImage(const Context& context, const std::string& reference);
// `plain` becomes true when they are stored as a file anybody with the account can read.
Status StoreCredentials(const Context& context, const std::string& host,
                        const engine::Credentials& credentials, bool* plain);
// False: there were none.
Result<bool> EraseCredentials(const Context& context, const std::string& host);

std::string EncodeBase64(std::string_view bytes);
Result<std::string> DecodeBase64(std::string_view text);

}  // namespace skiff::cli
