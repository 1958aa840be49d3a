#pragma once

#include <string>

#include "cli/exit_status.h"
#include "cli/verbs.h"

namespace skiff::cli {

// Calls `call(engine, operand)` for each operand of a command, as docker does: every one is tried,
// the errors are told one by one, and the exit status says whether there was any.
template <typename Call>
Result<int> ForEachOperand(Context& context, const Arguments& arguments, Call call) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  int status = 0;
  for (const std::string& ref : arguments.operands()) {
    const Status done = call(*engine, ref);
    if (done) continue;
    context.Report(done.error(), nullptr);
    status = kExitFailure;
  }
  SKIFF_TRY(engine->Commit());
  return status;
}

// As ForEachOperand(), and prints each operand that it worked for, as docker does.
template <typename Call>
Result<int> ForEachPrinted(Context& context, const Arguments& arguments, Call call) {
  return ForEachOperand(context, arguments,
                        [&](engine::Engine& engine, const std::string& ref) -> Status {
                          SKIFF_TRY(call(engine, ref));
                          return context.Print(ref + '\n');
                        });
}

}  // namespace skiff::cli
