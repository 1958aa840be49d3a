#include "engine-core/child/default_filter.h"

namespace skiff::engine::child {
std::string_view DefaultFilter() {
  return {};
}
}  // namespace skiff::engine::child
