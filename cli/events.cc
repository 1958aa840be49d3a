// `docker events` and `compose events`.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

#include "cli/exit_status.h"
#include "cli/flag_values.h"
#include "cli/go_template.h"
#include "cli/verbs.h"
#include "compose/labels.h"
#include "engine-core/labels.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kSecond = 1'000'000'000;

// As Go writes a time of this machine's zone; `zone`: whether to say which.
std::string LocalTime(int64_t nanoseconds, const char* format, int digits, bool zone) {
  const auto seconds = static_cast<time_t>(nanoseconds / kSecond);
  tm parts = {};
  ::localtime_r(&seconds, &parts);
  const std::string fraction = fmt::format("{:09}", nanoseconds % kSecond);
  std::string text = fmt::format(fmt::runtime(format), parts) + "." +
                     fraction.substr(0, static_cast<size_t>(digits));
  if (!zone) return text;
  const long minutes = parts.tm_gmtoff / 60;
  if (minutes == 0) return text + "Z";
  return text + fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', std::abs(minutes) / 60,
                            std::abs(minutes) % 60);
}

std::string Attribute(const engine::Event& event, const std::string& name) {
  const auto found = event.attributes.find(name);
  return found == event.attributes.end() ? "" : found->second;
}

// Conditions of `--filter key=value`: of one key any will do, of several keys all must hold.
class EventFilter {
 public:
  static Result<EventFilter> Parse(const std::vector<std::string>& words) {
    constexpr std::array<std::string_view, 8> kKnown = {"container", "event", "image",  "label",
                                                        "network",   "type",  "volume", "scope"};
    EventFilter filter;
    for (const std::string& word : words) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        return Fail(Code::kInvalidArgument, "invalid filter '" + word + "': expected key=value");
      }
      const std::string key = word.substr(0, equals);
      if (std::ranges::count(kKnown, key) == 0) {
        return Fail(Code::kInvalidArgument, "invalid filter '" + key + "'");
      }
      filter.wanted_[key].push_back(word.substr(equals + 1));
    }
    return filter;
  }

  bool Passes(const engine::Event& event) const {
    return std::ranges::all_of(wanted_, [&](const auto& row) {
      return std::ranges::any_of(row.second, [&](const std::string& value) {
        return Holds(event, row.first, value);
      });
    });
  }

 private:
  static bool Holds(const engine::Event& event, const std::string& key, const std::string& value) {
    if (key == "type") return event.type == value;
    if (key == "scope") return value == "local";
    if (key == "event") {
      // "exec_start: sh" is an exec_start.
      return event.action == value || event.action.starts_with(value + ":");
    }
    if (key == "label") {
      return engine::LabelsMatch(event.attributes, {value});
    }
    if (key == "image" && event.type == "container") {
      const std::string image = Attribute(event, "image");
      return image == value || image.substr(0, image.rfind(':')) == value;
    }
    if (event.type != key) return false;
    return event.actor.starts_with(value) || Attribute(event, "name").starts_with(value);
  }

  std::map<std::string, std::vector<std::string>> wanted_;
};

Json JsonOf(const engine::Event& event) {
  Json actor = {{"ID", event.actor}, {"Attributes", Json::object()}};
  for (const auto& [key, value] : event.attributes) actor["Attributes"][key] = value;
  return {{"Type", event.type},   {"Action", event.action},       {"Actor", std::move(actor)},
          {"scope", "local"},     {"time", event.time / kSecond}, {"timeNano", event.time}};
}

std::string Pretty(const engine::Event& event) {
  std::string line =
      fmt::format("{} {} {} {}", LocalTime(event.time, "{:%Y-%m-%dT%H:%M:%S}", 9, true),
                  event.type, event.action, event.actor);
  if (!event.attributes.empty()) {
    line += " (";
    for (const auto& [key, value] : event.attributes) {
      if (!line.ends_with('(')) line += ", ";
      line += key + "=" + value;
    }
    line += ")";
  }
  return line + "\n";
}

