#include "cli/image_change.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/flag_values.h"

namespace skiff::cli {
namespace {

// A JSON list of strings, or nothing when it is none.
std::optional<std::vector<std::string>> JsonList(std::string_view text) {
  if (!text.starts_with('[')) return std::nullopt;
  const auto list = nlohmann::json::parse(text, nullptr, false);
  if (!list.is_array()) return std::nullopt;
  std::vector<std::string> words;
  for (const auto& item : list) {
    if (!item.is_string()) return std::nullopt;
    words.push_back(item.get<std::string>());
  }
  return words;
}

// The exec form as it is, the shell form behind a shell.
std::vector<std::string> CommandOf(std::string_view text) {
  if (auto list = JsonList(text)) return std::move(*list);
  return {"/bin/sh", "-c", std::string(text)};
}

Result<std::vector<std::string>> WordsOf(std::string_view text) {
  if (auto list = JsonList(text)) return std::move(*list);
  return SplitShellWords(text);
}

// ENV A=1 B=2, or the old form ENV A 1.
Result<std::vector<std::string>> AssignmentsOf(std::string_view text) {
  SKIFF_ASSIGN(std::vector<std::string> words, SplitShellWords(text));
  if (words.empty() || words[0].find('=') != std::string::npos) return words;
  const size_t space = text.find_first_of(" \t");
  if (space == std::string_view::npos) {
    return Fail(Code::kInvalidArgument, fmt::format("'{}' must have two arguments", text));
  }
  return std::vector<std::string>{
      fmt::format("{}={}", text.substr(0, space), Trim(text.substr(space)))};
}

void Replace(std::vector<std::string>& environment, const std::string& entry) {
  const std::string key = entry.substr(0, entry.find('=') + 1);
  std::erase_if(environment, [&](const std::string& old) { return old.starts_with(key); });
  environment.push_back(entry);
}

}  // namespace

Status ApplyImageChange(std::string_view text, engine::ImageConfig& config) {
  text = Trim(text);
  const size_t space = text.find_first_of(" \t");
  std::string name = ToLower(text.substr(0, space));
  const std::string_view rest =
      space == std::string_view::npos ? std::string_view() : Trim(text.substr(space));
  if (rest.empty()) {
    return Fail(Code::kInvalidArgument, fmt::format("instruction '{}' needs an argument", text));
  }
  if (name == "cmd") {
    config.command = CommandOf(rest);
  } else if (name == "entrypoint") {
    config.entrypoint = CommandOf(rest);
  } else if (name == "env") {
    SKIFF_ASSIGN(const auto entries, AssignmentsOf(rest));
    for (const std::string& entry : entries) Replace(config.environment, entry);
  } else if (name == "label") {
    SKIFF_ASSIGN(const auto entries, AssignmentsOf(rest));
    for (const std::string& entry : entries) {
      SKIFF_ASSIGN(auto pair, ParseKeyValue(entry, "label"));
      config.labels.insert_or_assign(std::move(pair.first), std::move(pair.second));
    }
  } else if (name == "expose") {
    for (std::string_view port : SplitWords(rest)) {
      SKIFF_TRY(ParseExpose(port));
      const bool has_protocol = port.find('/') != std::string_view::npos;
      config.exposed_ports.push_back(std::string(port) + (has_protocol ? "" : "/tcp"));
    }
  } else if (name == "volume") {
    SKIFF_ASSIGN(const auto paths, WordsOf(rest));
    config.volumes.insert(config.volumes.end(), paths.begin(), paths.end());
  } else if (name == "user") {
    config.user = rest;
  } else if (name == "workdir") {
    config.working_dir = rest;
  } else if (name == "stopsignal") {
    SKIFF_TRY(ParseSignal(rest));
    config.stop_signal = rest;
  } else if (name == "onbuild") {
    config.on_build.emplace_back(rest);
  } else {
    return Fail(Code::kInvalidArgument, fmt::format("{} is not a valid change command", name));
  }
  return {};
}

}  // namespace skiff::cli
