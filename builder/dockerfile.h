#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/diagnostic.h"
#include "base/error.h"
#include "base/source.h"
#include "engine-core/types.h"

// What a Dockerfile says, word by word, before variables are expanded and stages are connected
// (builder/plan.h does that). Every word knows its place in the file.
namespace skiff::builder {

struct Word {
  std::string text;
  SourceSpan span;
};

// Lines of a file from 1, both included.
struct LineRange {
  uint32_t first = 0;
  uint32_t last = 0;
  bool operator==(const LineRange&) const = default;
};

// "<<NAME" on an instruction's line and the lines up to NAME.
struct HereDocument {
  std::string name;
  std::string content;      // As written, ends of lines included.
  bool expand = true;       // No part of the name was quoted.
  bool strip_tabs = false;  // "<<-": see StripLeadingTabs.
  unsigned descriptor = 0;  // "3<<NAME": 3.
  SourceSpan span;          // Of the content.
};
std::string StripLeadingTabs(std::string_view content);

// The command of RUN, CMD and ENTRYPOINT.
struct CommandLine {
  // Exec form: the arguments. Shell form: at most one word, the rest of the line.
  std::vector<Word> words;
  bool exec_form = false;
  std::vector<HereDocument> documents;  // Of RUN.
};

struct KeyValue {
  Word key;
  Word value;
  bool legacy = false;  // "ENV key value"
};
struct EnvInstruction {
  std::vector<KeyValue> pairs;
};
struct LabelInstruction {
  std::vector<KeyValue> pairs;
};

struct ArgDefinition {
  Word name;
  std::optional<Word> value;
  std::string description;  // From a comment "# NAME description" above.
};
struct ArgInstruction {
  std::vector<ArgDefinition> definitions;
};

enum class NetworkMode { kDefault, kNone, kHost };
enum class SecurityMode { kSandbox, kInsecure };
struct Device {
  std::string name;  // CDI: "vendor.com/class=name".
  bool required = false;
};
// --mount: the options are read when variables are known (builder/plan.h: Mount), except "from",
// which connects stages and takes no variables.
struct MountFlag {
  Word options;
  std::string from;
};
struct RunInstruction {
  CommandLine command;
  std::vector<MountFlag> mounts;
  NetworkMode network = NetworkMode::kDefault;
  SecurityMode security = SecurityMode::kSandbox;
  std::vector<Device> devices;
};

struct InlineFile {
  std::string name;
  std::string content;
  bool expand = true;
  SourceSpan span;
};
// COPY and ADD.
struct CopyInstruction {
  bool is_add = false;
  std::vector<Word> sources;
  std::vector<InlineFile> files;  // Sources that are here-documents.
  Word destination;
  std::optional<Word> from, owner, mode, checksum;  // --from --chown --chmod --checksum
  bool link = false;
  bool parents = false;
  std::optional<bool> keep_git_dir, unpack;
  std::vector<Word> excludes;
};

struct WorkdirInstruction {
  Word path;
};
struct UserInstruction {
  Word user;
};
struct ExposeInstruction {
  std::vector<Word> ports;
};
struct VolumeInstruction {
  std::vector<Word> paths;
};
struct CmdInstruction {
  CommandLine command;
};
struct EntrypointInstruction {
  CommandLine command;
};
struct HealthcheckInstruction {
  engine::Healthcheck check;
};
struct StopSignalInstruction {
  Word signal;
};
struct ShellInstruction {
  std::vector<Word> words;
};
struct OnbuildInstruction {
  std::string trigger;  // The instruction as text, here-documents included.
};
struct MaintainerInstruction {
  Word author;
};
struct FromInstruction {
  Word image;
  Word name;  // Lower case; "" without AS.
  std::optional<Word> platform;
  // As written, for the rules about style. Empty without AS.
  std::string as_keyword, written_name;
  std::string description;  // From a comment "# name description" above.
};

using InstructionBody =
    std::variant<FromInstruction, ArgInstruction, EnvInstruction, LabelInstruction, RunInstruction,
                 CopyInstruction, WorkdirInstruction, UserInstruction, ExposeInstruction,
                 VolumeInstruction, CmdInstruction, EntrypointInstruction, HealthcheckInstruction,
                 StopSignalInstruction, ShellInstruction, OnbuildInstruction,
                 MaintainerInstruction>;

struct Instruction {
  Word keyword;      // As written: "RUN", "run".
  std::string text;  // The whole instruction with continued lines joined, without here-documents.
  LineRange lines;   // Here-documents included.
  SourceSpan span;   // From the keyword to the end of the last joined line.
  std::vector<std::string> comments;     // Comment lines directly above, without their "#".
  uint32_t empty_continuation_line = 0;  // Not 0: it has a blank line inside.
  InstructionBody body;
};

struct Stage {
  Instruction from;  // Its body is a FromInstruction.
  std::vector<Instruction> instructions;

  const FromInstruction& base() const { return std::get<FromInstruction>(from.body); }
};

struct Dockerfile {
  uint32_t file = SourceSpan::kNoFile;  // In the SourceMap it was parsed from.
  char escape = '\\';
  std::optional<Word> syntax;                 // "# syntax=..."
  std::optional<Word> check;                  // "# check=..."
  std::vector<Instruction> global_arguments;  // ARG before the first FROM.
  std::vector<Stage> stages;
};

// Parses a file of `sources`. All mistakes of the file are added to `diagnostics`; with one of them
// what is returned is incomplete. The text of each says what BuildKit's says.
Dockerfile ParseDockerfile(const SourceMap& sources, uint32_t file, Diagnostics& diagnostics);

// One instruction that an image carries for the images built on it. Every place in the result is
// `place` and `lines`: the FROM that brings it in.
Result<Instruction> ParseTrigger(std::string_view trigger, SourceSpan place, LineRange lines);

}  // namespace skiff::builder
