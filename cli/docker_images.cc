// Images that come and go: load, save, export, commit, history.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/units.h"
#include "cli/archive_output.h"
#include "cli/exit_status.h"
#include "cli/image_change.h"
#include "cli/image_output.h"
#include "cli/listing.h"
#include "cli/status_text.h"
#include "cli/verbs.h"
#include "engine-core/image_config.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr Column kHistoryColumns[] = {{"ID", "IMAGE"},
                                      {"CreatedSince", "CREATED"},
                                      {"CreatedBy", "CREATED BY"},
                                      {"Size", "SIZE"},
                                      {"Comment", "COMMENT"},
                                      {"CreatedAt", "CREATED AT", false}};
constexpr size_t kShownCommand = 45;
constexpr size_t kDigestPrefix = 7;  // "sha256:"

// What a history entry added: bytes of its layer.
std::vector<int64_t> SizesOf(const engine::ImageDocument& document, const engine::Image& image) {
  std::vector<int64_t> sizes;
  size_t layer = 0;
  for (const engine::HistoryEntry& entry : document.history) {
    const bool has = !entry.empty_layer && layer < image.layer_sizes.size();
    sizes.push_back(has ? image.layer_sizes[layer++] : 0);
  }
  return sizes;
}

}  // namespace

Result<engine::Platform> PlatformFlag(const Arguments& arguments) {
  const std::string text = arguments.Text("platform");
  return text.empty() ? engine::Platform() : engine::ParsePlatform(text);
}

Result<int> RunImageLoad(Context& context, const Arguments& arguments) {
  engine::LoadOptions options;
  SKIFF_ASSIGN(options.platform, PlatformFlag(arguments));
  const std::string path = arguments.Text("input");
  Fd file;
  int input = context.around().in;
  if (!path.empty()) {
    SKIFF_ASSIGN(file, OpenFile(path, O_RDONLY));
    input = file.get();
  } else if (::isatty(input) != 0) {
    return Fail(Code::kInvalidArgument, "requested load from stdin, but stdin is empty");
  }
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const auto loaded, engine->LoadImages(input, options));
  SKIFF_TRY(engine->Commit());
  std::string out;
  for (const engine::LoadedImage& image : loaded) {
    for (const std::string& name : image.references) out += fmt::format("Loaded image: {}\n", name);
    if (image.references.empty()) out += fmt::format("Loaded image ID: {}\n", image.id);
  }
  SKIFF_TRY(context.Print(out));
  return 0;
}

Result<int> RunImageSave(Context& context, const Arguments& arguments) {
  engine::SaveOptions options;
  SKIFF_ASSIGN(options.platform, PlatformFlag(arguments));
  const std::string format = arguments.Text("format");
  if (format == "oci") {
    options.format = engine::ArchiveFormat::kOci;
  } else if (format != "docker") {
    return Fail(Code::kInvalidArgument,
                fmt::format("invalid format '{}': must be docker or oci", format));
  }
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  // Before anything is written over: a name that is none.
  for (const std::string& ref : arguments.operands()) SKIFF_TRY(engine->InspectImage(ref));
  SKIFF_ASSIGN(ArchiveOutput output, ArchiveOutput::Open(context, arguments.Text("output")));
  SKIFF_TRY(engine->SaveImages(output.fd(), arguments.operands(), options));
  SKIFF_TRY(output.Finish());
  return 0;
}

Result<int> RunContainerExport(Context& context, const Arguments& arguments) {
  return ExportContainer(context, arguments, arguments.Operand(0));
}

Result<int> ExportContainer(Context& context, const Arguments& arguments, const std::string& ref) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_TRY(engine->InspectContainer(ref));
  SKIFF_ASSIGN(ArchiveOutput output, ArchiveOutput::Open(context, arguments.Text("output")));
  SKIFF_TRY(engine->ExportContainer(ref, output.fd()));
  SKIFF_TRY(output.Finish());
  return 0;
}

Result<int> RunContainerCommit(Context& context, const Arguments& arguments) {
  return CommitContainer(context, arguments, arguments.Operand(0),
                         arguments.Bool("pause") && !arguments.Bool("no-pause"));
}

Result<int> CommitContainer(Context& context, const Arguments& arguments, const std::string& ref,
                            bool pause) {
  engine::CommitContainerOptions options;
  options.reference = arguments.Operand(1);
  options.author = arguments.Text("author");
  options.message = arguments.Text("message");
  options.pause = pause;
  options.changes = [&arguments](engine::ImageConfig& config) -> Status {
    for (const std::string& change : arguments.List("change")) {
      SKIFF_TRY(ApplyImageChange(change, config));
    }
    return {};
  };
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const std::string id, engine->CommitContainer(ref, options));
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(context.Print(id + '\n'));
  return 0;
}

Result<int> RunImageHistory(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const engine::Image image, engine->InspectImage(arguments.Operand(0)));
  SKIFF_ASSIGN(const std::string config, engine->ReadImageConfig(image.id));
  SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(config));
  const std::vector<int64_t> sizes = SizesOf(document, image);
  const bool whole = arguments.Bool("no-trunc");
  const bool human = arguments.Bool("human");
  std::vector<Json> rows;
  std::string quiet;
  for (size_t i = document.history.size(); i-- > 0;) {
    const engine::HistoryEntry& entry = document.history[i];
    const std::string id = i + 1 == document.history.size()
                               ? (whole ? image.id : image.id.substr(kDigestPrefix, 12))
                               : "<missing>";
    quiet += id + '\n';
    const int64_t created = entry.created_at.value_or(0);
    std::string by = entry.created_by;
    std::replace(by.begin(), by.end(), '\t', ' ');
    if (!whole) by = Ellipsis(by, kShownCommand);
    const std::string date = FormatTimestamp(created).substr(0, 19) + "Z";
    rows.push_back({{"ID", id},
                    {"CreatedSince", human ? AgoText(created, context.now()) : date},
                    {"CreatedBy", std::move(by)},
                    {"Size", human ? FormatSize(sizes[i]) : std::to_string(sizes[i])},
                    {"Comment", entry.comment},
                    {"CreatedAt", date}});
  }
  if (arguments.Bool("quiet")) {
    SKIFF_TRY(context.Print(quiet));
    return 0;
  }
  SKIFF_ASSIGN(const std::string text,
               RenderListing(kHistoryColumns, rows, {.format = arguments.Text("format")}));
  SKIFF_TRY(context.Print(text));
  return 0;
}

}  // namespace skiff::cli
