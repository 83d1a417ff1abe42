#include "file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "host_error.h"

namespace gradus {
namespace {

// A file that is made is yet to be written; a link is whole at once.
bool is_link(const std::string& path) {
  std::error_code code;
  if (std::filesystem::is_symlink(path, code)) return true;
  const auto names = std::filesystem::hard_link_count(path, code);
  return !code && names > 1;
}

}  // namespace

FileWatch::FileWatch() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (fd_ < 0) throw HostError(kIo, std::string("watch: files cannot be watched: ") + std::strerror(errno));
}

FileWatch::~FileWatch() { close(fd_); }

void FileWatch::add(const std::string& path) {
  std::erase_if(files_,
                [&](const auto& file) { return file.second == path; });  // a link may lead elsewhere than it did
  add(path, path);
  std::error_code code;
  const std::filesystem::path real = std::filesystem::canonical(path, code);
  if (!code && std::filesystem::is_symlink(path, code)) add(real.string(), path);  // an editor saves where it leads
}

void FileWatch::add(const std::string& saved, const std::string& path) {
  const std::filesystem::path file(saved);
  const std::string folder = file.has_parent_path() ? file.parent_path().string() : ".";
  const int watch = inotify_add_watch(fd_, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE);
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
      if (file != files_.end() && (!(event->mask & IN_CREATE) || is_link(file->second))) found.insert(file->second);
    }
  }
  for (const std::string& path : found) {
    try {
      add(path);
    } catch (const HostError&) {
      // Its folder is away again.
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace gradus
