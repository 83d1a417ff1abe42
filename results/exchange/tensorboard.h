// TensorBoard's event files: records of Event messages (tensorboard/compat/proto/event.proto, summary.proto), written
// and read without protobuf.
//
//   record = uint64 length | uint32 masked crc32c of the length | bytes | uint32 masked crc32c of the bytes
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "export.h"

namespace gradus::results {

std::uint32_t crc32c(std::string_view bytes);         // Castagnoli, RFC 3720 B.4
std::uint32_t masked_crc32c(std::string_view bytes);  // as records store it

// One folder per run, NAME-UID8, in it one event file: its metrics as scalars (32-bit floats, as the format has them),
// its parameters as hyperparameters and as a text, its events as texts. Written again, it replaces itself.
Exported export_tensorboard(Store& store, const std::vector<std::int64_t>& runs, const std::string& folder);

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

// What an event file says that Gradus can keep. Values of another kind than scalars are counted, not given.
struct EventSink {
  std::function<void(const std::string& tag, std::int64_t step, double wall_time, double value)> scalar;
  std::function<void(const std::string& name, const Json& value)> hyperparameter;  // number, text or boolean
  // A session began (or began again, after a crash) at this step: what earlier ones wrote from there on is void.
  std::function<void(std::int64_t step)> restart;
  std::int64_t skipped = 0;
  double first_time = std::numeric_limits<double>::quiet_NaN();  // of any event, in Unix seconds
};
class EventReader {
 public:
  explicit EventReader(EventSink& sink) : sink_(sink) {}
  void event(std::string_view message);  // Error (data): no protobuf message. `sink` is borrowed

 private:
  void value(std::string_view message, double wall_time, std::int64_t step);
  EventSink& sink_;
  std::map<std::string, bool, std::less<>> scalars_;  // tag → its tensors are scalars: said with the first only
};

}  // namespace gradus::results
