#include "flops.h"

#include <ATen/record_function.h>

#include <atomic>

#include "torch.h"

namespace gradus {
namespace {

// Atomic: an accelerator's backward pass runs on a thread of LibTorch's.
std::atomic<double> counted = 0;
std::atomic<double> all_work = 0, large_work = 0;  // since large_share

// Counters may run within each other: one callback counts for all of them, who know where they began.
thread_local int running = 0;
thread_local at::CallbackHandle callback = 0;

void count(double flops) {
  counted += flops;
  all_work += flops;
  if (flops >= kLargeOperator) large_work += flops;
}

double product(at::IntArrayRef sizes) { return static_cast<double>(c10::multiply_integers(sizes)); }

at::IntArrayRef sizes_of(const c10::IValue& value) { return value.toTensor().sizes(); }

// 2 · m · k · n of [.., m, k] × [.., k, n]
double matrix_product(const c10::IValue& a, const c10::IValue& b) {
  return 2 * product(sizes_of(a)) * sizes_of(b).back();
}

// A convolution does 2 · (inputs per output) multiply-adds for each output value; its two backward products cost the
// same each, where they are asked for.
double per_output(const c10::IValue& weight) { return 2 * product(sizes_of(weight).slice(1)); }

// The inputs are gone when the output is there.
struct Convolution : at::ObserverContext {
  explicit Convolution(double flops) : per_output(flops) {}
  double per_output;
};

// Fused attention: `products` of [queries, keys, width] in each head.
double attention(const c10::IValue& query, const c10::IValue& key, int products) {
  const auto keys = sizes_of(key);
  return 2 * products * product(sizes_of(query)) * keys[keys.size() - 2];
}

bool wants(const c10::IValue& mask, std::size_t i) { return mask.toBoolList().get(i); }

double flops_of(const std::string& name, c10::ArrayRef<const c10::IValue> in) {
  if (name == "aten::mm" || name == "aten::bmm") return matrix_product(in[0], in[1]);
  if (name == "aten::addmm" || name == "aten::baddbmm") return matrix_product(in[1], in[2]);
  if (name == "gradus::add_product_") return matrix_product(in[1], in[2]);
  if (name == "gradus::linear_forward") return 2 * product(sizes_of(in[0])) * sizes_of(in[1])[0];
  if (name == "gradus::linear_grad_input") return 2 * product(sizes_of(in[0])) * sizes_of(in[2])[1];
  if (name == "gradus::linear_grad_weight" || name == "gradus::linear_grad_weight_bias")
    return 2 * product(sizes_of(in[2])) * sizes_of(in[0]).back();
  if (name == "aten::convolution_backward") {
    const double one = product(sizes_of(in[0])) * per_output(in[2]);  // grad_output has the output's shape
    return one * (wants(in[10], 0) + wants(in[10], 1));
  }
  // Forward: scores and values; backward: the scores again, and four gradients. The math path is counted by its bmm.
  if (name.starts_with("aten::_scaled_dot_product_") && name.find("_math") == std::string::npos)
    return name.ends_with("_backward") ? attention(in[1], in[2], 5) : attention(in[0], in[1], 2);
  return 0;
}

std::unique_ptr<at::ObserverContext> on_enter(const at::RecordFunction& function) {
  if (std::string_view(function.name()) == "aten::convolution")
    return std::make_unique<Convolution>(per_output(function.inputs()[1]));
  count(flops_of(function.name(), function.inputs()));
  return nullptr;
}

void on_exit(const at::RecordFunction& function, at::ObserverContext* context) {
  if (context != nullptr)
    count(product(sizes_of(function.outputs()[0])) * static_cast<Convolution*>(context)->per_output);
}

}  // namespace

FlopCounter::FlopCounter() {
  if (running == 0) {
    counted = 0;
    callback = at::addThreadLocalCallback(at::RecordFunctionCallback(&on_enter, &on_exit)
                                              .needsInputs(true)
                                              .needsOutputs(true)
                                              .scopes({at::RecordScope::FUNCTION}));
  }
  ++running;
  count_ = counted;
}

std::optional<double> large_share() {
  const double all = all_work.exchange(0), large = large_work.exchange(0);
  return all > 0 ? std::optional(large / all) : std::nullopt;
}

double FlopCounter::stop() {
  if (running_) {
    count_ = counted - count_;
    running_ = false;
    if (--running == 0) at::removeCallback(callback);
  }
  return count_;
}

}  // namespace gradus
