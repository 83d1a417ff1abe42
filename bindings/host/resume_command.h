// `gradus resume RUN` and `gradus fork RUN --at STEP`: a run of the store goes on, or another one begins where it was.
#pragma once

#include <string>

#include "session.h"

namespace gradus {

// The run's script, device and so on are the store's, where the command line does not say otherwise. Returns the exit code.
int resume_command(RunOptions options, const std::string& run);
// The loss around the weights that a run has left.
int landscape_command(RunOptions options, const std::string& run);
int fork_command(RunOptions options, const std::string& run);  // options.more: at

}  // namespace gradus
