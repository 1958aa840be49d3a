#pragma once

#include <map>
#include <string>

#include "schema/files.h"

namespace skiff::cli {

class Context;

// Compose files at addresses, kept in $XDG_CACHE_HOME/skiff/remote (~/.cache/skiff/remote): a folder
// for each commit or digest, and for each address that can change its meaning a file that says what
// it stood for last. A command that only shows something never fetches: it takes what an address
// stood for when it was last fetched. https://docs.docker.com/compose/how-tos/oci-artifact/
class RemoteFiles : public schema::RemoteFiles {
 public:
  // The context outlives this.
  explicit RemoteFiles(Context& context) : context_(context) {}

  // From now on addresses are asked for and files fetched.
  void Fetch() { fetch_ = true; }
  Result<std::string> Obtain(const std::string& address) override;
  // What has been obtained, by address.
  const std::map<std::string, std::string>& known() const { return known_; }

 private:
  Result<std::string> FindInRepository(const std::string& address);
  Result<std::string> FindInRegistry(const std::string& address);
  Result<std::string> CacheFolder() const;
  // What the address stood for last, "" when it was never fetched.
  Result<std::string> Pinned(const std::string& address) const;
  Status Pin(const std::string& address, const std::string& folder) const;

  Context& context_;
  bool fetch_ = false;
  std::map<std::string, std::string> known_;
};

}  // namespace skiff::cli
