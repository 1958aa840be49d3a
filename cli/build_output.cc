#include "cli/build_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "cli/archive_output.h"
#include "cli/flag_values.h"
#include "cli/registry_config.h"
#include "cli/terminal.h"
#include "engine-core/image_config.h"
#include "engine-core/references.h"

namespace skiff::cli {
namespace {

using Kind = BuildOutput::Kind;

// What an output says and what is done anyway.
constexpr std::string_view kHarmless[] = {
    "oci-mediatypes", "rewrite-timestamp", "unpack", "store", "buildinfo", "context",
};

// One --output as key and value; the short form is a folder, "-" a tar stream.
struct Fields {
  std::string type, path;
  std::vector<std::string> names;
  bool push = false;
  bool tar = true;
  std::optional<bool> split;
  engine::LayerCompression compression;
  bool force_compression = false;
  std::vector<BuildAnnotation> annotations;
};

tl::unexpected<Error> Unsupported(const std::string& what) {
  return Fail(Code::kUnsupported, what + " is not supported");
}

Result<engine::CompressionKind> ParseCompression(const std::string& word) {
  if (word == "gzip") return engine::CompressionKind::kGzip;
  if (word == "zstd") return engine::CompressionKind::kZstd;
  if (word == "uncompressed") return engine::CompressionKind::kNone;
  return Fail(Error(Code::kUnsupported, fmt::format("unsupported layer compression type {}", word))
                  .With("use gzip, zstd or uncompressed"));
}

Status ReadField(const std::string& key, const std::string& value, Fields& fields) {
  const bool on = value == "true" || value == "1";
  if (key == "type") {
    fields.type = value;
  } else if (key == "dest") {
    fields.path = value;
  } else if (key == "name") {
    for (const std::string_view name : Split(value, ',')) fields.names.emplace_back(Trim(name));
  } else if (key == "push") {
    fields.push = on;
  } else if (key == "tar") {
    fields.tar = on;
  } else if (key == "platform-split") {
    fields.split = on;
  } else if (key == "compression") {
    SKIFF_ASSIGN(fields.compression.kind, ParseCompression(value));
  } else if (key == "compression-level") {
    fields.compression.level = ParseNumber<int>(value);
    if (!fields.compression.level) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("non-int value {} specified for compression-level", value));
    }
  } else if (key == "force-compression") {
    fields.force_compression = on;
  } else if (std::ranges::find(kHarmless, key) == std::end(kHarmless)) {
    return Unsupported(fmt::format("the option '{}' of an output", key));
  }
  return {};
}

Result<Fields> Parse(const std::string& word) {
  Fields fields;
  if (word.find('=') == std::string::npos) {
    fields.type = word == "-" ? "tar" : "local";
    fields.path = word;
    return fields;
  }
  SKIFF_ASSIGN(const std::vector<std::string> parts, SplitCsv(word));
  for (const std::string& part : parts) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("invalid value {}, expecting key=value", part));
    }
    const std::string name = part.substr(0, equals);
    const std::string value = part.substr(equals + 1);
    if (IsAnnotationField(name)) {
      SKIFF_TRY(ParseAnnotationField(name, value, fields.annotations));
    } else {
      SKIFF_TRY(ReadField(ToLower(name), value, fields));
    }
  }
  if (fields.type.empty()) return Fail(Code::kInvalidArgument, "type is required for output");
  return fields;
}

class OutputReader {
 public:
  OutputReader(const Context& context, BuildOutputs& outputs,
               std::vector<BuildAnnotation> annotations, bool several)
      : context_(context),
        outputs_(outputs),
        annotations_(std::move(annotations)),
        several_(several) {}

