// Registries: pull, push, login, logout.
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "cli/image_output.h"
#include "cli/registry_config.h"
#include "cli/verbs.h"
#include "engine-core/references.h"

namespace skiff::cli {
namespace {

constexpr size_t kMaximumSecret = 1 << 16;

// One line of a terminal; without echo for a secret.
Result<std::string> Ask(Context& context, std::string_view question, bool secret) {
  SKIFF_TRY(context.Print(question));
  const int in = context.around().in;
  termios before{};
  const bool terminal = secret && ::tcgetattr(in, &before) == 0;
  if (terminal) {
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(in, TCSANOW, &silent);
  }
  std::string line;
  char byte = 0;
  while (line.size() < kMaximumSecret && ::read(in, &byte, 1) == 1 && byte != '\n') line += byte;
  if (terminal) {
    ::tcsetattr(in, TCSANOW, &before);
    SKIFF_TRY(context.Print("\n"));
  }
  return line;
}

Result<engine::Credentials> AskCredentials(Context& context, const Arguments& arguments) {
  engine::Credentials credentials;
  credentials.username = arguments.Text("username");
  credentials.password = arguments.Text("password");
  if (arguments.Bool("password-stdin")) {
    if (arguments.Has("password")) {
      return Fail(Code::kInvalidArgument,
                  "conflicting options: cannot specify both --password and --password-stdin");
    }
    if (credentials.username.empty()) {
      return Fail(Code::kInvalidArgument,
                  "the --password-stdin option requires --username to be set");
    }
    SKIFF_ASSIGN(std::string secret, ReadAll(context.around().in, kMaximumSecret, "the password"));
    while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
    credentials.password = std::move(secret);
  } else if (arguments.Has("password")) {
    context.PrintError(
        "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
  }
  const bool terminal = ::isatty(context.around().in) != 0;
  if ((credentials.username.empty() || credentials.password.empty()) && !terminal) {
    return Fail(Code::kInvalidArgument, "cannot perform an interactive login from a non TTY device");
  }
  if (credentials.username.empty()) {
    SKIFF_ASSIGN(credentials.username, Ask(context, "Username: ", false));
  }
  if (credentials.password.empty()) {
    SKIFF_ASSIGN(credentials.password, Ask(context, "Password: ", true));
  }
  if (credentials.username.empty() || credentials.password.empty()) {
    return Fail(Code::kInvalidArgument, "username and password are required");
  }
  return credentials;
}

std::string HostOperand(const Arguments& arguments) {
  std::string host = arguments.Operand(0);
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (host.starts_with(scheme)) host.erase(0, scheme.size());
  }
  host = host.substr(0, host.find('/'));
  if (host.empty() || host == "index.docker.io" || host == "registry-1.docker.io") {
    return "docker.io";
  }
  return host;
}

// Every tag of the repository that is here.
Result<std::vector<std::string>> LocalTags(engine::Engine& engine, const std::string& name) {
  SKIFF_ASSIGN(const auto images, engine.ListImages());
  std::vector<std::string> tags;
  for (const engine::Image& image : images) {
    for (const std::string& reference : image.references) {
      if (reference.starts_with(name + ":")) tags.push_back(reference);
    }
  }
  std::sort(tags.begin(), tags.end());
  if (tags.empty()) {
    return Fail(Code::kNotFound, "An image does not exist locally with the tag: " + name);
  }
  return tags;
}

}  // namespace

Result<int> RunImagePull(Context& context, const Arguments& arguments) {
  if (arguments.Bool("all-tags")) {
    return Fail(Code::kUnsupported, "pull --all-tags is not supported: name the tags");
  }
  const std::string text = arguments.Operand(0);
  SKIFF_ASSIGN(const engine::Reference reference, engine::ParseReference(text));
  const bool quiet = arguments.Bool("quiet");
  engine::PullOptions options;
  SKIFF_ASSIGN(options.platform, PlatformFlag(arguments));
  SKIFF_ASSIGN(options.access, AccessTo(context, reference.domain));
  ImageOutput output(context, quiet);
  options.progress = output.Sink();
  const bool named = text.find('@') != std::string::npos || text.ends_with(":" + reference.tag);
  if (!quiet && !named) SKIFF_TRY(context.Print("Using default tag: latest\n"));
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const engine::PulledImage pulled, engine->PullImage(text, options));
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(output.status());
  if (!quiet) {
    SKIFF_TRY(context.Print(PulledText(pulled, reference.Familiar())));
  }
  SKIFF_TRY(context.Print(reference.Canonical() + '\n'));
  return 0;
}

Result<int> RunImagePush(Context& context, const Arguments& arguments) {
  const std::string text = arguments.Operand(0);
  SKIFF_ASSIGN(const engine::Reference reference, engine::ParseReference(text));
  const bool quiet = arguments.Bool("quiet");
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  std::vector<std::string> names = {reference.Familiar()};
  if (arguments.Bool("all-tags")) {
    if (text.find('@') != std::string::npos || text.ends_with(":" + reference.tag)) {
      return Fail(Code::kInvalidArgument, "tag can't be used with --all-tags/-a");
    }
    SKIFF_ASSIGN(names, LocalTags(*engine, reference.FamiliarName()));
  }
  engine::PushOptions options;
  SKIFF_ASSIGN(options.access, AccessTo(context, reference.domain));
  ImageOutput output(context, quiet);
  options.progress = output.Sink();
  if (!quiet) {
    SKIFF_TRY(context.Print(fmt::format("The push refers to repository [{}/{}]\n",
                                        reference.domain, reference.path)));
  }
  for (const std::string& name : names) {
    SKIFF_ASSIGN(const engine::PushedImage pushed, engine->PushImage(name, options));
    SKIFF_ASSIGN(const engine::Reference one, engine::ParseReference(name));
    SKIFF_TRY(context.Print(quiet ? one.Canonical() + '\n'
                                  : fmt::format("{}: digest: {} size: {}\n", one.tag,
                                                pushed.digest, pushed.size)));
  }
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(output.status());
  return 0;
}

Result<int> RunLogin(Context& context, const Arguments& arguments) {
  const std::string host = HostOperand(arguments);
  SKIFF_ASSIGN(engine::RegistryAccess access, AccessTo(context, host));
  SKIFF_ASSIGN(access.credentials, AskCredentials(context, arguments));
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(access.credentials.identity_token, engine->LogIn(host, access));
  bool plain = false;
  SKIFF_TRY(StoreCredentials(context, host, access.credentials, &plain));
  if (plain) {
    context.PrintError(fmt::format(
        "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper "
        "to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n",
        DockerConfigPath(context)));
  }
  SKIFF_TRY(context.Print("Login Succeeded\n"));
  return 0;
}

Result<int> RunLogout(Context& context, const Arguments& arguments) {
  const std::string host = HostOperand(arguments);
  const std::string shown = CredentialKey(host);
  SKIFF_ASSIGN(const bool erased, EraseCredentials(context, host));
  SKIFF_TRY(context.Print(erased ? fmt::format("Removing login credentials for {}\n", shown)
                                 : fmt::format("Not logged in to {}\n", shown)));
  return 0;
}

}  // namespace skiff::cli
