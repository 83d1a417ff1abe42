#include "file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "host_error.h"

namespace gradus {

FileWatch::FileWatch() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (fd_ < 0) throw HostError(kIo, std::string("watch: files cannot be watched: ") + std::strerror(errno));
}

FileWatch::~FileWatch() { close(fd_); }

void FileWatch::add(const std::string& path) {
  add(path, path);
  std::error_code code;
  const std::filesystem::path real = std::filesystem::canonical(path, code);
  if (!code && std::filesystem::is_symlink(path, code)) add(real.string(), path);  // an editor saves where it leads
}

void FileWatch::add(const std::string& saved, const std::string& path) {
  const std::filesystem::path file(saved);
  const std::string folder = file.has_parent_path() ? file.parent_path().string() : ".";
  const int watch = inotify_add_watch(fd_, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO);
  if (watch < 0) throw HostError(kIo, folder + ": cannot be watched: " + std::strerror(errno));
  files_[{watch, file.filename().string()}] = path;
}

std::vector<std::string> FileWatch::saved() {
  std::set<std::string> found;
  alignas(inotify_event) char buffer[1 << 14];
  ssize_t size;
  while ((size = read(fd_, buffer, sizeof buffer)) > 0) {
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if (event->len == 0) continue;
      const auto file = files_.find({event->wd, event->name});
      if (file != files_.end()) found.insert(file->second);
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace gradus
