#include "output_file.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "error.h"
#include "utf8.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

// An export over a store would be the end of all its runs.
void refuse_database(const std::string& path) {
  constexpr std::string_view kHead = "SQLite format 3";
  std::string head(kHead.size(), ' ');
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return;
  const bool same = std::fread(head.data(), 1, head.size(), file) == head.size() && head == kHead;
  std::fclose(file);
  if (same)
    throw Error(Exit::data, path + ": is not written over; expected a file that is no database; got an SQLite file");
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path == "-" ? "" : path) {
  if (path_.empty()) {
    file_ = stdout;
    return;
  }
  std::error_code code;
  if (const fs::path target = fs::canonical(path_, code); !code) path_ = target.string();  // a link stays one
  const bool device = fs::exists(path_, code) && !fs::is_regular_file(path_, code);        // and so does /dev/null
  if (!device) refuse_database(path_);
  if (!device) temporary_ = path_ + "." + std::to_string(::getpid()) + ".part";
  file_ = std::fopen((device ? path_ : temporary_).c_str(), "wbe");
  if (file_ == nullptr) fail("cannot write");
}

OutputFile::~OutputFile() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::fail(const char* what) const {
  throw Error(Exit::io, (path_.empty() ? "standard output" : path_) + ": " + what + "; got " + std::strerror(errno));
}

void OutputFile::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size()) return;
  fail("cannot write");
}

void OutputFile::finish() {
  if (file_ == stdout) {
    if (std::fflush(file_) != 0) fail("cannot write");
    return;
  }
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (!closed) fail("cannot write");
  if (!temporary_.empty() && std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot write");
  temporary_.clear();
}

void make_folder(const std::string& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) throw Error(Exit::io, folder + ": cannot make the folder; got " + code.message());
}

bool names_folder(const std::string& path) {
  if (path.empty() || path == "-") return false;
  std::error_code code;
  if (fs::is_directory(path, code)) return true;
  return !fs::exists(path, code) && (path.ends_with('/') || !fs::path(path).has_extension());
}

std::string file_name(const std::string& text) {
  std::string name = utf8(text);
  std::size_t end = std::min<std::size_t>(name.size(), 100);
  while (end < name.size() && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;  // not inside a character
  name.resize(end);
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && !std::isalnum(byte) && c != '_' && c != '-' && c != '.') c = '_';
  }
  return name.empty() || name.front() == '.' ? "run" + name : name;
}

}  // namespace gradus::results
