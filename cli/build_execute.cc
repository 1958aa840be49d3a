#include "cli/build_execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/atomic_file.h"
#include "base/identity.h"
#include "base/json_text.h"
#include "cli/build_output.h"
#include "cli/build_print.h"
#include "cli/build_progress.h"
#include "cli/build_settings.h"
#include "cli/exit_status.h"
#include "cli/flag_values.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "engine-core/references.h"

namespace skiff::cli {
namespace {

Status WriteResultFile(const Context& context, const std::string& path, std::string_view text) {
  if (path.empty()) return {};
  const std::string absolute =
      path.starts_with('/') ? path : context.around().working_dir + "/" + path;
  return WriteFileAtomically(absolute, text, 0644, Durability::kVolatile);
}

std::string Metadata(const builder::BuiltImage& image, const std::vector<std::string>& names) {
  std::string text =
      fmt::format("{{\n  \"containerimage.config.digest\": {},\n  \"containerimage.digest\": {}",
                  JsonQuote(image.id), JsonQuote(image.id));
  std::string joined;
  for (const std::string& name : names) {
    const auto reference = engine::ParseReference(name);
    if (!joined.empty()) joined += ',';
    joined += reference ? reference->Canonical() : name;
  }
  if (!joined.empty()) text += fmt::format(",\n  \"image.name\": {}", JsonQuote(joined));
  return text + "\n}\n";
}

Result<std::unique_ptr<BuildReporter>> MakeReporter(const Context& context,
                                                    const Arguments& arguments) {
  const int err = context.around().err;
  std::string word = arguments.Text("progress");
  if (word == "auto") {
    if (const std::string chosen = context.Variable("BUILDKIT_PROGRESS"); !chosen.empty()) {
      word = chosen;
    }
  }
  BuildProgressOptions options;
  SKIFF_ASSIGN(options.mode, ParseBuildProgress(word, IsTerminal(err)));
  if (arguments.Bool("quiet")) options.mode = BuildProgressMode::kQuiet;
  options.fd = err;
  options.color = context.ColorOn(err);
  options.now = context.around().now;
  options.columns = [err] { return static_cast<int>(SizeOf(err).columns); };
  options.rows = [err] { return static_cast<int>(SizeOf(err).rows); };
  return MakeBuildReporter(options);
}

bool IsOff(std::string_view value) {
  return value.empty() || value == "false" || value == "0";
}

// "type=sbom,disabled=true" declines it.
Result<bool> AsksFor(const std::string& attestation, std::string_view type) {
  SKIFF_ASSIGN(const std::vector<std::string> fields, SplitCsv(attestation));
  const bool declined = std::ranges::any_of(fields, [](const std::string& field) {
    return field == "disabled=true" || field == "disabled=1";
  });
  return !declined && std::ranges::count(fields, "type=" + std::string(type)) > 0;
}

Status RefuseUnsupported(const Arguments& arguments) {
  return RefuseFlags(arguments, {"squash", "policy", "resource"});
}

// As buildx words it.
std::string SummaryOf(const std::vector<builder::LintWarning>& warnings) {
  if (warnings.empty()) return "";
  std::string text = fmt::format("\n {} warning{} found (use --check to expand):\n", warnings.size(),
                                 warnings.size() == 1 ? "" : "s");
  for (const builder::LintWarning& warning : warnings) {
    text += fmt::format(" - {}: {} (line {})\n", builder::InfoOf(warning.rule).name,
                        warning.message, warning.lines.first);
  }
  return text;
}

struct Made {
  builder::BuiltImage image;  // The one that names mean here.
  std::vector<builder::LintWarning> warnings;
};

// Each warning once: platforms have most in common.
void AddWarnings(const builder::Linter& linter, std::vector<builder::LintWarning>& all) {
  for (const builder::LintWarning& warning : linter.warnings()) {
    const bool known = std::ranges::any_of(all, [&](const builder::LintWarning& other) {
      return other.rule == warning.rule && other.message == warning.message &&
             other.lines.first == warning.lines.first;
    });
    if (!known) all.push_back(warning);
  }
}

// One plan for each platform.
Result<std::vector<builder::BuildPlan>> PlanAll(Context& context, BuildRequest& request,
                                                builder::ImageResolver images,
                                                std::vector<builder::LintWarning>& warnings) {
  request.options.images = std::move(images);
  SKIFF_ASSIGN(const builder::LintOptions lint,
               builder::LintOptionsOf(request.dockerfile, request.options));
  SKIFF_ASSIGN(const auto all, PlanOptionsOf(context, request));
  std::vector<builder::BuildPlan> plans;
  for (const builder::PlanOptions& options : all) {
    builder::Linter linter(lint);
    SKIFF_ASSIGN(builder::BuildPlan plan, builder::PlanBuild(request.dockerfile, options, linter));
    SKIFF_TRY(linter.Verdict());
    AddWarnings(linter, warnings);
    plans.push_back(std::move(plan));
  }
  return plans;
}

Result<Made> PlanAndBuild(Context& context, const Arguments& arguments, BuildRequest& request,
                          BuildReporter& reporter) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const builder::BuilderOptions options, ReadBuilderOptions(context));
  builder::Builder builder(*engine, options);
  SKIFF_TRY(builder::CheckFrontend(request.dockerfile, request.options));
  SKIFF_ASSIGN(builder::BuildSettings settings, ReadBuildSettings(context, arguments, request));
  SKIFF_ASSIGN(const BuildOutputs outputs,
               ReadBuildOutputs(context, arguments, request.platforms.size() > 1));
  settings.keep_image = outputs.store;
  settings.references = outputs.store ? outputs.names : std::vector<std::string>();
  Made made;
  SKIFF_ASSIGN(const auto plans,
               PlanAll(context, request, builder.Images(arguments.Bool("pull"), reporter),
                       made.warnings));
  auto built = builder.Build(plans, settings, reporter);
  // Until everything is written: what neither an image nor the cache keeps would go.
  std::vector<std::unique_ptr<engine::WritableLayer>> held;
  const bool writes = built && !outputs.list.empty();
  for (size_t i = 0; writes && i < built->images.size(); ++i) {
    SKIFF_ASSIGN(auto layer, engine->CreateLayer(built->images[i].layers));
    held.push_back(std::move(layer));
  }
  Status finished = builder.Finish();
  for (const std::string& id : request.layout_images) {
    const auto removed = engine->RemoveImage(id, false);
    if (!removed && finished) finished = Fail(removed.error());
  }
  // What was made before a failure stays in the cache.
  const Status committed = engine->Commit();
  if (!built) return Fail(std::move(built.error()));
  SKIFF_TRY(finished);
  SKIFF_TRY(committed);
  if (outputs.annotated_in_vain()) {
    context.PrintError("warning: annotations are part of what is pushed or written by --output, not "
                       "of the image here\n");
  }
  const Status written = WriteBuildOutputs(context, outputs, *built, reporter);
  held.clear();
  if (writes && !request.layout_images.empty()) {
    SKIFF_TRY(engine->CollectGarbage());
    SKIFF_TRY(engine->Commit());
  }
  SKIFF_TRY(written);
  made.image = built->result();
  return made;
}

}  // namespace