  Status Add(const Fields& fields) {
    const size_t before = outputs_.list.size();
    outputs_.annotated = outputs_.annotated || !fields.annotations.empty();
    if (several_ && fields.split == false) {
      return Unsupported("platform-split=false of a build for several platforms");
    }
    const bool zstd = fields.compression.kind == engine::CompressionKind::kZstd;
    const int highest = zstd ? engine::kMaximumZstdLevel : engine::kMaximumGzipLevel;
    const int level = fields.compression.level.value_or(0);
    if (level < 0 || level > highest) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("compression-level {} is not between 0 and {}", level, highest));
    }
    if (fields.force_compression) {
      return Fail(Error(Code::kUnsupported, "force-compression is not supported")
                      .With("layers of base images stay as they came"));
    }
    SKIFF_TRY(Choose(fields));
    for (size_t i = before; i < outputs_.list.size(); ++i) {
      outputs_.list[i].split = fields.split.value_or(several_);
      outputs_.list[i].compression = fields.compression;
      auto& list = outputs_.list[i].annotations;
      list = annotations_;
      list.insert(list.end(), fields.annotations.begin(), fields.annotations.end());
    }
    return {};
  }

 private:
  Status Choose(const Fields& fields) {
    for (const std::string& name : fields.names) {
      if (std::ranges::count(outputs_.names, name) == 0) outputs_.names.push_back(name);
    }
    if (fields.type == "image" || fields.type == "registry") return AddImage(fields);
    if (fields.type == "local") {
      if (fields.path.empty()) {
        return Fail(Code::kInvalidArgument, "dest is required for local output");
      }
      if (fields.path == "-") {
        return Fail(Code::kInvalidArgument, "dest cannot be stdout for local exporter");
      }
      return Put(Kind::kFolder, fields.path);
    }
    if (fields.type == "tar") return Put(Kind::kTar, fields.path);
    if (!fields.tar && fields.type != "oci") {
      return Unsupported("tar=false of an output that is not of the type oci");
    }
    if (fields.type == "oci" && !fields.tar) {
      if (fields.path.empty() || fields.path == "-") {
        return Fail(Code::kInvalidArgument, "dest is required for an OCI layout in a folder");
      }
      return Put(Kind::kLayout, fields.path);
    }
    if (fields.type == "oci") return Put(Kind::kOci, fields.path);
    if (fields.type == "docker") {
      if (several_ && !fields.path.empty()) {
        return Fail(Error(Code::kUnsupported,
                          "docker exporter does not currently support exporting manifest lists")
                        .With("type=oci does; without dest= the images are stored here"));
      }
      if (!fields.path.empty()) return Put(Kind::kDocker, fields.path);
      outputs_.store = true;
      return {};
    }
    return Fail(Error(Code::kInvalidArgument,
                      fmt::format("exporter \"{}\" could not be found", fields.type))
                    .With("use local, tar, oci, docker, image or registry"));
  }

  Status AddImage(const Fields& fields) {
    outputs_.store = true;
    if (fields.type == "image" && !fields.push) return {};
    return Put(Kind::kRegistry, "");
  }

  Status Put(Kind kind, std::string path) {
    if (path == "-") path.clear();
    if (path.empty() && kind != Kind::kRegistry) {
      if (IsTerminal(context_.around().out)) {
        return Fail(Code::kInvalidArgument,
                    "dest file is required for this exporter. refusing to write to console");
      }
      if (std::exchange(stdout_used_, true)) {
        return Fail(Code::kInvalidArgument, "only one output can go to standard output");
      }
    }
    if (!path.empty() && !path.starts_with('/')) path = context_.around().working_dir + "/" + path;
    outputs_.list.push_back({kind, std::move(path), false, {}, {}});
    return {};
  }

  const Context& context_;
  BuildOutputs& outputs_;
  std::vector<BuildAnnotation> annotations_;  // Of flags: every output has them.
  bool several_;                              // Platforms.
  bool stdout_used_ = false;
};

std::string TitleOf(Kind kind) {
  switch (kind) {
    case Kind::kFolder:
      return "exporting to client directory";
    case Kind::kTar:
      return "exporting to client tarball";
    case Kind::kDocker:
      return "exporting to docker image format";
    case Kind::kOci:
    case Kind::kLayout:
      return "exporting to oci image format";
    case Kind::kRegistry:
      return "pushing";
  }
  return "";
}

// Writes the images of a build to one of its outputs.
class OutputWriter {
 public:
  OutputWriter(Context& context, engine::Engine& engine, const BuildOutputs& outputs,
               const builder::BuiltImages& built)
      : context_(context), engine_(engine), outputs_(outputs), built_(built) {}

  Status Write(const BuildOutput& output, builder::BuildProgress& progress) {
    SKIFF_TRY(ReadAnnotations(output));
    const int step = progress.Begin(TitleOf(output.kind));
    Status written;
    if (output.kind == Kind::kFolder) {
      written = WriteFolder(output);
    } else if (output.kind == Kind::kRegistry) {
      written = Push(output, progress, step);
    } else if (output.kind == Kind::kLayout) {
      written = WriteLayout(output);
    } else {
      written = Save(output);
    }
    progress.End(step, written ? builder::StepOutcome::kDone : builder::StepOutcome::kFailed,
                 written ? "" : written.error().Text());
    return written;
  }

 private:
  Status ReadAnnotations(const BuildOutput& output) {
    sent_ = {};
    sent_.main = built_.main;
    for (const builder::BuiltImage& image : built_.images) {
      SKIFF_ASSIGN(engine::ImageAnnotations annotations,
                   AnnotationsOf(output.annotations, image.config));
      sent_.images.push_back({image.config, std::move(annotations)});
    }
    sent_.annotations = ListAnnotationsOf(output.annotations);
    return {};
  }

