#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/fd.h"
#include "compose/progress.h"

namespace skiff::compose {

// What the renderers of compose/progress.h share.

void WriteProgress(int fd, std::string_view text);
std::string RenderDiagnostic(const Diagnostic& diagnostic, const ProgressOptions& options);
// " Container p-web-1 Creating\n"
std::string EventLine(const ProgressEvent& event, bool causes);
std::string_view PhaseName(ProgressPhase phase);
std::unique_ptr<Progress> MakeTtyProgress(const ProgressOptions& options);

}  // namespace skiff::compose
