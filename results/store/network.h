// File systems on which SQLite's locks and its shared memory do not hold between machines.
#pragma once

#include <string>

namespace gradus::results {

// "ext4", "proc", "nfs4", …: of what the file or folder lies on, as the list of mounts has it; "" where that is not
// known.
std::string file_system_of(const std::string& path);
// "nfs4", "cifs", "fuse.sshfs", … where the file or folder lies on one of them; "" elsewhere.
std::string network_file_system(const std::string& path);

}  // namespace gradus::results
