// A TensorProto (tensorflow/core/framework/tensor.proto) as a scalar: the first number of whatever type and layout.
#pragma once

#include <limits>
#include <string_view>

namespace gradus::results {

struct TensorboardTensor {
  int type = 0;
  bool scalar = true;          // no dimensions, or each of size 1
  std::string_view content{};  // the values as bytes, where they are not a field each
  double value = std::numeric_limits<double>::quiet_NaN();
  bool has = false;  // a value was met
};

// `content` is of the message. Error (data): no protobuf message.
TensorboardTensor tensor_of(std::string_view message);

}  // namespace gradus::results