Result<engine::EventOptions> OptionsOf(Context& context, const Arguments& arguments) {
  engine::EventOptions options;
  SKIFF_ASSIGN(options.since, ParseMoment(arguments.Text("since"), context.now()));
  SKIFF_ASSIGN(options.until, ParseMoment(arguments.Text("until"), context.now()));
  SKIFF_ASSIGN(options.cancel_fd, context.InterruptFd());
  return options;
}

// Prints what `text` makes of each event ("": nothing) until the end or Ctrl-C.
template <typename Text>
Result<int> Stream(Context& context, const engine::EventOptions& options, const Text& text) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  Status printed;
  SKIFF_TRY(engine->ReadEvents(options, [&](const engine::Event& event) {
    Result<std::string> line = text(event);
    printed = line ? Status() : Status(Fail(line.error()));
    if (line && !line->empty()) printed = context.Print(*line);
    return printed.has_value();
  }));
  SKIFF_TRY(printed);
  SKIFF_ASSIGN(const bool interrupted, context.Interrupted());
  return interrupted ? kExitInterrupted : 0;
}

}  // namespace

Result<int> RunDockerEvents(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const EventFilter filter, EventFilter::Parse(arguments.List("filter")));
  const std::string format = arguments.Text("format");
  std::optional<GoTemplate> form;
  if (!format.empty()) {
    auto parsed = GoTemplate::Parse(UnescapeFormat(format == "json" ? "{{json .}}" : format));
    if (!parsed) {
      return Fail(Code::kInvalidArgument, "Error parsing format: " + parsed.error().message);
    }
    form = std::move(*parsed);
  }
  SKIFF_ASSIGN(const engine::EventOptions options, OptionsOf(context, arguments));
  return Stream(context, options, [&](const engine::Event& event) -> Result<std::string> {
    if (!filter.Passes(event)) return std::string();
    if (!form) return Pretty(event);
    Json data = JsonOf(event);
    if (format != "json") {
      // The names that Go's fields have.
      data["Scope"] = data["scope"];
      data["Time"] = data["time"];
      data["TimeNano"] = data["timeNano"];
      data["ID"] = event.actor;
      data["Status"] = event.action;
      data["From"] = Attribute(event, "image");
    }
    SKIFF_ASSIGN(const std::string line, form->Execute(data));
    return line + "\n";
  });
}

Result<int> RunComposeEvents(Context& context, const Arguments& arguments) {
  const std::vector<std::string>& services = arguments.operands();
  SKIFF_ASSIGN(const ChosenProject project, ChooseProject(context, services));
  SKIFF_ASSIGN(const engine::EventOptions options, OptionsOf(context, arguments));
  const bool json = arguments.Bool("json");
  return Stream(context, options, [&](const engine::Event& event) -> Result<std::string> {
    if (event.type != "container") return std::string();
    if (Attribute(event, std::string(compose::kProjectLabel)) != project.ref.name) return std::string();
    if (Attribute(event, std::string(compose::kOneoffLabel)) == "True") return std::string();
    const std::string service = Attribute(event, std::string(compose::kServiceLabel));
    if (!services.empty() && std::ranges::count(services, service) == 0) return std::string();
    Json attributes = Json::object();
    std::string shown;
    for (const auto& [key, value] : event.attributes) {
      if (key.starts_with("com.docker.compose.")) continue;
      attributes[key] = value;
      shown += (shown.empty() ? "" : ", ") + key + "=" + value;
    }
    if (json) {
      const Json object = {{"action", event.action},
                           {"attributes", attributes},
                           {"id", event.actor},
                           {"service", service},
                           {"time", LocalTime(event.time, "{:%Y-%m-%dT%H:%M:%S}", 9, true)},
                           {"type", "container"}};
      return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    }
    return fmt::format("{} container {} {} ({})\n",
                       LocalTime(event.time, "{:%Y-%m-%d %H:%M:%S}", 6, false), event.action,
                       event.actor, shown);
  });
}

}  // namespace skiff::cli
