#include "tensorboard.h"

#include <algorithm>
#include <bit>
#include <boost/crc.hpp>
#include <cmath>
#include <cstring>

#include "error.h"
#include "exported_run.h"
#include "output_file.h"
#include "protobuf.h"
#include "store/clock.h"
#include "utf8.h"

namespace gradus::results {

using namespace protobuf;

namespace {

using Crc32c = boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true>;

std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8U; }

// --- writing

class EventWriter {
 public:
  EventWriter(const std::string& path, double wall_time) : file_(path) {
    record(put(1, wall_time) + put(3, std::string("brain.Event:2")));
  }
  void scalar(const std::string& name, double wall_time, std::int64_t step, double value) {
    summary(wall_time, step, put(1, name) + put(2, static_cast<float>(value)));
  }
  // TensorBoard shows it as Markdown.
  void text(const std::string& name, double wall_time, std::int64_t step, const std::string& markdown) {
    // TensorProto: dtype string, a shape of no dimensions, one value.
    const std::string tensor = put(1, std::uint64_t{7}) + put(2, std::string()) + put(8, markdown);
    summary(wall_time, step, put(1, name) + put(8, tensor) + put(9, plugin("text", "")));
  }
  // HParamsPluginData (plugins/hparams/plugin_data.proto): the start and the end of a session.
  void hyperparameters(const ExportedRun& run, double started, double ended) {
    std::string start;
    for (const ExportedParam& param : run.params) {
      const auto* text = std::get_if<std::string>(&param.value);
      std::string value;  // google.protobuf.Value
      if (text != nullptr)
        value = put(3, *text);
      else if (param.type == "boolean")
        value = put(4, static_cast<std::uint64_t>(std::get<std::int64_t>(param.value)));
      else if (param.value.index() == 1)
        value = put(2, static_cast<double>(std::get<std::int64_t>(param.value)));
      else if (param.value.index() == 2)
        value = put(2, std::get<double>(param.value));
      else
        value = put(1, std::uint64_t{0});
      start += put(1, put(1, param.key) + put(2, value));  // an entry of the map
    }
    // Sessions of one group are repetitions: TensorBoard shows their mean.
    start += put(4, run.group()) + put(5, started);
    session("_hparams_/session_start_info", started, put(3, start));
    const std::string status = run.text("status");
    const std::uint64_t code = status == "finished" ? 1 : status == "running" ? 3 : 2;  // hparams Status
    session("_hparams_/session_end_info", ended, put(4, put(1, code) + put(2, ended)));
  }
  void finish() { file_.finish(); }

 private:
  void record(const std::string& event) {
    const std::string length = raw(static_cast<std::uint64_t>(event.size()));
    file_.write(length + raw(masked_crc32c(length)) + event + raw(masked_crc32c(event)));
  }
  void summary(double wall_time, std::int64_t step, const std::string& value) {
    record(put(1, wall_time) + put(2, static_cast<std::uint64_t>(step)) + put(5, put(1, value)));
  }
  static std::string plugin(const std::string& name, const std::string& content) {  // SummaryMetadata
    return put(1, put(1, name) + (content.empty() ? "" : put(2, content)));
  }
  void session(const std::string& name, double wall_time, const std::string& data) {
    // A null tensor, as TensorBoard's own writer gives: a float of no dimensions.
    const std::string tensor = put(1, std::uint64_t{1}) + put(2, std::string());
    summary(wall_time, 0, put(1, name) + put(8, tensor) + put(9, plugin("hparams", data)));
  }

  OutputFile file_;
};

// A text inside a table of Markdown.
std::string cell(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '|') c = ' ';
  }
  return text;
}

std::string params_text(const ExportedRun& run) {
  std::string text = "|parameter|value|\n|---|---|\n";
  for (const ExportedParam& param : run.params) text += "|" + cell(param.key) + "|" + cell(param.text()) + "|\n";
  return text;
}

