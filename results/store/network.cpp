#include "network.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string_view>

namespace gradus::results {
namespace {

constexpr std::array<std::string_view, 20> kNetwork = {
    "nfs",        "nfs4",      "cifs",         "smb3",        "smbfs",      "lustre",        "ceph",
    "afs",        "gpfs",      "beegfs",       "pvfs2",       "glusterfs",  "fuse.ceph",     "fuse.glusterfs",
    "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.davfs", "fuse.blobfuse2"};

}  // namespace

// Each line of the list of mounts: id, parent, major:minor, root, where, options, optional fields, "-", type, source,
// options.
std::string file_system_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return "";
  const std::string device = std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string word, type;
    words >> word >> word >> word;
    if (word != device) continue;
    while (words >> word && word != "-") {
    }
    words >> type;
    return type;
  }
  return "";
}

std::string network_file_system(const std::string& path) {
  const std::string type = file_system_of(path);
  return std::find(kNetwork.begin(), kNetwork.end(), type) != kNetwork.end() ? type : "";
}

}  // namespace gradus::results
