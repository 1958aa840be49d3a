#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compose/execute.h"
#include "compose/observe.h"
#include "compose/plan.h"
#include "compose/use_cases.h"

namespace skiff::compose {

// What the use cases share.

// An empty pointer without locking.
Result<std::shared_ptr<void>> LockProject(const Context& context, const std::string& project);
// Folder of a project's written configs and secrets.
std::string FileDirectory(const Context& context, const std::string& project);
// Whether an image by the name is here for the platform ("": whichever the name means).
Result<bool> IsHere(engine::Engine& engine, const std::string& image, const std::string& platform);
// Tells the plan's warnings, writes its files, runs it under the name of a verb. With a plan_sink
// it only hands the plan over.
Status CarryOut(const Context& context, const Plan& plan, std::string_view operation);
void TellWarnings(const Context& context, const Plan& plan);
Status WriteFiles(const Plan& plan);
std::optional<engine::Nanoseconds> ToNanoseconds(const std::optional<Seconds>& seconds);
// Containers of the services (empty: all) in an order for people: by service, then number. Without
// one-off containers. An unknown service is an error.
Result<std::vector<ObservedContainer>> ContainersOfServices(
    const Context& context, const ProjectRef& project, const std::vector<std::string>& services);
// "no such service: x" for the first unknown one. Services exist in the model or in containers.
Status CheckServices(const ProjectRef& project, const std::vector<ObservedContainer>& containers,
                     const std::vector<std::string>& services);
PlanOptions PlanOptionsOf(const Context& context, const std::string& project,
                          const CreateOptions& options);

}  // namespace skiff::compose
