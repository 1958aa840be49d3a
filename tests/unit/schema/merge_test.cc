#include <gtest/gtest.h>

#include "schema/load/context.h"
#include "schema/render/render.h"
#include "schema/yaml/parser.h"

namespace skiff::schema {
namespace {

// Merges two documents as two files are: checked, canonical, merged.
std::string Merged(const std::string& base_text, const std::string& over_text) {
  LoadOptions options;
  SourceMap sources;
  Diagnostics found;
  Context context(options, sources, found);
  const auto read = [&](const std::string& name, const std::string& text) {
    const uint32_t file = sources.Add(name, "services:\n  s: " + text + "\n");
    std::vector<Node> documents = ParseYaml(sources, file, found);
    if (documents.empty()) return Node::Mapping();
    CheckValues(context, documents[0], kComposeFile, Where{});
    Canonicalise(context, documents[0], kComposeFile, Where{});
    return std::move(documents[0]);
  };
  Node base = read("base", base_text);
  Node over = read("over", over_text);
  Merge(context, base, over, kComposeFile, Where{});
  ClearTags(base);
  const Diagnostics all = context.TakeFinished();
  if (all.HasErrors()) return all.list()[0].error.message;
  const Node* services = base.Find("services");
  return services == nullptr ? "" : RenderCompactJson(*services->Find("s"));
}

struct Row {
  std::string_view what, base, over, expected;
};
class MergeTable : public testing::TestWithParam<Row> {};

TEST_P(MergeTable, IsFollowed) {
  EXPECT_EQ(Merged(std::string(GetParam().base), std::string(GetParam().over)), GetParam().expected)
      << GetParam().what;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, MergeTable,
    testing::Values(
        Row{"mapping", "{image: a, user: u}", "{image: b, tty: true}",
            R"({"image":"b","tty":true,"user":"u"})"},
        Row{"null keeps", "{image: a}", "{image: }", R"({"image":"a"})"},
        Row{"plain sequence", "{security_opt: [a]}", "{security_opt: [b]}",
            R"({"security_opt":["a","b"]})"},
        Row{"command", "{command: [a, b]}", "{command: c}", R"({"command":"c"})"},
        Row{"command null", "{command: a}", "{command: }", R"({"command":null})"},
        Row{"entrypoint", "{entrypoint: [a]}", "{entrypoint: [b]}", R"({"entrypoint":["b"]})"},
        Row{"health test", "{healthcheck: {test: a, retries: 1}}",
            "{healthcheck: {test: [CMD, b]}}",
            R"({"healthcheck":{"retries":1,"test":["CMD","b"]}})"},
        Row{"ulimits", "{ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}}",
            "{ulimits: {nofile: 9}}", R"({"ulimits":{"nofile":9,"nproc":3}})"},
        Row{"logging same driver", "{logging: {driver: d, options: {a: x}}}",
            "{logging: {driver: d, options: {b: y}}}",
            R"({"logging":{"driver":"d","options":{"a":"x","b":"y"}}})"},
        Row{"logging one driver", "{logging: {options: {a: x}}}", "{logging: {driver: d}}",
            R"({"logging":{"driver":"d","options":{"a":"x"}}})"},
        Row{"logging other driver", "{logging: {driver: d, options: {a: x}}}",
            "{logging: {driver: e}}", R"({"logging":{"driver":"e"}})"},
        Row{"build string and map", "{build: ./a}", "{build: {dockerfile: D}}",
            R"({"build":{"context":"./a","dockerfile":"D"}})"},
        Row{"build map and string", "{build: {dockerfile: D}}", "{build: ./b}",
            R"({"build":{"context":"./b","dockerfile":"D"}})"},
        Row{"depends list and map", "{depends_on: [a]}",
            "{depends_on: {b: {condition: service_healthy}}}",
            R"({"depends_on":{"a":{"condition":"service_started","required":true},"b":{"condition":"service_healthy"}}})"},
        Row{"depends partial", "{depends_on: {a: {condition: service_healthy}}}",
            "{depends_on: {a: {restart: true}}}",
            R"({"depends_on":{"a":{"condition":"service_healthy","restart":true}}})"},
        Row{"networks list and map", "{networks: [a]}", "{networks: {b: {aliases: [x]}}}",
            R"({"networks":{"a":null,"b":{"aliases":["x"]}}})"},
        Row{"models", "{models: [a]}", "{models: {a: {endpoint_var: V}}}",
            R"({"models":{"a":{"endpoint_var":"V"}}})"},
        Row{"environment maps", "{environment: {A: 1, B: x}}", "{environment: {B: y, C: }}",
            R"({"environment":["A=1","B=y","C"]})"},
        Row{"environment list and map", "{environment: [B=x, A=1]}", "{environment: {B: 2}}",
            R"({"environment":["B=2","A=1"]})"},
        Row{"labels", "{labels: {a: b}}", "{labels: [a=c, d]}", R"({"labels":["a=c","d"]})"},
        Row{"annotations", "{annotations: {a: b}}", "{annotations: {a: c}}",
            R"({"annotations":["a=c"]})"},
        Row{"build args", "{build: {args: {A: 1}}}", "{build: {args: [A=2, B]}}",
            R"({"build":{"args":["A=2","B"]}})"},
        Row{"additional contexts", "{build: {additional_contexts: [a=b]}}",
            "{build: {additional_contexts: {c: d}}}",
            R"({"build":{"additional_contexts":{"a":"b","c":"d"}}})"},
        Row{"deploy labels", "{deploy: {labels: {a: 1}}}", "{deploy: {labels: {a: 2}}}",
            R"({"deploy":{"labels":["a=2"]}})"},
        Row{"sysctls", "{sysctls: {a: 1}}", "{sysctls: [b=2]}", R"({"sysctls":["a=1","b=2"]})"},
        Row{"dns", "{dns: 1.1.1.1}", "{dns: [8.8.8.8, 1.1.1.1]}",
            R"({"dns":["1.1.1.1","8.8.8.8"]})"},
        Row{"dns_search", "{dns_search: a}", "{dns_search: b}", R"({"dns_search":["a","b"]})"},
        Row{"dns_opt", "{dns_opt: [a]}", "{dns_opt: [a, b]}", R"({"dns_opt":["a","b"]})"},
        Row{"tmpfs", "{tmpfs: /a}", "{tmpfs: [/b, /a]}", R"({"tmpfs":["/a","/b"]})"},
        Row{"env_file", "{env_file: a}", "{env_file: [{path: b}, a]}",
            R"({"env_file":[{"path":"a","required":true},{"path":"b","required":true}]})"},
        Row{"label_file", "{label_file: a}", "{label_file: b}", R"({"label_file":["a","b"]})"},
        Row{"extra_hosts", "{extra_hosts: [a=1.1.1.1]}", "{extra_hosts: {a: [1.1.1.1, 2.2.2.2]}}",
            R"({"extra_hosts":["a=1.1.1.1","a=2.2.2.2"]})"},
        Row{"volumes by target", "{volumes: [aa:/x, bb:/y]}", "{volumes: [cc:/x]}",
            R"({"volumes":[{"source":"cc","target":"/x","type":"volume","volume":{}},{"source":"bb","target":"/y","type":"volume","volume":{}}]})"},
        Row{"devices by target", "{devices: [/dev/a:/dev/x]}", "{devices: [/dev/b:/dev/x:r]}",
            R"({"devices":[{"permissions":"r","source":"/dev/b","target":"/dev/x"}]})"},
        Row{"ports", "{ports: [\"80:80\", \"81:81\"]}",
            "{ports: [{target: 80, published: \"80\"}, \"82:81\"]}",
            R"({"ports":[{"published":"80","target":80},{"mode":"ingress","protocol":"tcp","published":"81","target":81},{"mode":"ingress","protocol":"tcp","published":"82","target":81}]})"},
        Row{"expose", "{expose: [80, 81]}", "{expose: [\"80\"]}", R"({"expose":["80",81]})"},
        Row{"secrets by target", "{secrets: [a]}",
            "{secrets: [{source: b, target: /run/secrets/a}]}",
            R"({"secrets":[{"source":"b","target":"/run/secrets/a"}]})"},
        Row{"configs by target", "{configs: [a]}", "{configs: [{source: b, target: /a}, c]}",
            R"({"configs":[{"source":"b","target":"/a"},{"source":"c"}]})"},
        Row{"cap_add", "{cap_add: [A]}", "{cap_add: [B, A]}", R"({"cap_add":["A","B"]})"},
        Row{"links", "{links: [a]}", "{links: [a, b]}", R"({"links":["a","b"]})"},
        Row{"profiles", "{profiles: [a]}", "{profiles: [b, a]}", R"({"profiles":["a","b"]})"},
        Row{"aliases", "{networks: {n: {aliases: [a]}}}", "{networks: {n: {aliases: [a, b]}}}",
            R"({"networks":{"n":{"aliases":["a","b"]}}})"},
        Row{"reset a key", "{image: a, ports: [\"80\"]}", "{ports: !reset []}", R"({"image":"a"})"},
        Row{"reset inside", "{environment: {A: 1, B: 2}}", "{environment: {A: !reset }}",
            R"({"environment":["B=2"]})"},
        Row{"override", "{environment: {A: 1}}", "{environment: !override {B: 2}}",
            R"({"environment":{"B":2}})"},
        Row{"override list", "{ports: [\"80\"]}", "{ports: !override [\"81\"]}",
            R"({"ports":[{"mode":"ingress","protocol":"tcp","target":81}]})"},
        Row{"extensions", "{x-a: {k: 1}, image: i}", "{x-a: {l: 2}}",
            R"({"image":"i","x-a":{"k":1,"l":2}})"}));

TEST(MergeKinds, ThatDifferAreAnError) {
  EXPECT_EQ(Merged("{x-a: {k: 1}}", "{x-a: [1]}"),
            "services.s.x-a: is a list here, which cannot override a mapping");
}

}  // namespace
}  // namespace skiff::schema
