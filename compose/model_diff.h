#pragma once

#include <string>
#include <string_view>

namespace skiff::compose {

// What changed between two models of one thing (their canonical JSON), for people:
// "environment.DEBUG: '0' -> '1'; image: 'a' -> 'b'". At most three differences are named. "" when
// the texts say the same.
std::string DescribeModelChange(std::string_view before, std::string_view after);

}  // namespace skiff::compose
