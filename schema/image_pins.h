#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "schema/tree.h"

// The images of a canonical tree (LoadResult::tree), for `config --resolve-image-digests` and
// `--lock-image-digests`: of services, of their pre_start hooks and of their mounts of
// `type: image`. A mount that names a service is none.
namespace skiff::schema {

std::set<std::string> ImagesIn(const Node& tree);
// Puts the value of `pins` in place of each image that is a key of it.
void PinImages(Node& tree, const std::map<std::string, std::string>& pins);
// What an override file needs that only pins: images of services and mounts. Returns the services
// whose hooks had images that are gone now.
std::vector<std::string> KeepOnlyImages(Node& tree);

}  // namespace skiff::schema
