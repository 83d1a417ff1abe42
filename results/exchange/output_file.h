// What an export writes to: files, folders, standard output.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace gradus::results {

// A file that appears whole or not at all, a device, or standard output. Errors (io; data: it would replace a database).
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);  // "" or "-": standard output
  ~OutputFile();                                 // without finish(): leaves nothing behind
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  void write(std::string_view bytes);
  void finish();

 private:
  [[noreturn]] void fail(const char* what) const;
  std::string path_, temporary_;
  std::FILE* file_ = nullptr;  // owned unless stdout
};

void make_folder(const std::string& folder);     // with its parents; Error (io)
bool names_folder(const std::string& path);      // exists as one, ends with a slash, or has no extension
std::string file_name(const std::string& text);  // the text as a part of a path, at most 100 bytes

}  // namespace gradus::results