std::int64_t write_run(Store& store, const ExportedRun& run, const std::string& folder) {
  const WallClock clock(store, run);
  const double started = unix_time(run.text("started")), ended = unix_time(run.text("ended"));
  const std::string inside = folder + "/" + file_name(run.text("name")) + "-" + run.text("uid").substr(0, 8);
  make_folder(inside);
  const auto seconds = static_cast<std::int64_t>(std::isfinite(started) ? started : 0);
  const std::string host = run.text("host");
  EventWriter out(inside + "/events.out.tfevents." + std::to_string(seconds) + "." +
                      file_name(host.empty() ? "gradus" : host) + "." + run.text("uid").substr(0, 8),
                  std::isfinite(started) ? started : 0);
  out.hyperparameters(run, clock.at(0), std::isfinite(ended) ? ended : clock.at(0));
  if (!run.params.empty()) out.text("parameters", clock.at(0), 0, params_text(run));
  for (const ExportedEvent& event : read_events(store, run.id)) {
    const auto* step = std::get_if<std::int64_t>(&event.step);
    const double time = unix_time(event.time);
    out.text("events/" + event.kind, std::isfinite(time) ? time : started, step != nullptr ? *step : 0,
             "**" + event.name + "** " + event.detail);
  }
  std::int64_t values = 0;
  for (const std::string& key : run.keys) {
    for_each_point(store, run.id, key, [&](std::int64_t step, double value) {
      out.scalar(key, clock.at(step), step, value);
      ++values;
    });
  }
  out.finish();
  return values;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  Crc32c crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}
std::uint32_t masked_crc32c(std::string_view bytes) { return masked(crc32c(bytes)); }

Exported export_tensorboard(Store& store, const std::vector<std::int64_t>& runs, const std::string& folder) {
  Exported done;
  for (const std::int64_t id : runs) {
    done.values += write_run(store, exported_run(store, id), folder);
    ++done.runs;
  }
  return done;
}

// --- reading

RecordReader::RecordReader(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rbe")) {
  if (file_ == nullptr)
    throw Error(errno == ENOENT ? Exit::missing : Exit::io, path + ": cannot read; got " + std::strerror(errno));
  std::fseek(file_, 0, SEEK_END);
  size_ = static_cast<std::uint64_t>(std::max(std::ftell(file_), 0L));
  std::rewind(file_);
}

RecordReader::~RecordReader() {
  if (file_ != nullptr) std::fclose(file_);
}

void RecordReader::damaged(const std::string& what) const {
  throw Error(Exit::data, path_ + ": damaged event file at byte " + std::to_string(at_) + "; " + what);
}

void RecordReader::read(char* bytes, std::size_t count, const char* what) {
  if (std::fread(bytes, 1, count, file_) != count)
    damaged(std::string("expected ") + what + "; got the end of the file");
}

bool RecordReader::next(std::string& record) {
  char head[12];
  if (at_ >= size_) return false;
  read(head, sizeof head, "a record's head");
  std::uint64_t length = 0;
  std::uint32_t crc = 0;
  std::memcpy(&length, head, 8);
  std::memcpy(&crc, head + 8, 4);
  if (crc != masked_crc32c({head, 8})) damaged("expected the checksum of the record's length; got another");
  // The length is checked against the file before any memory is taken for it.
  if (length > size_ - at_ || size_ - at_ - length < 16)
    damaged("expected a record of " + std::to_string(length) + " bytes; got a file of " + std::to_string(size_));
  Crc32c running;
  record.clear();
  char piece[1 << 16];
  for (std::uint64_t left = length; left > 0;) {
    const std::size_t count = std::min<std::uint64_t>(left, sizeof piece);
    read(piece, count, "a record's bytes");
    running.process_bytes(piece, count);
    if (length <= kLongestRecord) record.append(piece, count);
    left -= count;
  }
  read(head, 4, "a record's checksum");
  std::memcpy(&crc, head, 4);
  if (crc != masked(running.checksum())) damaged("expected the checksum of the record's bytes; got another");
  at_ += length + 16;
  return true;
}

