#pragma once

#include <memory>
#include <string>

#include "base/error.h"

struct nft_ctx;

namespace skiff::net {

// libnftables, loaded when the first object is made: verbs that touch no firewall never load it.
class Nftables {
 public:
  // kUnsupported: the library is not installed.
  static Result<std::unique_ptr<Nftables>> Load();
  ~Nftables();
  Nftables(const Nftables&) = delete;
  Nftables& operator=(const Nftables&) = delete;

  // All of `commands` in one transaction. The error carries what nft says.
  Status Run(const std::string& commands);
  // Output of a list command in JSON.
  Result<std::string> List(const std::string& command);

 private:
  struct Library;
  explicit Nftables(std::unique_ptr<Library> library);
  Status RunWith(unsigned flags, const std::string& commands);

  std::unique_ptr<Library> library_;
  nft_ctx* context_ = nullptr;
};

}  // namespace skiff::net
