#include "cli/go_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace skiff::cli {
namespace {

std::string Execute(std::string_view text) {
  const auto data = nlohmann::ordered_json::parse(R"({
    "Name": "web", "Pid": 12, "Running": true, "Empty": "", "Nothing": null,
    "State": {"Status": "running", "Health": {"Status": "healthy"}},
    "Config": {"Labels": {"b": "2", "a.b": "1"}, "Env": ["A=1", "B=2"]},
    "Ports": {"80/tcp": [{"HostPort": "8080"}], "90/tcp": null}
  })");
  const auto parsed = GoTemplate::Parse(text);
  if (!parsed) return "parse: " + parsed.error().message;
  const auto result = parsed->Execute(data);
  return result ? *result : "run: " + result.error().message;
}

TEST(GoTemplate, Rows) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"plain", "plain"},
      {"{{.Name}} {{.Pid}} {{.Running}}", "web 12 true"},
      {"{{ .State.Health.Status }}", "healthy"},
      {"{{json .State}}", R"({"Status":"running","Health":{"Status":"healthy"}})"},
      {"{{.State | json}}", R"({"Status":"running","Health":{"Status":"healthy"}})"},
      {"{{json .Name}}", "\"web\""},
      {"{{.Config.Env}}", "[A=1 B=2]"},
      {"{{.Config.Labels}}", "map[a.b:1 b:2]"},
      {"{{index .Config.Labels \"a.b\"}}", "1"},
      {"{{index .Config.Labels \"missing\"}}", ""},
      {"{{.Config.Labels.missing}}", "<no value>"},
      {"{{.Config.Labels \"b\"}}", "2"},
      {"{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"},
      {"{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"},
      {"{{range $i, $e := .Config.Env}}{{$i}}={{$e}} {{end}}", "0=A=1 1=B=2 "},
      {"{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}} {{end}}", "a.b:1 b:2 "},
      {"{{range $p, $c := .Ports}}{{$p}} {{if $c}}{{(index $c 0).HostPort}}{{end}} {{end}}",
       "80/tcp 8080 90/tcp  "},
      {"{{range .Nothing}}x{{else}}none{{end}}", "none"},
      {"{{if .Empty}}a{{else if .Running}}b{{else}}c{{end}}", "b"},
      {"{{if and .Running (eq .Name \"web\")}}yes{{end}}", "yes"},
      {"{{if not .Running}}no{{else}}up{{end}}", "up"},
      {"{{with .State}}{{.Status}} of {{$.Name}}{{end}}", "running of web"},
      {"{{$x := .Name}}{{$x}}-{{$x | upper}}", "web-WEB"},
      {"{{printf \"%s/%5d|%-4s|\" .Name .Pid .Name}}", "web/   12|web |"},
      {"{{len .Config.Env}} {{join .Config.Env \", \"}}", "2 A=1, B=2"},
      {"{{slice .Name 0 2}}{{title .Name}}", "weWeb"},
      {"a {{- .Name -}} b", "awebb"},
      {"{{/* remark */}}x", "x"},
      {"{{println .Name}}", "web\n"},
      {"{{.Nam}}", "run: template: can't evaluate field Nam"},
      {"{{.Name.Foo}}", "run: template: can't evaluate field Foo"},
      {"{{.Name", "parse: template parsing error: unclosed action"},
      {"{{pad .Name 1 99999999999}}", "run: template: error calling pad: 99999999999 is no width from 0 to 4096"},
      {"{{slice .Config.Labels 1}}", "run: template: error calling slice: can't slice item of type object"},
      {"{{slice .Name \"1\"}}", "run: template: error calling slice: cannot index slice/array with type string"},
      {"{{foo .Name}}", "parse: template parsing error: function \"foo\" not defined"},
      {"{{if .Name}}x",
       "parse: template parsing error: unexpected end of the template: {{end}} is missing"},
      {"{{end}}", "parse: template parsing error: unexpected {{end}}"},
      {"{{$y}}", "run: template parsing error: undefined variable \"$y\""},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(Execute(text), expected) << text;
}

TEST(GoTemplate, SuggestsTheNearestField) {
  const auto data = nlohmann::ordered_json{{"Status", "x"}};
  const auto result = GoTemplate::Parse("{{.Statuss}}")->Execute(data);
  ASSERT_FALSE(result);
  ASSERT_EQ(result.error().notes.size(), 1u);
  EXPECT_EQ(result.error().notes[0].message, "did you mean .Status?");
}

TEST(GoTemplate, UnescapesTabs) {
  EXPECT_EQ(UnescapeFormat(R"(a\tb\n\x)"), "a\tb\n\\x");
}

}  // namespace
}  // namespace skiff::cli
