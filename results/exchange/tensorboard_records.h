// The records that TensorBoard's event files, as all of TensorFlow's, consist of.
//
//   record = uint64 length | uint32 masked crc32c of the length | bytes | uint32 masked crc32c of the bytes
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace gradus::results {

std::uint32_t crc32c(std::string_view bytes);         // Castagnoli, RFC 3720 B.4
std::uint32_t masked_crc32c(std::string_view bytes);  // as records store it

std::string framed(const std::string& bytes);  // as a record

// The records of a file one after the other, in bounded memory. Error (data) names the first damaged byte.
class RecordReader {
 public:
  explicit RecordReader(const std::string& path);  // Errors: missing, io
  ~RecordReader();
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;
  // False at the end of the file. A record longer than kLongestRecord is checked and given as an empty one: what is
  // that long is an image or a graph.
  bool next(std::string& record);

  static constexpr std::uint64_t kLongestRecord = std::uint64_t{16} << 20;

 private:
  [[noreturn]] void damaged(const std::string& what) const;
  void read(char* bytes, std::size_t count, const char* what);

  std::string path_;
  std::FILE* file_ = nullptr;  // owned
  std::uint64_t at_ = 0, size_ = 0;
};

}  // namespace gradus::results
