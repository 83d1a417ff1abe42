#include "flops.h"

#include <ATen/record_function.h>

#include <atomic>

#include "torch.h"

namespace gradus {
namespace {

std::atomic<double> counted = 0;  // an accelerator's backward pass runs on a thread of LibTorch's

double product(at::IntArrayRef sizes) { return static_cast<double>(c10::multiply_integers(sizes)); }

at::IntArrayRef sizes_of(const c10::IValue& value) { return value.toTensor().sizes(); }

// 2 · m · k · n of [.., m, k] × [.., k, n]
double matrix_product(const c10::IValue& a, const c10::IValue& b) { return 2 * product(sizes_of(a)) * sizes_of(b).back(); }

// A convolution does 2 · (inputs per output) multiply-adds for each output value; its two backward products cost the
// same each, where they are asked for.
double convolution(const c10::IValue& output, const c10::IValue& weight) {
  const auto kernel = sizes_of(weight);
  return 2 * product(sizes_of(output)) * product(kernel.slice(1));
}

bool wants(const c10::IValue& mask, std::size_t i) { return mask.toBoolList().get(i); }

double flops_of(const std::string& name, c10::ArrayRef<const c10::IValue> in) {
  if (name == "aten::mm" || name == "aten::bmm") return matrix_product(in[0], in[1]);
  if (name == "aten::addmm" || name == "aten::baddbmm") return matrix_product(in[1], in[2]);
  if (name == "aten::convolution_backward") {
    const double one = convolution(in[0], in[2]);  // grad_output has the output's shape
    return one * (wants(in[10], 0) + wants(in[10], 1));
  }
  return 0;
}

std::unique_ptr<at::ObserverContext> on_enter(const at::RecordFunction& function) {
  counted += flops_of(function.name(), function.inputs());
  return nullptr;
}

void on_exit(const at::RecordFunction& function, at::ObserverContext*) {
  if (std::string_view(function.name()) == "aten::convolution")
    counted += convolution(function.outputs()[0], function.inputs()[1]);
}

}  // namespace

FlopCounter::FlopCounter() {
  counted = 0;
  handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(&on_enter, &on_exit)
                                           .needsInputs(true)
                                           .needsOutputs(true)
                                           .scopes({at::RecordScope::FUNCTION}));
}

double FlopCounter::stop() {
  if (running_) {
    at::removeCallback(handle_);
    count_ = counted;
    running_ = false;
  }
  return count_;
}

}  // namespace gradus
