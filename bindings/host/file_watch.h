// Which files were saved. Folders are watched, not files: editors put a new file in the old one's place.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace gradus {

class FileWatch {
 public:
  FileWatch();  // throws HostError (io)
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  void add(const std::string& path);      // the file need not exist, its folder must. Throws HostError (io)
  std::vector<std::string> saved();       // since the last call, each once, as add named them; does not wait
  int descriptor() const { return fd_; }  // readable when there is something

 private:
  int fd_ = -1;
  std::map<int, std::string> folders_;        // by watch
  std::map<std::string, std::string> files_;  // "folder/name" -> as named
};

}  // namespace gradus
