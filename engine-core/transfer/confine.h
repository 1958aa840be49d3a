#pragma once

#include "base/error.h"

namespace skiff::engine::transfer {

// Gives up everything unpacking does not need, for good: the process ends with its parent; a mount,
// network, IPC and UTS namespace of its own; `folder_fd` as its root; the six capabilities that
// owners, modes, nodes and file capabilities take; no_new_privs; limits on descriptors and core
// files; a seccomp allow list. Without privilege to begin with, what cannot be given up is not
// there. Call it before a byte of an archive is read.
Status Confine(int folder_fd);

// For a session with a registry, whose answers are not trusted either: the user nobody without
// capabilities, no_new_privs, the same limits, and a seccomp allow list that knows sockets but no
// program to run and no file to make.
Status ConfineToNetwork();

}  // namespace skiff::engine::transfer
