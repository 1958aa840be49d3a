#include "compose/progress.h"

#include <fcntl.h>

#include "tests/unit/compose/fixture.h"

namespace skiff::compose {
namespace {

class ProgressTest : public ::testing::Test {
 protected:
  ProgressTest() { pipe_ = std::move(*MakePipe()); }
  std::unique_ptr<Progress> Make(ProgressMode mode, bool color = false) {
    ProgressOptions options;
    options.mode = mode;
    options.fd = pipe_.write.get();
    options.color = color;
    options.columns = 40;
    options.rows = 5;
    options.sources = &sources_;
    return MakeProgress(options);
  }
  std::string Text() {
    pipe_.write.Reset();
    return *ReadAll(pipe_.read.get(), 1 << 20, "pipe");
  }
  static ProgressEvent Event(const std::string& id, const std::string& status,
                             ProgressPhase phase = ProgressPhase::kWorking) {
    ProgressEvent event;
    event.id = id;
    event.status = status;
    event.phase = phase;
    return event;
  }
  SourceMap sources_;
  Pipe pipe_;
};

// The screen of a terminal after `text`, without colours.
std::vector<std::string> Screen(const std::string& text) {
  std::vector<std::string> lines(1);
  size_t row = 0;
  std::string current;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      size_t end = i + 2;
      while (!isalpha(static_cast<unsigned char>(text[end]))) ++end;
      const std::string argument = text.substr(i + 2, end - i - 2);
      if (text[end] == 'A') row -= static_cast<size_t>(std::stoi(argument));
      if (text[end] == 'J') lines.resize(row);
      i = end;
      if (row >= lines.size()) lines.resize(row + 1);
      continue;
    }
    if (text[i] == '\r') continue;
    if (text[i] == '\n') {
      if (row >= lines.size()) lines.resize(row + 1);
      lines[row] = current;
      current.clear();
      ++row;
      continue;
    }
    current += text[i];
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

TEST_F(ProgressTest, PlainPrintsALinePerEvent) {
  const auto progress = Make(ProgressMode::kPlain);
  progress->Begin("up");
  progress->Report(Event("Network p_default", "Creating"));
  ProgressEvent recreate = Event("Container p-web-1", "Recreate");
  recreate.cause = "environment.A: '0' -> '1'";
  recreate.explain = true;
  progress->Report(recreate);
  ProgressEvent error = Event("Container p-db-1", "Error", ProgressPhase::kError);
  error.details = "no such file";
  progress->Report(error);
  progress->Message("Gracefully Stopping... press Ctrl+C again to force");
  progress->End(true);
  EXPECT_EQ(Text(),
            " Network p_default Creating\n"
            " Container p-web-1 Recreate (environment.A: '0' -> '1')\n"
            " Container p-db-1 Error no such file\n"
            "Gracefully Stopping... press Ctrl+C again to force\n");
}

TEST_F(ProgressTest, PlainShowsWarningsWithTheirPlace) {
  const uint32_t file = sources_.Add("compose.yaml", "services:\n  web: {}\n");
  const auto progress = Make(ProgressMode::kPlain);
  progress->Diagnose(
      {Severity::kWarning, Error(Code::kUnsupported, "not supported").At({file, 12, 3})});
  EXPECT_EQ(Text(),
            "compose.yaml:2:3: warning: not supported\n"
            "  2 |   web: {}\n"
            "    |   ^~~\n");
}

TEST_F(ProgressTest, QuietPrintsWarningsOnly) {
  const auto progress = Make(ProgressMode::kQuiet);
  progress->Report(Event("Network p_default", "Creating"));
  progress->Diagnose({Severity::kWarning, Error(Code::kUnsupported, "not supported")});
  EXPECT_EQ(Text(), "warning: not supported\n");
}

TEST_F(ProgressTest, JsonHasEveryField) {
  const auto progress = Make(ProgressMode::kJson);
  progress->Begin("up");
  ProgressEvent event = Event("Container p-web-1", "Error", ProgressPhase::kError);
  event.details = "it \"broke\"";
  event.cause = "new service";
  progress->Report(event);
  progress->Diagnose({Severity::kWarning, Error(Code::kUnsupported, "not supported")});
  progress->Message("hello");
  progress->End(false);
  std::vector<nlohmann::json> lines;
  std::stringstream text(Text());
  for (std::string line; std::getline(text, line);) {
    lines.push_back(nlohmann::json::parse(line));
    EXPECT_TRUE(lines.back().contains("time"));
    lines.back().erase("time");
  }
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0].dump(), R"({"operation":"up","type":"begin"})");
  EXPECT_EQ(lines[1].dump(),
            R"({"cause":"new service","details":"it \"broke\"","id":"Container p-web-1",)"
            R"("status":"Error","text":"Error","type":"progress"})");
  EXPECT_EQ(lines[2]["type"], "diagnostic");
  EXPECT_EQ(lines[2]["severity"], "warning");
  EXPECT_EQ(lines[2]["message"], "not supported");
  EXPECT_EQ(lines[3].dump(), R"({"text":"hello","type":"message"})");
  EXPECT_EQ(lines[4].dump(), R"({"ok":false,"operation":"up","type":"end"})");
}

