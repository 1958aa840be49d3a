#pragma once

#include "base/error.h"
#include "cli/context.h"
#include "compose/pull.h"
#include "schema/load.h"

namespace skiff::cli {

// compose::Pull with what this person's machine says about registries.
Status PullServices(Context& context, const schema::LoadResult& model,
                    const compose::PullOptions& options);

// The same for compose::Push.
Status PushServices(Context& context, const schema::LoadResult& model,
                    const compose::PushOptions& options);

}  // namespace skiff::cli
