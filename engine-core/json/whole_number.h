#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace skiff::engine {

// `value` as a T. Throws Json::type_error for anything but a whole number and Json::out_of_range
// where T does not hold it; the conversions of the library would give some other number, and for a
// fraction beyond T have no defined result.
template <std::integral T, typename Json>
T WholeNumber(const Json& value) {
  using namespace nlohmann::detail;
  if (!value.is_number_integer()) {
    throw type_error::create(302, std::string("a whole number is expected, not ") +
                                      (value.is_number() ? value.dump() : value.type_name()),
                             &value);
  }
  const bool fits = value.is_number_unsigned()
                        ? std::in_range<T>(value.template get_ref<const uint64_t&>())
                        : std::in_range<T>(value.template get_ref<const int64_t&>());
  if (!fits) throw out_of_range::create(406, "the number " + value.dump() + " is out of range", &value);
  return value.template get<T>();
}

// The same of a field, which may be missing or null.
template <std::integral T, typename Json>
T WholeNumber(const Json& object, const char* key, T missing) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? missing : WholeNumber<T>(*found);
}

}  // namespace skiff::engine
