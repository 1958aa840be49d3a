#include "cli/build_output.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/archive_output.h"
#include "cli/flag_values.h"
#include "cli/registry_config.h"
#include "cli/terminal.h"
#include "engine-core/references.h"

namespace skiff::cli {
namespace {

using Kind = BuildOutput::Kind;

// What an output says and what is done anyway.
constexpr std::string_view kHarmless[] = {
    "oci-mediatypes", "force-compression", "rewrite-timestamp", "unpack",
    "store",          "buildinfo",         "context",           "platform-split",
};

// One --output as key and value; the short form is a folder, "-" a tar stream.
struct Fields {
  std::string type, path;
  std::vector<std::string> names;
  bool push = false;
  bool tar = true;
  std::vector<BuildAnnotation> annotations;
};

tl::unexpected<Error> Unsupported(const std::string& what) {
  return Fail(Code::kUnsupported, what + " is not supported");
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
  } else if (key == "compression") {
    if (value != "uncompressed") {
      return Fail(Error(Code::kUnsupported, fmt::format("compression={} is not supported", value))
                      .With("layers that are made here are written uncompressed"));
    }
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
               std::vector<BuildAnnotation> annotations)
      : context_(context), outputs_(outputs), annotations_(std::move(annotations)) {}

  Status Add(const Fields& fields) {
    const size_t before = outputs_.list.size();
    outputs_.annotated = outputs_.annotated || !fields.annotations.empty();
    SKIFF_TRY(Choose(fields));
    for (size_t i = before; i < outputs_.list.size(); ++i) {
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
    outputs_.list.push_back({kind, std::move(path), {}});
    return {};
  }

  const Context& context_;
  BuildOutputs& outputs_;
  std::vector<BuildAnnotation> annotations_;  // Of flags: every output has them.
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

// The image here, or (with annotations) one that differs from it in its manifest.
Result<engine::PushedImage> PushOne(Context& context, engine::Engine& engine,
                                    const std::string& name, const builder::BuiltImage& image,
                                    const engine::ImageAnnotations& annotations) {
  SKIFF_ASSIGN(engine::RegistryAccess access, AccessToImage(context, name));
  if (annotations.empty()) {
    engine::PushOptions options;
    options.access = std::move(access);
    return engine.PushImage(name, options);
  }
  engine::ImagePlace place;
  place.reference = name;
  place.access = std::move(access);
  return engine.SendImage(place, image.config, annotations);
}

Status Push(Context& context, engine::Engine& engine, const BuildOutputs& outputs,
            const builder::BuiltImage& image, const engine::ImageAnnotations& annotations,
            builder::BuildProgress& progress, int step) {
  for (const std::string& name : outputs.names) {
    SKIFF_ASSIGN(const engine::PushedImage pushed,
                 PushOne(context, engine, name, image, annotations));
    progress.Detail(step, fmt::format("pushing manifest for {}@{}", name, pushed.digest));
  }
  return {};
}

Status Save(Context& context, engine::Engine& engine, const BuildOutput& output,
            const std::vector<std::string>& names, const builder::BuiltImage& image,
            engine::ImageAnnotations annotations) {
  SKIFF_ASSIGN(ArchiveOutput file, ArchiveOutput::Open(context, output.path));
  if (output.kind == Kind::kTar) {
    SKIFF_TRY(builder::ExportTar(engine, image.layers, file.fd()));
    return file.Finish();
  }
  engine::SaveOptions options;
  options.format = output.kind == Kind::kOci ? engine::ArchiveFormat::kOci
                                             : engine::ArchiveFormat::kDocker;
  options.names = names;
  options.annotations = std::move(annotations);
  SKIFF_TRY(engine.SaveImages(file.fd(), {image.id}, options));
  return file.Finish();
}

// Under each of its tags, or none.
Status WriteLayout(engine::Engine& engine, const BuildOutput& output,
                   const std::vector<std::string>& names, const builder::BuiltImage& image,
                   const engine::ImageAnnotations& annotations) {
  engine::ImagePlace place;
  place.folder = output.path;
  for (size_t i = 0; i == 0 || i < names.size(); ++i) {
    if (i < names.size()) {
      SKIFF_ASSIGN(const engine::Reference name, engine::ParseReference(names[i]));
      place.reference = name.tag;
    }
    SKIFF_TRY(engine.SendImage(place, image.config, annotations));
  }
  return {};
}

Status WriteOne(Context& context, engine::Engine& engine, const BuildOutputs& outputs,
                const BuildOutput& output, const builder::BuiltImage& image,
                builder::BuildProgress& progress) {
  SKIFF_ASSIGN(const engine::ImageAnnotations annotations,
               AnnotationsOf(output.annotations, image.config));
  const int step = progress.Begin(TitleOf(output.kind));
  Status written;
  if (output.kind == Kind::kFolder) {
    written = builder::ExportFiles(engine, image.layers, output.path);
  } else if (output.kind == Kind::kRegistry) {
    written = Push(context, engine, outputs, image, annotations, progress, step);
  } else if (output.kind == Kind::kLayout) {
    written = WriteLayout(engine, output, outputs.names, image, annotations);
  } else {
    written = Save(context, engine, output, outputs.names, image, annotations);
  }
  progress.End(step, written ? builder::StepOutcome::kDone : builder::StepOutcome::kFailed,
               written ? "" : written.error().Text());
  return written;
}

}  // namespace

bool BuildOutputs::annotated_in_vain() const {
  return annotated && std::ranges::all_of(list, [](const BuildOutput& output) {
           return output.kind == Kind::kFolder || output.kind == Kind::kTar;
         });
}

bool BuildOutputs::needs_image() const {
  return store || std::ranges::any_of(list, [](const BuildOutput& output) {
           return output.kind != Kind::kFolder && output.kind != Kind::kTar;
         });
}

Result<BuildOutputs> ReadBuildOutputs(const Context& context, const Arguments& arguments) {
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
  OutputReader reader(context, outputs, std::move(annotations));
  for (const std::string& word : words) {
    SKIFF_ASSIGN(const Fields fields, Parse(word));
    SKIFF_TRY(reader.Add(fields));
  }
  if (push) {
    Fields fields;
    fields.type = "registry";
    SKIFF_TRY(reader.Add(fields));
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
                         const builder::BuiltImage& image, builder::BuildProgress& progress) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  Status written;
  for (const BuildOutput& output : outputs.list) {
    written = WriteOne(context, *engine, outputs, output, image, progress);
    if (!written) break;
  }
  if (!outputs.store && outputs.needs_image() && !image.existed) {
    SKIFF_TRY(engine->RemoveImage(image.id, false));
    SKIFF_TRY(engine->Commit());
  }
  return written;
}

}  // namespace skiff::cli
