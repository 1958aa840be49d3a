#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::cli {

// The part of Go's text/template that people use with --format: fields (.State.Status), chains in
// parentheses, pipes, variables, if / else if / else, with, range (also with two variables),
// trimming ({{- -}}), comments, and the functions json join lower upper title split println print
// printf len index slice eq ne lt le gt ge and or not pad truncate.
//
// Values are JSON. A field that an object does not have is an error, except below objects that are
// maps for docker too (Labels, Networks, Ports, ...), where it prints "<no value>".
class GoTemplate {
 public:
  static Result<GoTemplate> Parse(std::string_view text);
  ~GoTemplate();
  GoTemplate(GoTemplate&&) noexcept;
  GoTemplate& operator=(GoTemplate&&) noexcept;

  Result<std::string> Execute(const nlohmann::ordered_json& data) const;

  struct Node;

 private:
  explicit GoTemplate(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

// `text` with the escapes \t and \n of a command line replaced.
std::string UnescapeFormat(std::string_view text);

}  // namespace skiff::cli
