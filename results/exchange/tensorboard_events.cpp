#include "tensorboard_events.h"

#include <cmath>

#include "protobuf.h"
#include "tensorboard_tensor.h"

namespace gradus::results {

using namespace protobuf;

namespace {

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
  TensorboardTensor tensor;
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
