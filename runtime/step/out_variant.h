// Operators that write their results where they are told to.
#pragma once

#include "torch.h"

namespace gradus {

struct OutVariant {
  c10::OperatorHandle handle;
  torch::jit::Stack extra;  // arguments that follow the operator's own
  std::size_t outputs;      // tensors to write to, the last arguments
};

// The variant with a CPU kernel of its own, which is the operator's own kernel on other memory: null where there is
// none. (Those that LibTorch generates call the operator and copy.)
const OutVariant* out_variant(const c10::OperatorHandle& op);

}  // namespace gradus