TEST_F(ProgressTest, TtyRedrawsOneLinePerResource) {
  const auto progress = Make(ProgressMode::kTty);
  progress->Begin("up");
  progress->Report(Event("Network p_default", "Creating"));
  progress->Report(Event("Container p-web-1", "Creating"));
  progress->Report(Event("Network p_default", "Created", ProgressPhase::kDone));
  progress->Report(Event("Container p-web-1", "Created", ProgressPhase::kDone));
  progress->End(true);
  EXPECT_THAT(Screen(Text()),
              testing::ElementsAre("[+] up 2/2", " ✔ Network p_default Created        0.0s",
                                   " ✔ Container p-web-1 Created        0.0s"));
}

TEST_F(ProgressTest, TtyKeepsWarningsAboveTheList) {
  const auto progress = Make(ProgressMode::kTty);
  progress->Begin("up");
  progress->Report(Event("Network p_default", "Created", ProgressPhase::kDone));
  progress->Message("note this");
  progress->End(true);
  EXPECT_THAT(Screen(Text()), testing::ElementsAre("note this", "[+] up 1/1",
                                                   " ✔ Network p_default Created        0.0s"));
}

TEST_F(ProgressTest, TtyFoldsWhatDoesNotFit) {
  const auto progress = Make(ProgressMode::kTty);
  progress->Begin("up");
  for (int i = 0; i < 6; ++i) {
    progress->Report(
        Event("Container p-web-" + std::to_string(i), "Created", ProgressPhase::kDone));
  }
  progress->End(true);
  EXPECT_THAT(Screen(Text()),
              testing::ElementsAre("[+] up 6/6", " ✔ Container p-web-0 Created        0.0s",
                                   " ✔ Container p-web-1 Created        0.0s", " ... 4 more"));
}

TEST_F(ProgressTest, TtyShowsLaterEventsAsLinesButNoStarts) {
  const auto progress = Make(ProgressMode::kTty);
  progress->Begin("up");
  progress->OutputFollows();
  progress->Report(Event("Container p-web-1", "Started", ProgressPhase::kDone));
  progress->Report(Event("Container p-web-1", "Stopping"));
  EXPECT_EQ(Text(), " Container p-web-1 Stopping\n");
}

TEST_F(ProgressTest, TtyCutsLongTextsToTheWidth) {
  const auto progress = Make(ProgressMode::kTty);
  progress->Begin("up");
  ProgressEvent event = Event("Container p-web-1", "Error", ProgressPhase::kError);
  event.details = "a very long explanation that cannot fit in forty columns";
  progress->Report(event);
  progress->End(false);
  EXPECT_THAT(Screen(Text()),
              testing::ElementsAre("[+] up 1/1", " ✘ Container p-web-1 Error a ver... 0.0s"));
}

}  // namespace
}  // namespace skiff::compose
