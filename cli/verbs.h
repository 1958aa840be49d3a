#pragma once

#include "cli/arguments.h"
#include "cli/context.h"

// The verbs: each reads its flags, calls one use case or engine call, and renders what comes back.
namespace skiff::cli {

// cli/verbs_start.cc
Result<int> RunUp(Context& context, const Arguments& arguments);
Result<int> RunPlan(Context& context, const Arguments& arguments);
Result<int> RunCreate(Context& context, const Arguments& arguments);
Result<int> RunScale(Context& context, const Arguments& arguments);
Result<int> RunWatch(Context& context, const Arguments& arguments);
Result<int> RunStart(Context& context, const Arguments& arguments);
Result<int> RunRun(Context& context, const Arguments& arguments);
// cli/verbs_build.cc
Result<int> RunBuild(Context& context, const Arguments& arguments);
// Images of services that have to be built before something starts.
struct BuildFirst {
  std::vector<std::string> services;  // Empty: all.
  bool no_deps = false;
  bool all = false;       // --build; else those that are missing.
  bool declined = false;  // --no-build
  bool quiet = false;     // --quiet-build
};
Status BuildBefore(Context& context, const schema::LoadResult& model, const BuildFirst& first);
// How changed files are carried over; all that is borrowed has to outlive the watch.
compose::WatchOptions WatchOptionsOf(Context& context, const compose::Context& use,
                                     const schema::LoadResult& model,
                                     std::vector<std::string> services, bool quiet);
// cli/verbs_stop.cc
Result<int> RunDown(Context& context, const Arguments& arguments);
Result<int> RunStop(Context& context, const Arguments& arguments);
Result<int> RunRestart(Context& context, const Arguments& arguments);
Result<int> RunKill(Context& context, const Arguments& arguments);
Result<int> RunRm(Context& context, const Arguments& arguments);
Result<int> RunPause(Context& context, const Arguments& arguments);
Result<int> RunUnpause(Context& context, const Arguments& arguments);
// cli/verbs_show.cc
Result<int> RunPs(Context& context, const Arguments& arguments);
Result<int> RunLogs(Context& context, const Arguments& arguments);
Result<int> RunExec(Context& context, const Arguments& arguments);
Result<int> RunPort(Context& context, const Arguments& arguments);
Result<int> RunLs(Context& context, const Arguments& arguments);
Result<int> RunWait(Context& context, const Arguments& arguments);
Result<int> RunComposeImages(Context& context, const Arguments& arguments);
Result<int> RunComposePull(Context& context, const Arguments& arguments);
Result<int> RunComposePush(Context& context, const Arguments& arguments);
Result<int> RunComposeVolumes(Context& context, const Arguments& arguments);
// cli/verbs_container.cc
Result<int> RunComposeAttach(Context& context, const Arguments& arguments);
Result<int> RunComposeCommit(Context& context, const Arguments& arguments);
Result<int> RunComposeCopy(Context& context, const Arguments& arguments);
Result<int> RunComposeEvents(Context& context, const Arguments& arguments);
Result<int> RunComposeStats(Context& context, const Arguments& arguments);
Result<int> RunComposeExport(Context& context, const Arguments& arguments);
Result<int> RunComposeTop(Context& context, const Arguments& arguments);
// cli/verbs_config.cc
Result<int> RunConfig(Context& context, const Arguments& arguments);
// cli/verbs_program.cc
Result<int> RunVersion(Context& context, const Arguments& arguments);
Result<int> RunCompletion(Context& context, const Arguments& arguments);
Result<int> RunManual(Context& context, const Arguments& arguments);
Result<int> RunSystemCheck(Context& context, const Arguments& arguments);
Result<int> RunSystemStart(Context& context, const Arguments& arguments);
Result<int> RunSystemRetire(Context& context, const Arguments& arguments);
Result<int> RunDockerVersion(Context& context, const Arguments& arguments);
// cli/docker_run.cc
Result<int> RunDockerRun(Context& context, const Arguments& arguments);
Result<int> RunDockerCreate(Context& context, const Arguments& arguments);
// cli/docker_session.cc
Result<int> RunDockerExec(Context& context, const Arguments& arguments);
Result<int> RunDockerAttach(Context& context, const Arguments& arguments);
// What follows the name of the container, of docker's verb and of compose's.
Result<int> AttachToContainer(Context& context, const Arguments& arguments, const std::string& ref);
Result<int> RunDockerStart(Context& context, const Arguments& arguments);
Result<int> RunDockerLogs(Context& context, const Arguments& arguments);
Result<int> RunDockerWait(Context& context, const Arguments& arguments);
// cli/docker_containers.cc
Result<int> RunDockerPs(Context& context, const Arguments& arguments);
Result<int> RunDockerStop(Context& context, const Arguments& arguments);
Result<int> RunDockerRestart(Context& context, const Arguments& arguments);
Result<int> RunDockerKill(Context& context, const Arguments& arguments);
Result<int> RunDockerRm(Context& context, const Arguments& arguments);
Result<int> RunDockerPause(Context& context, const Arguments& arguments);
Result<int> RunDockerUnpause(Context& context, const Arguments& arguments);
Result<int> RunDockerRename(Context& context, const Arguments& arguments);
Result<int> RunDockerPort(Context& context, const Arguments& arguments);
Result<int> RunDockerTop(Context& context, const Arguments& arguments);
// cli/docker_inspect.cc
Result<int> RunDockerInspect(Context& context, const Arguments& arguments);
Result<int> RunContainerInspect(Context& context, const Arguments& arguments);
Result<int> RunImageInspect(Context& context, const Arguments& arguments);
Result<int> RunNetworkInspect(Context& context, const Arguments& arguments);
Result<int> RunVolumeInspect(Context& context, const Arguments& arguments);
// cli/docker_build.cc
Result<int> RunDockerBuild(Context& context, const Arguments& arguments);
// cli/docker_builder.cc
Result<int> RunBuilderPrune(Context& context, const Arguments& arguments);
// cli/docker_objects.cc
Result<int> RunImageList(Context& context, const Arguments& arguments);
Result<int> RunImageImport(Context& context, const Arguments& arguments);
Result<int> RunImageTag(Context& context, const Arguments& arguments);
Result<int> RunImageRemove(Context& context, const Arguments& arguments);
Result<int> RunNetworkList(Context& context, const Arguments& arguments);
Result<int> RunNetworkCreate(Context& context, const Arguments& arguments);
Result<int> RunNetworkRemove(Context& context, const Arguments& arguments);
Result<int> RunNetworkConnect(Context& context, const Arguments& arguments);
Result<int> RunNetworkDisconnect(Context& context, const Arguments& arguments);
Result<int> RunVolumeList(Context& context, const Arguments& arguments);
Result<int> RunVolumeCreate(Context& context, const Arguments& arguments);
Result<int> RunVolumeRemove(Context& context, const Arguments& arguments);

// ---- What several verbs share (cli/project.cc) -------------------------------------------------

// The project a verb is about. With a name and no file it is known by name alone.
struct ChosenProject {
  compose::ProjectRef ref;
  const SourceMap* sources = nullptr;
};
// For verbs that look at or stop what exists: warnings of the file are not repeated.
Result<ChosenProject> ChooseProject(Context& context, const std::vector<std::string>& services);
// For verbs that create: the whole model. `services` enables the profiles of those. Compose files at
// addresses are fetched unless the command only shows something.
Result<const schema::LoadResult*> LoadModel(Context& context,
                                            const std::vector<std::string>& services,
                                            bool fetch = true);
// Of a project whose first file came from an address: says where it is, and asks whether it may have
// the variables it uses, and the further addresses it includes, unless `yes`. docker compose: up, run.
Status ConfirmRemoteProject(Context& context, const schema::LoadResult& model, bool yes);
// -t SECONDS
std::optional<compose::Seconds> SecondsOf(const Arguments& arguments, std::string_view flag);
// Fails with kUnsupported when one of these flags of docker's is given.
Status RefuseFlags(const Arguments& arguments, std::initializer_list<std::string_view> flags);
// Fails when both are given.
Status RefuseTogether(const Arguments& arguments, std::string_view one, std::string_view other);
// Checks one of a few words.
Status CheckChoice(const Arguments& arguments, std::string_view flag,
                   std::initializer_list<std::string_view> choices);
// cli/docker_images.cc
Result<int> RunImageLoad(Context& context, const Arguments& arguments);
Result<int> RunImageSave(Context& context, const Arguments& arguments);
Result<int> RunDockerEvents(Context& context, const Arguments& arguments);
Result<int> RunContainerStats(Context& context, const Arguments& arguments);
Result<int> RunContainerCopy(Context& context, const Arguments& arguments);
Result<int> RunContainerExport(Context& context, const Arguments& arguments);
Result<int> RunContainerCommit(Context& context, const Arguments& arguments);
Result<int> ExportContainer(Context& context, const Arguments& arguments, const std::string& ref);
Result<int> CommitContainer(Context& context, const Arguments& arguments, const std::string& ref,
                            bool pause);
Result<int> RunImageHistory(Context& context, const Arguments& arguments);
// cli/docker_prune.cc
Result<int> RunImagePrune(Context& context, const Arguments& arguments);
Result<int> RunContainerPrune(Context& context, const Arguments& arguments);
Result<int> RunNetworkPrune(Context& context, const Arguments& arguments);
Result<int> RunVolumePrune(Context& context, const Arguments& arguments);
Result<int> RunSystemPrune(Context& context, const Arguments& arguments);
// cli/docker_info.cc
Result<int> RunDockerInfo(Context& context, const Arguments& arguments);
// --platform of a command on images.
Result<engine::Platform> PlatformFlag(const Arguments& arguments);
// cli/docker_registry.cc
Result<int> RunImagePull(Context& context, const Arguments& arguments);
Result<int> RunImagePush(Context& context, const Arguments& arguments);
Result<int> RunLogin(Context& context, const Arguments& arguments);
Result<int> RunLogout(Context& context, const Arguments& arguments);

}  // namespace skiff::cli
