// `gradus run --sandbox`: limits on this process that the kernel keeps (Landlock for files, seccomp for system calls,
// resource limits for memory and time), so that they hold whatever the script makes of Lua, of ffi or of a fault in LibTorch.
//
// Files: reads of the folders given, of the system's programs and libraries and of what LibTorch asks about the machine; writes
// below the folders given, nothing else. No network, no other programs, no other processes, no terminal input for others. What
// remains visible is that a path exists.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gradus {

struct SandboxRules {
  std::vector<std::string> read, write;  // folders or files, with all below them; what does not exist is left out
  std::int64_t memory_bytes = std::int64_t{8} << 30;
  std::int64_t cpu_seconds =
      0;  // of all threads; 0: no limit. SIGXCPU ends the run in order, 30 s later SIGKILL without
};

// For this thread and all that it starts, for good; call it while there is no other. HostError (io) where the kernel cannot.
void enter_sandbox(const SandboxRules& rules);

}  // namespace gradus
