#pragma once

#include <string_view>

namespace skiff::engine::child {

// Docker's default policy for docker's default capabilities, compiled when Skiff was built: an
// array of struct sock_filter.
std::string_view DefaultFilter();

}  // namespace skiff::engine::child
