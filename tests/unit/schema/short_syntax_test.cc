#include "schema/text/short_syntax.h"

#include <gtest/gtest.h>

namespace skiff::schema {
namespace {

std::string Describe(const Result<std::vector<PortSpec>>& specs) {
  if (!specs) return "error: " + specs.error().message;
  std::string text;
  for (const PortSpec& spec : *specs) {
    if (!text.empty()) text += ' ';
    text += spec.host_ip + "|" + spec.published + "|" + std::to_string(spec.target) + "/" +
            spec.protocol;
  }
  return text;
}

TEST(PortSpecs, AreParsedRowByRow) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"80", "||80/tcp"},
      {"80/udp", "||80/udp"},
      {"80/UDP", "||80/udp"},
      {"80/", "||80/tcp"},
      {"8080:80", "|8080|80/tcp"},
      {":80", "||80/tcp"},
      {"127.0.0.1:8080:80", "127.0.0.1|8080|80/tcp"},
      {"127.0.0.1::80", "127.0.0.1||80/tcp"},
      {"[::1]:8080:80", "::1|8080|80/tcp"},
      {"::1:8080:80", "::1|8080|80/tcp"},
      {"80-81", "||80/tcp ||81/tcp"},
      {"80-80", "||80/tcp"},
      {"8080-8081:80-81", "|8080|80/tcp |8081|81/tcp"},
      {"8080-8090:80", "|8080-8090|80/tcp"},
      {"8080-8080:80", "|8080|80/tcp"},
      {"", "error: no container port in ''"},
      {"8080:", "error: no container port in '8080:'"},
      {"80800:80", "error: invalid host port '80800'"},
      {"x:80", "error: invalid host port 'x'"},
      {"80x", "error: invalid container port '80x'"},
      {"81-80", "error: invalid container port '81-80'"},
      {"80/xyz", "error: invalid protocol 'xyz'"},
      {"1.2.3:80:80", "error: invalid IP address '1.2.3'"},
      {"8080-8082:80-81", "error: the port ranges '8080-8082' and '80-81' differ in length"},
  };
  for (const auto& [text, expected] : rows) {
    EXPECT_EQ(Describe(ParsePortSpec(text)), expected) << text;
  }
}

std::string Describe(const Result<VolumeSpec>& spec) {
  if (!spec) return "error: " + spec.error().message;
  std::string text = (spec->bind ? "bind " : "volume ") + spec->source + ">" + spec->target;
  if (spec->read_only) text += " ro";
  if (spec->nocopy) text += " nocopy";
  if (!spec->propagation.empty()) text += " " + spec->propagation;
  if (!spec->selinux.empty()) text += " " + spec->selinux;
  for (const auto& unknown : spec->ignored) text += " ?" + unknown.option;
  return text;
}

TEST(VolumeSpecs, AreParsedRowByRow) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"/data", "volume >/data"},
      {"x", "volume >x"},
      {"data:/data", "volume data>/data"},
      {"./x:/x", "bind ./x>/x"},
      {"../x:/x:ro", "bind ../x>/x ro"},
      {"~/x:/x", "bind ~/x>/x"},
      {"/a:/b:rw", "bind /a>/b"},
      {"/a:/b:ro,z", "bind /a>/b ro z"},
      {"/a:/b:rshared,Z", "bind /a>/b rshared Z"},
      {"data:/d:nocopy", "volume data>/d nocopy"},
      {"/a:/b:cached", "bind /a>/b ?cached"},
      {"C:\\x:/x", "bind C:\\x>/x"},
      {"\\\\.\\pipe\\x:/x", "bind \\\\.\\pipe\\x>/x"},
      {"${A:-b}:/x", "volume ${A:-b}>/x"},
      {"", "error: the volume is empty"},
      {":/x/y", "error: empty section between colons in ':/x/y'"},
      {"ab::b", "error: empty section between colons in 'ab::b'"},
      {"a:b:/x", "bind a:b>/x"},
      {"abc:", "error: empty section between colons in 'abc:'"},
      {"ab:/b:ro:x", "error: too many colons in 'ab:/b:ro:x'"},
  };
  for (const auto& [text, expected] : rows) {
    EXPECT_EQ(Describe(ParseVolumeSpec(text)), expected) << text;
  }
}

std::string Describe(const Result<ShellWords>& words) {
  if (!words) return "error: " + words.error().message;
  std::string text;
  for (const std::string& word : words->words) text += "[" + word + "]";
  if (words->dropped_from != UINT32_MAX) text += " cut " + std::to_string(words->dropped_from);
  return text;
}

TEST(ShellWords, AreSplitRowByRow) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"", ""},
      {"  ", ""},
      {"a b  c", "[a][b][c]"},
      {"a 'b c' \"d e\"", "[a][b c][d e]"},
      {"a ''", "[a][]"},
      {"x='y z'w", "[x=y zw]"},
      {"a\\ b", "[a b]"},
      {"'a\\b'", "[a\\b]"},
      {"\"a\\\"b\"", "[a\"b]"},
      {"a\nb", "[a][b]"},
      {"echo $HOME", "[echo][$HOME]"},
      {"echo $(date now)", "[echo][$(date now)]"},
      {"a | b", "[a] cut 2"},
      {"a && b", "[a] cut 2"},
      {"a > f", "[a] cut 2"},
      {"a 2>f", "[a] cut 3"},
      {"a 'b | c'", "[a][b | c]"},
      {"a (b", "error: a command without a shell cannot have '(' here"},
      {"a )b", "error: a command without a shell cannot have ')' here"},
      {"a 'b", "error: a quote or escape of the command does not end"},
      {"a \\", "error: a quote or escape of the command does not end"},
  };
  for (const auto& [text, expected] : rows) {
    EXPECT_EQ(Describe(SplitShellWords(text)), expected) << text;
  }
}

TEST(TimeSpans, AreParsedRowByRow) {
  const std::pair<std::string_view, int64_t> rows[] = {{"0", 0},
                                                       {"10s", 10'000'000'000},
                                                       {"1.5s", 1'500'000'000},
                                                       {"500ms", 500'000'000},
                                                       {"1m30s", 90'000'000'000},
                                                       {"1h", 3'600'000'000'000},
                                                       {"1d", 86'400'000'000'000},
                                                       {"1w", 604'800'000'000'000},
                                                       {"3us", 3000},
                                                       {"3\u00b5s", 3000},
                                                       {"7ns", 7},
                                                       {"-1s", -1'000'000'000},
                                                       {"+2s", 2'000'000'000},
                                                       {".5s", 500'000'000}};
  for (const auto& [text, expected] : rows) {
    const auto span = ParseTimeSpan(text);
    ASSERT_TRUE(span) << text;
    EXPECT_EQ(*span, expected) << text;
  }
  for (const std::string_view text : {"", "10", "s", "1x", "1.2.3s", "-", "1 s", "1s x"}) {
    EXPECT_FALSE(ParseTimeSpan(text)) << text;
  }
}

TEST(Paths, AreCleanedAsGoDoes) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"", "."},       {"/", "/"},       {"a//b", "a/b"}, {"a/./b", "a/b"}, {"a/../b", "b"},
      {"/../a", "/a"}, {"../a", "../a"}, {"a/b/..", "a"}, {"./", "."},      {"a/../../b", "../b"}};
  for (const auto& [path, expected] : rows) EXPECT_EQ(CleanPath(path), expected) << path;
}

}  // namespace
}  // namespace skiff::schema
