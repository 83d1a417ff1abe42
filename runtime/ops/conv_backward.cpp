// The gradient of a convolution's weight on several threads: each takes its part of the batch, and the parts are added
// in their order. In LibTorch's (oneDNN's) the threads wait for each other within the kernel, and spin: beside a busy
// process each wait lasts as long as the scheduler lets the one spin that waits, and a step of a small network took 2.5
// times as long as alone, not 2.
#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <dlfcn.h>

#include "torch.h"

namespace gradus {
namespace {

using Tensors3 = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// Of the OpenMP that LibTorch has; null where it has another way to start threads.
using SetThreads = void (*)(int);
SetThreads openmp_set_threads() {
  static const auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  return set;
}

// oneDNN lays its work out for the threads that OpenMP would start, and within a thread of ours none are: it is told one,
// for this thread and until the parallel region ends, or its kernel would wait for the others for ever. LibTorch tells a
// new thread another number when it is first asked for it; so it is asked before.
void begin_part() {
  at::get_num_threads();
  openmp_set_threads()(1);
}

// Worth it where the parts of the batch are larger than the gradients that are added.
bool by_parts(const at::Tensor& input, const at::Tensor& weight, int64_t parts) {
  return parts > 1 && openmp_set_threads() != nullptr && !at::in_parallel_region() && input.dim() == 4 &&
         input.size(0) >= parts && input.scalar_type() == at::kFloat && weight.numel() * parts <= input.numel();
}

Tensors3 convolution_backward(const at::Tensor& grad, const at::Tensor& input, const at::Tensor& weight,
                              at::OptionalIntArrayRef bias_sizes, at::IntArrayRef stride, at::IntArrayRef padding,
                              at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding, int64_t groups,
                              std::array<bool, 3> wanted) {
  const auto of = [&](const at::Tensor& g, const at::Tensor& x, std::array<bool, 3> mask) {
    return at::compositeexplicitautograd::convolution_backward(g, x, weight, bias_sizes, stride, padding, dilation,
                                                               transposed, output_padding, groups, mask);
  };
  const int64_t parts = at::get_num_threads();
  if (!wanted[1] || !by_parts(input, weight, parts)) return of(grad, input, wanted);
  const int64_t rows = input.size(0);
  std::vector<Tensors3> found(parts);
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    begin_part();
    at::AutoDispatchBelowADInplaceOrView below;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t from = rows * i / parts, to = rows * (i + 1) / parts;
      found[i] = of(grad.slice(0, from, to), input.slice(0, from, to), {false, true, wanted[2]});
    }
  });
  Tensors3 sum = found[0];
  for (int64_t i = 1; i < parts; ++i) {
    std::get<1>(sum).add_(std::get<1>(found[i]));
    if (wanted[2]) std::get<2>(sum).add_(std::get<2>(found[i]));
  }
  if (wanted[0]) std::get<0>(sum) = std::get<0>(of(grad, input, {true, false, false}));
  return sum;
}

TORCH_LIBRARY_IMPL(aten, CPU, m) { m.impl("convolution_backward", &convolution_backward); }

}  // namespace
}  // namespace gradus
