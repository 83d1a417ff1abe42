// Which files were saved. Folders are watched, not files: editors put a new file in the old one's place.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gradus {

class FileWatch {
 public:
  FileWatch();  // throws HostError (io)
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // The file, and what it leads to where it is a link. It need not exist, its folder must. Throws HostError (io).
  void add(const std::string& path);
  std::vector<std::string> saved();       // since the last call, each once, as add named them; does not wait
  int descriptor() const { return fd_; }  // readable when there is something

 private:
  void add(const std::string& saved, const std::string& path);

  int fd_ = -1;
  std::map<std::pair<int, std::string>, std::string> files_;  // a folder's watch and a name in it -> as named
};

}  // namespace gradus