namespace {

struct Tensor {
  int type = 0;
  bool scalar = true;  // no dimensions, or each of size 1
  std::string_view content{};
  double value = std::numeric_limits<double>::quiet_NaN();
  bool has = false;
};

// TensorProto's data types that are real numbers.
enum Type {
  kFloat = 1,
  kDouble,
  kInt32,
  kUint8,
  kInt16,
  kInt8,
  kInt64 = 9,
  kBool,
  kBfloat16 = 14,
  kUint16 = 17,
  kHalf = 19,
  kUint32 = 22,
  kUint64
};

double half(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = bits & 1023;
  const double size = exponent == 0    ? std::ldexp(fraction, -24)
                      : exponent == 31 ? (fraction == 0 ? HUGE_VAL : std::nan(""))
                                       : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

double bfloat16(std::uint32_t bits) { return std::bit_cast<float>((bits & 0xffff) << 16); }

void take(Tensor& tensor, double value) {
  if (!tensor.has) tensor.value = value;
  tensor.has = true;
}

// A varint of the tensor's type: half_val and its like hold bits.
double whole(const Tensor& tensor, std::uint64_t value) {
  if (tensor.type == kHalf) return half(static_cast<std::uint32_t>(value));
  if (tensor.type == kBfloat16) return bfloat16(static_cast<std::uint32_t>(value));
  if (tensor.type == kUint64) return static_cast<double>(value);
  return static_cast<double>(static_cast<std::int64_t>(value));
}

void packed(Tensor& tensor, const Field& f) {
  const bool alone = f.wire != 2;
  const std::string_view bytes = f.bytes;
  if (f.number == 5 && alone) return take(tensor, real32(f));
  if (f.number == 6 && alone) return take(tensor, real64(f));
  if (f.number == 5 && bytes.size() >= 4) {
    float value;
    std::memcpy(&value, bytes.data(), 4);
    return take(tensor, value);
  }
  if (f.number == 6 && bytes.size() >= 8) {
    double value;
    std::memcpy(&value, bytes.data(), 8);
    return take(tensor, value);
  }
  if (alone) return take(tensor, whole(tensor, f.bits));
  std::uint64_t value = 0;  // the first of packed varints
  for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
    if (i < 9 || static_cast<unsigned char>(bytes[i]) < 2)
      value |= std::uint64_t{static_cast<unsigned char>(bytes[i]) & 127U} << (7 * i);
    if (static_cast<unsigned char>(bytes[i]) < 128) break;
  }
  take(tensor, whole(tensor, value));
}

template <class T>
double first_of(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return static_cast<double>(value);
}

// The number that tensor_content begins with, and its size in bytes; size 0: a type that is no real number.
double first_of_type(const Tensor& tensor, std::size_t& size) {
  const auto as = [&]<class T>(T, auto convert) {
    size = sizeof(T);
    return tensor.content.size() < sizeof(T) ? 0.0 : convert(first_of<T>(tensor.content));
  };
  const auto plain = [](double value) { return value; };
  const auto bits = [](auto convert) {
    return [=](double value) { return convert(static_cast<std::uint32_t>(value)); };
  };
  switch (tensor.type) {
    case kFloat:
      return as(float(), plain);
    case kDouble:
      return as(double(), plain);
    case kInt32:
      return as(std::int32_t(), plain);
    case kUint8:
    case kBool:
      return as(std::uint8_t(), plain);
    case kInt16:
      return as(std::int16_t(), plain);
    case kInt8:
      return as(std::int8_t(), plain);
    case kInt64:
      return as(std::int64_t(), plain);
    case kUint16:
      return as(std::uint16_t(), plain);
    case kUint32:
      return as(std::uint32_t(), plain);
    case kUint64:
      return as(std::uint64_t(), plain);
    case kHalf:
      return as(std::uint16_t(), bits(half));
    case kBfloat16:
      return as(std::uint16_t(), bits(bfloat16));
    default:
      size = 0;
      return 0;
  }
}

Tensor tensor_of(std::string_view message) {
  Tensor tensor;
  each_field(message, [&](const Field& f) {
    if (f.number == 1) tensor.type = static_cast<int>(f.bits);
    if (f.number == 2) {
      each_field(f.bytes, [&](const Field& dim) {
        if (dim.number != 2) return;
        std::uint64_t size = 0;
        each_field(dim.bytes, [&](const Field& d) { size = d.number == 1 ? d.bits : size; });
        tensor.scalar = tensor.scalar && size == 1;
      });
    }
    if (f.number == 4) tensor.content = f.bytes;
    // float, double, int, int64, bool, half, uint32 and uint64: the type, which they need, is the first field.
    const bool values = f.number == 5 || f.number == 6 || f.number == 7 || f.number == 10 || f.number == 11 ||
                        f.number == 13 || f.number == 16 || f.number == 17;
    if (values) packed(tensor, f);
  });
  std::size_t size = 0;
  const double value = first_of_type(tensor, size);
  if (size > 0 && tensor.content.size() == size) take(tensor, value);
  tensor.scalar = tensor.scalar && size > 0;
  if (tensor.scalar) take(tensor, 0);  // protobuf leaves out zeros
  return tensor;
}

void hyperparameters(std::string_view data, const EventSink& sink) {
  each_field(data, [&](const Field& session) {
    if (session.number != 3) return;  // SessionStartInfo
    each_field(session.bytes, [&](const Field& entry) {
      if (entry.number != 1) return;
      std::string name;
      Json value;
      each_field(entry.bytes, [&](const Field& f) {
        if (f.number == 1) name = f.bytes;
        if (f.number != 2) return;
        each_field(f.bytes, [&](const Field& v) {
          if (v.number == 2) value = real64(v);
          if (v.number == 3) value = std::string(v.bytes);
          if (v.number == 4) value = v.bits != 0;
        });
      });
      sink.hyperparameter(name, value);
    });
  });
}

}  // namespace

