// Operators of our own that a plan may call on its prepared arguments: no dispatcher, no boxing, nothing copied. A
// direct kernel is the CPU kernel of an overload that writes into tensors it is given.
#pragma once

#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include "torch.h"

namespace gradus {

// Makes the call of a kernel on arguments that stay the same tensors.
using PrepareDirect = std::function<void()> (*)(const torch::jit::Stack& arguments);

// Null where the operator has none.
PrepareDirect direct_kernel(const c10::OperatorName& name);
void register_direct(const char* name, const char* overload, PrepareDirect prepare);

namespace direct {

// How an argument of a kernel is kept.
template <typename T>
struct Kept {
  using Type = T;
};
template <>
struct Kept<const at::Tensor&> {
  using Type = at::Tensor;
};
template <>
struct Kept<const std::optional<at::Tensor>&> {
  using Type = std::optional<at::Tensor>;
};
template <>
struct Kept<at::TensorList> {
  using Type = std::vector<at::Tensor>;
};

template <auto kernel, typename R, typename... A, std::size_t... I>
std::function<void()> bind(R (*)(A...), const torch::jit::Stack& arguments, std::index_sequence<I...>) {
  using Arguments = std::tuple<typename Kept<A>::Type...>;
  return [kept = Arguments{arguments[I].to<typename Kept<A>::Type>()...}] { std::apply(kernel, kept); };
}

template <typename R, typename... A>
constexpr auto places(R (*)(A...)) {
  return std::index_sequence_for<A...>();
}

// For a kernel with the operator's own signature.
template <auto kernel>
std::function<void()> prepare(const torch::jit::Stack& arguments) {
  return bind<kernel>(kernel, arguments, places(kernel));
}

}  // namespace direct
}  // namespace gradus
