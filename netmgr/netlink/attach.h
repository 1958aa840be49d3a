#pragma once

#include "base/error.h"
#include "netmgr/endpoint.h"
#include "netmgr/netlink/namespace_thread.h"
#include "netmgr/network.h"

// What happens inside a container's namespace. All of it runs on `thread`.
namespace skiff::net {

Result<Fd> MakeContainerNamespace(NamespaceThread* thread, const NamespaceOptions& options);
// `spec.network` is complete; `host_name` is the name of the host end.
Status Attach(NamespaceThread* thread, int network_namespace, const EndpointSpec& spec,
              const std::string& host_name);
Status Detach(NamespaceThread* thread, int network_namespace, const EndpointSpec& spec);
Result<NameServiceSockets> MakeNameServiceSockets(NamespaceThread* thread, int network_namespace);

}  // namespace skiff::net
