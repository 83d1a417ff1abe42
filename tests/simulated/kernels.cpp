// Operators that the device has a kernel of its own for: making tensors, looking at them otherwise, copying between
// host and device; and which operators autocast computes in which precision.
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/view_native.h>

#include <set>

#include "simulated.h"

namespace simulated {
namespace {

constexpr auto kKey = c10::DispatchKey::PrivateUse1;

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, allocator(), c10::DispatchKeySet(kKey), c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, allocator(), c10::DispatchKeySet(kKey),
                                           c10::dtype_or_default(type));
}

at::Tensor cpu_side(const at::Tensor& t) { return is_ours(t) ? on_cpu(t) : t; }

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  stream::start();
  const bool out = is_ours(from) && !is_ours(to), in = !is_ours(from) && is_ours(to);
  if (non_blocking && (out || (in && is_pinned(from.storage().data())))) {
    stream::copy_later(to, from);
    return to;
  }
  if (out || in) stream::wait();  // into the device too: what is not pinned is staged, whatever the caller asked for
  cpu_side(to).copy_(cpu_side(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Scalar local_scalar_dense(const at::Tensor& self) {
  stream::start();
  stream::wait();
  return on_cpu(self).item();
}

bool compatible(const at::Tensor&, const at::Tensor&) { return true; }
void record_stream(at::Tensor&, c10::Stream) {}

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                       at::IntArrayRef output_padding, int64_t groups) {
  stream::start();
  const auto b = bias && bias->defined() ? std::optional(on_cpu(*bias)) : std::nullopt;
  return on_device(
      at::convolution(on_cpu(input), on_cpu(weight), b, stride, padding, dilation, transposed, output_padding, groups));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(const at::Tensor& gradient, const at::Tensor& input,
                                                                    const at::Tensor& weight, at::IntArrayRef stride,
                                                                    at::IntArrayRef padding, at::IntArrayRef dilation,
                                                                    bool transposed, at::IntArrayRef output_padding,
                                                                    int64_t groups, std::array<bool, 3> mask) {
  stream::start();
  const std::vector<int64_t> bias_sizes = {gradient.size(1)};
  auto [dx, dw, db] = at::convolution_backward(on_cpu(gradient), on_cpu(input), on_cpu(weight), bias_sizes, stride,
                                               padding, dilation, transposed, output_padding, groups, mask);
  const auto back = [](const at::Tensor& t) { return t.defined() ? on_device(t) : t; };
  return {back(dx), back(dw), back(db)};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("_local_scalar_dense", &local_scalar_dense);
  m.impl("view", &at::native::view);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
  m.impl("_has_compatible_shallow_copy_type", &compatible);
  m.impl("record_stream", &record_stream);
  m.impl("convolution_overrideable", &convolution);
  m.impl("convolution_backward_overrideable", &convolution_backward);
}

}  // namespace

bool has_own_kernel(const c10::OperatorName& name) {
  static const std::set<std::string> names = {"aten::empty.memory_format",
                                              "aten::empty_strided",
                                              "aten::_copy_from",
                                              "aten::_copy_from_and_resize",
                                              "aten::_local_scalar_dense",
                                              "aten::view",
                                              "aten::as_strided",
                                              "aten::_reshape_alias",
                                              "aten::_has_compatible_shallow_copy_type",
                                              "aten::record_stream",
                                              "aten::convolution_overrideable",
                                              "aten::convolution_backward_overrideable"};
  return names.count(name.overload_name.empty() ? name.name : name.name + "." + name.overload_name) > 0;
}

}  // namespace simulated

namespace at::native {
namespace {

// The CPU's kernels for attention, where the CPU would take them.
int64_t choose_attention(const Tensor& query, const Tensor& key, const Tensor& value, const std::optional<Tensor>& mask,
                         double dropout, bool is_causal, std::optional<double> scale, bool gqa) {
  using simulated::on_cpu;
  const auto m = mask && mask->defined() ? std::optional(on_cpu(*mask)) : std::nullopt;
  return at::_fused_sdp_choice(on_cpu(query), on_cpu(key), on_cpu(value), m, dropout, is_causal, scale, gqa);
}

}  // namespace
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &choose_attention)
}  // namespace at::native

// The lists of LibTorch, which name its operators without a namespace.
namespace at::autocast {
namespace {

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }

#define GRADUS_LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
#define GRADUS_FP32(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
#define GRADUS_FP32_DTYPE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
#define GRADUS_PROMOTE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
  AT_FORALL_LOWER_PRECISION_FP(GRADUS_LOWER)
  AT_FORALL_FP32(GRADUS_FP32)
  AT_FORALL_FP32_SET_OPT_DTYPE(GRADUS_FP32_DTYPE)
  AT_FORALL_PROMOTE(GRADUS_PROMOTE)
}

}  // namespace
}  // namespace at::autocast
