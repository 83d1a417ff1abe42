#include "neighbours.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "children.h"

namespace gradus {
namespace {

int own_file = -1;  // locked while this process trains
std::string own_path;
pid_t own_process = 0;  // a forked process has the file of the one that it came from

// The user's own folder, for nobody else to write in; empty: none.
std::string folder() {
  const char* base = std::getenv("XDG_RUNTIME_DIR");
  std::string path = base && *base ? std::string(base) + "/gradus" : "/tmp/gradus-" + std::to_string(getuid());
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return "";
  struct stat status;
  const bool ours = lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == getuid();
  return ours ? path : "";
}

// A locked file's threads, unless it is of our group; a file that nobody locks is a dead process's and goes.
int threads_of(const std::string& path, pid_t group) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return 0;
  int threads = 0;
  if (flock(file, LOCK_SH | LOCK_NB) == 0) {
    unlink(path.c_str());
  } else {
    char text[64] = "";
    int others_group = 0;
    const ssize_t size = pread(file, text, sizeof text - 1, 0);
    if (size <= 0 || std::sscanf(text, "%d %d", &threads, &others_group) != 2 || others_group == group) threads = 0;
  }
  close(file);
  return threads;
}

void write_own(int threads, pid_t group) {
  const std::string text = std::to_string(threads) + " " + std::to_string(group) + "\n";
  if (ftruncate(own_file, 0) != 0 || pwrite(own_file, text.data(), text.size(), 0) < 0) leave_cores();
}

}  // namespace

int share_cores(int threads) {
  const char* alone = std::getenv("GRADUS_ALONE");
  const std::string place = alone && std::strcmp(alone, "1") == 0 ? "" : folder();
  if (place.empty()) return 0;
  const pid_t group = is_child() ? getppid() : getpid();
  const int all =
      open((place + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);  // who looks and enters does both
  if (all < 0 || flock(all, LOCK_EX) != 0) return 0;
  if (own_process != getpid()) {
    own_file = -1;  // the parent's, and closed in it or held by it
    own_process = getpid();
  }
  if (own_file < 0) {
    own_path = place + "/" + std::to_string(getpid());
    own_file = open(own_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (own_file >= 0) flock(own_file, LOCK_EX | LOCK_NB);
  }
  if (own_file >= 0) write_own(threads, group);
  int others = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(place, ignored)) {
    const std::string path = entry.path().string();
    if (path != own_path && entry.path().filename() != "lock") others += threads_of(path, group);
  }
  close(all);
  return others;
}

void leave_cores() {
  if (own_file < 0 || own_process != getpid()) return;
  unlink(own_path.c_str());
  close(own_file);
  own_file = -1;
}

}  // namespace gradus
