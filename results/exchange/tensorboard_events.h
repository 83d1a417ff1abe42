// The messages of TensorBoard's event files (tensorboard/compat/proto/event.proto, summary.proto), read without
// protobuf.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "query/query.h"

namespace gradus::results {

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