Status CheckAttestations(const Context& context, const Arguments& arguments,
                         const std::vector<std::string>& attestations) {
  bool provenance = !IsOff(arguments.Text("provenance"));
  bool contents = !IsOff(arguments.Text("sbom"));
  for (const std::string& attestation : attestations) {
    SKIFF_ASSIGN(const bool asks_for_provenance, AsksFor(attestation, "provenance"));
    SKIFF_ASSIGN(const bool asks_for_contents, AsksFor(attestation, "sbom"));
    provenance = provenance || asks_for_provenance;
    contents = contents || asks_for_contents;
  }
  if (contents) {
    return Fail(Error(Code::kUnsupported, "a list of what is in the image (sbom) cannot be made")
                    .With("Skiff attests nothing about images"));
  }
  if (provenance) {
    context.PrintError("warning: the provenance of the image is not attested: Skiff makes no "
                       "attestations\n");
  }
  return {};
}

Result<int> ExecuteBuild(Context& context, const Arguments& arguments, BuildRequest& request) {
  SKIFF_TRY(RefuseUnsupported(arguments));
  SKIFF_TRY(CheckAttestations(context, arguments, arguments.List("attest")));
  if (request.diagnostics.HasErrors()) {
    for (const Diagnostic& diagnostic : request.diagnostics.list()) {
      context.Report(diagnostic.error, &request.sources);
    }
    return Fail(request.diagnostics.list().front().error.code, "");
  }
  SKIFF_ASSIGN(const auto reporter, MakeReporter(context, arguments));
  auto made = PlanAndBuild(context, arguments, request, *reporter);
  reporter->Finish();
  if (!made) {
    context.PrintError(reporter->FailedOutput());
    context.Report(made.error(), &request.sources);
    return Fail(made.error().code, "");
  }
  if (arguments.Text("progress") != "rawjson" && !arguments.Bool("quiet")) {
    context.PrintError(SummaryOf(made->warnings));
  }
  SKIFF_TRY(WriteResultFile(context, arguments.Text("iidfile"), made->image.id));
  SKIFF_TRY(WriteResultFile(context, arguments.Text("metadata-file"),
                            Metadata(made->image, arguments.List("tag"))));
  if (arguments.Bool("quiet")) SKIFF_TRY(context.Print(made->image.id + "\n"));
  return 0;
}

}  // namespace skiff::cli