void EventReader::value(std::string_view message, double wall_time, std::int64_t step) {
  std::string name, plugin, content;
  Tensor tensor;
  bool simple = false, has_tensor = false;
  double number = 0;
  each_field(message, [&](const Field& f) {
    if (f.number == 1) name = f.bytes;
    if (f.number == 2 && f.wire == 5) simple = true, number = real32(f);
    if (f.number == 8 && f.wire == 2) has_tensor = true, tensor = tensor_of(f.bytes);
    if (f.number == 9) {
      each_field(f.bytes, [&](const Field& metadata) {
        if (metadata.number != 1) return;
        each_field(metadata.bytes, [&](const Field& p) {
          if (p.number == 1) plugin = p.bytes;
          if (p.number == 2) content = p.bytes;
        });
      });
    }
  });
  if (plugin == "hparams") return hyperparameters(content, sink_);
  if (simple) return sink_.scalar(name, step, wall_time, number);
  if (!plugin.empty()) scalars_[name] = plugin == "scalars";
  const auto known = scalars_.find(name);
  if (has_tensor && tensor.scalar && known != scalars_.end() && known->second)
    return sink_.scalar(name, step, wall_time, tensor.value);
  ++sink_.skipped;
}

void EventReader::event(std::string_view message) {
  double wall_time = std::numeric_limits<double>::quiet_NaN();
  std::int64_t step = 0;
  std::string_view summary, session;
  each_field(message, [&](const Field& f) {
    if (f.number == 1 && f.wire == 1) wall_time = real64(f);
    if (f.number == 2 && f.wire == 0) step = static_cast<std::int64_t>(f.bits);
    if (f.number == 5 && f.wire == 2) summary = f.bytes;
    if (f.number == 7 && f.wire == 2) session = f.bytes;
  });
  if (std::isnan(sink_.first_time) && wall_time > 0) sink_.first_time = wall_time;
  each_field(session, [&](const Field& f) {  // SessionLog: 1 is START
    if (f.number == 1 && f.bits == 1 && sink_.restart) sink_.restart(step);
  });
  each_field(summary, [&](const Field& f) {
    if (f.number == 1 && f.wire == 2) value(f.bytes, wall_time, step);
  });
}

}  // namespace gradus::results
