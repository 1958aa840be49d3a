#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff {

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// "user[:group]", names by the root file system's /etc/passwd and /etc/group (inside the root,
// whatever they are). A user without a group: the user's own group, or the same number: rules of
// COPY --chown. kNotFound for a name that is not there.
Result<Owner> ResolveOwner(int root_fd, const std::string& owner);
// The same for who a container's process is (`docker run --user`): a number's group is that of
// /etc/passwd, or 0.
Result<Owner> ResolveUser(int root_fd, const std::string& user);
// Names need the files of the root file system.
bool OwnerHasNames(std::string_view owner);

}  // namespace skiff
