#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/owner.h"
#include "base/program.h"
#include "builder/build.h"

// Agents of ssh, for RUN --mount=type=ssh.
namespace skiff::builder {

// OpenSSH's own agent with the keys of some files, for as long as this lives.
class KeyAgent {
 public:
  struct Options {
    std::vector<std::string> keys;                   // Files.
    std::map<std::string, std::string> environment;  // Has PATH.
    std::string folder;                              // Empty, for the socket.
    int cancel_fd = -1;
  };
  // kNotFound: a file, or ssh-agent is not installed; kInvalidArgument: no key, or one with a
  // passphrase; kCancelled.
  static Result<KeyAgent> Start(const Options& options);
  const std::string& socket() const { return socket_; }

 private:
  KeyAgent(BackgroundProgram program, std::string socket)
      : program_(std::move(program)), socket_(std::move(socket)) {}
  static Status AddKey(const Options& options, const std::string& file);

  BackgroundProgram program_;
  std::string socket_;
};

// A socket whose connections lead to the agent at another one. Agents look at who connects: with
// this it is always the builder, and what owner and mode the socket has is the step's affair.
class AgentRelay {
 public:
  struct Options {
    std::string agent;   // Path of its socket.
    std::string folder;  // Where the new socket is made.
    Owner owner;
    uint32_t mode = 0600;
  };
  static Result<std::unique_ptr<AgentRelay>> Start(const Options& options);
  // Ends all connections.
  ~AgentRelay();

  const std::string& socket() const { return socket_; }

 private:
  AgentRelay() = default;
  void Serve();

  std::string agent_, socket_;
  Fd listener_, stop_;
  std::thread thread_;
};

}  // namespace skiff::builder