  // "linux_arm64"
  static Result<std::string> FolderOf(const builder::BuiltImage& image) {
    SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(image.config));
    std::string name = builder::FormatFullPlatform(
        {document.os, document.architecture, document.variant, document.os_version});
    std::ranges::replace(name, '/', '_');
    return name;
  }

  Result<std::vector<builder::ExportedFiles>> Files(const BuildOutput& output) const {
    std::vector<builder::ExportedFiles> files;
    for (const builder::BuiltImage& image : built_.images) {
      builder::ExportedFiles one{image.layers, ""};
      if (output.split) {
        SKIFF_ASSIGN(one.folder, FolderOf(image));
      }
      files.push_back(std::move(one));
    }
    return files;
  }

  Status WriteFolder(const BuildOutput& output) const {
    SKIFF_ASSIGN(const auto files, Files(output));
    return builder::ExportFiles(engine_, files, output.path);
  }

  Status Push(const BuildOutput& output, builder::BuildProgress& progress, int step) {
    for (const std::string& name : outputs_.names) {
      SKIFF_ASSIGN(const engine::PushedImage pushed, PushOne(output, name));
      progress.Detail(step, fmt::format("pushing manifest for {}@{}", name, pushed.digest));
    }
    return {};
  }

  // What the name means here, or (with annotations) what differs from it in its manifests.
  Result<engine::PushedImage> PushOne(const BuildOutput& output, const std::string& name) {
    SKIFF_ASSIGN(engine::RegistryAccess access, AccessToImage(context_, name));
    const bool plain =
        sent_.annotations.empty() &&
        std::ranges::all_of(sent_.images, [](const auto& image) { return image.annotations.empty(); });
    if (plain) {
      engine::PushOptions options;
      options.access = std::move(access);
      options.compression = output.compression;
      return engine_.PushImage(name, options);
    }
    engine::ImagePlace place;
    place.reference = name;
    place.access = std::move(access);
    place.compression = output.compression;
    return engine_.SendImages(place, sent_);
  }

  Status Save(const BuildOutput& output) {
    SKIFF_ASSIGN(ArchiveOutput file, ArchiveOutput::Open(context_, output.path));
    if (output.kind == Kind::kTar) {
      SKIFF_ASSIGN(const auto files, Files(output));
      SKIFF_TRY(builder::ExportTar(engine_, files, file.fd()));
      return file.Finish();
    }
    engine::SaveOptions options;
    options.format = output.kind == Kind::kOci ? engine::ArchiveFormat::kOci
                                               : engine::ArchiveFormat::kDocker;
    options.names = outputs_.names;
    options.compression = output.compression;
    SKIFF_TRY(engine_.ArchiveImages(file.fd(), sent_, options));
    return file.Finish();
  }

  // Under each of its tags, or none.
  Status WriteLayout(const BuildOutput& output) {
    const std::vector<std::string>& names = outputs_.names;
    engine::ImagePlace place;
    place.folder = output.path;
    place.compression = output.compression;
    for (size_t i = 0; i == 0 || i < names.size(); ++i) {
      if (i < names.size()) {
        SKIFF_ASSIGN(const engine::Reference name, engine::ParseReference(names[i]));
        place.reference = name.tag;
      }
      SKIFF_TRY(engine_.SendImages(place, sent_));
    }
    return {};
  }

  Context& context_;
  engine::Engine& engine_;
  const BuildOutputs& outputs_;
  const builder::BuiltImages& built_;
  engine::SentImages sent_;  // As this output annotates them.
};

}  // namespace

bool BuildOutputs::annotated_in_vain() const {
  return annotated && std::ranges::all_of(list, [](const BuildOutput& output) {
           return output.kind == Kind::kFolder || output.kind == Kind::kTar;
         });
}

Result<BuildOutputs> ReadBuildOutputs(const Context& context, const Arguments& arguments,
                                      bool several) {
  BuildOutputs outputs;
  outputs.names = arguments.List("tag");
  const std::vector<std::string>& words = arguments.List("output");
  const bool push = arguments.Bool("push");
  outputs.store = arguments.Bool("load") || (words.empty() && !push);
  std::vector<BuildAnnotation> annotations;
  for (const std::string& text : arguments.List("annotation")) {
    SKIFF_TRY(ParseAnnotation(text, annotations));
  }
  outputs.annotated = !annotations.empty();
  OutputReader reader(context, outputs, annotations, several);
  for (const std::string& word : words) {
    SKIFF_ASSIGN(const Fields fields, Parse(word));
    SKIFF_TRY(reader.Add(fields));
  }
  if (push) {
    Fields fields;
    fields.type = "registry";
    SKIFF_TRY(reader.Add(fields));
  }
  if (!several) {
    SKIFF_TRY(RefuseListAnnotations(annotations));
    for (const BuildOutput& output : outputs.list) {
      SKIFF_TRY(RefuseListAnnotations(output.annotations));
    }
  }
  const bool pushes = std::ranges::any_of(outputs.list, [](const BuildOutput& output) {
    return output.kind == Kind::kRegistry;
  });
  if (pushes && outputs.names.empty()) {
    return Fail(Error(Code::kInvalidArgument, "tag is needed when pushing to registry")
                    .With("-t names the image"));
  }
  return outputs;
}

Status WriteBuildOutputs(Context& context, const BuildOutputs& outputs,
                         const builder::BuiltImages& built, builder::BuildProgress& progress) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  OutputWriter writer(context, *engine, outputs, built);
  for (const BuildOutput& output : outputs.list) SKIFF_TRY(writer.Write(output, progress));
  // Names by digest, and what layers have been compressed to.
  return engine->Commit();
}

}  // namespace skiff::cli
