#include "compose/model_diff.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/text.h"

namespace skiff::compose {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxNamed = 3;
constexpr size_t kMaxValue = 60;

std::string Show(const Json& value) {
  std::string text = value.is_string() ? value.get<std::string>()
                                       : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kMaxValue) {
    size_t end = kMaxValue;
    // Do not cut a character in two.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return "'" + text + "'";
}

class Comparison {
 public:
  void Compare(const std::string& path, const Json& before, const Json& after) {
    if (before == after) return;
    if (before.is_object() && after.is_object()) {
      CompareObjects(path, before, after);
    } else if (before.is_array() && after.is_array() && before.size() == after.size()) {
      for (size_t i = 0; i < before.size(); ++i) {
        Compare(fmt::format("{}.{}", path, i), before[i], after[i]);
      }
    } else {
      changes_.push_back(fmt::format("{}: {} -> {}", path, Show(before), Show(after)));
    }
  }

  std::string Text() const {
    std::vector<std::string> named(changes_.begin(),
                                   changes_.begin() + std::min(changes_.size(), kMaxNamed));
    std::string text = Join(named, "; ");
    if (changes_.size() > kMaxNamed) {
      text += fmt::format("; and {} more", changes_.size() - kMaxNamed);
    }
    return text;
  }

 private:
  void CompareObjects(const std::string& path, const Json& before, const Json& after) {
    std::set<std::string> keys;
    for (const auto& item : before.items()) keys.insert(item.key());
    for (const auto& item : after.items()) keys.insert(item.key());
    for (const std::string& key : keys) {
      const std::string child = path.empty() ? key : path + "." + key;
      const bool was = before.contains(key);
      const bool is = after.contains(key);
      static const Json kNoObject = Json::object();
      // A first or last entry is named, not the map that came or went with it.
      if (was != is && (was ? before : after)[key].is_object()) {
        CompareObjects(child, was ? before[key] : kNoObject, is ? after[key] : kNoObject);
        continue;
      }
      if (was && is) {
        Compare(child, before[key], after[key]);
      } else if (is) {
        changes_.push_back(fmt::format("{}: added {}", child, Show(after[key])));
      } else {
        changes_.push_back(fmt::format("{}: removed {}", child, Show(before[key])));
      }
    }
  }

  std::vector<std::string> changes_;
};

}  // namespace

std::string DescribeModelChange(std::string_view before, std::string_view after) {
  if (before == after) return "";
  const Json old_model = Json::parse(before, nullptr, false);
  const Json new_model = Json::parse(after, nullptr, false);
  if (old_model.is_discarded() || new_model.is_discarded()) return "configuration changed";
  Comparison comparison;
  comparison.Compare("", old_model, new_model);
  return comparison.Text();
}

}  // namespace skiff::compose
