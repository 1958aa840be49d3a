#include "builder/execute/step_key.h"

namespace skiff::builder {

StepKey& StepKey::Add(std::string_view value) {
  hash_.Update(std::to_string(value.size()));
  hash_.Update(":");
  hash_.Update(value);
  return *this;
}

StepKey& StepKey::Add(const std::vector<std::string>& values) {
  Add(static_cast<int64_t>(values.size()));
  for (const std::string& value : values) Add(value);
  return *this;
}

}  // namespace skiff::builder
