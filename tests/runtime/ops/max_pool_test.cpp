// gradus::max_pool2d against LibTorch's, values that are equal or not numbers among them.
#include <gtest/gtest.h>

#include "error.h"
#include "torch.h"

namespace gradus {
namespace {

at::Tensor own_max_pool2d(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride = {}) {
  using Sizes = at::IntArrayRef;
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("gradus::max_pool2d", "")
                             .typed<at::Tensor(const at::Tensor&, Sizes, Sizes, Sizes, Sizes, bool)>();
  const int64_t zero[] = {0, 0}, one[] = {1, 1};
  return op.call(x, kernel, stride, zero, one, false);
}

void check_same(const at::Tensor& values, at::IntArrayRef kernel, at::IntArrayRef stride = {}) {
  const at::Tensor x = values.clone().requires_grad_();
  const at::Tensor got = own_max_pool2d(x, kernel, stride), wanted = at::max_pool2d(x, kernel, stride);
  EXPECT_TRUE(at::allclose(got, wanted, 0, 0, /*equal_nan=*/true)) << values.sizes();
  const at::Tensor weight = at::randn(wanted.sizes(), wanted.options());
  const auto gradient = [&](const at::Tensor& y) { return torch::autograd::grad({y}, {x}, {weight})[0]; };
  EXPECT_TRUE(gradient(got).equal(gradient(wanted))) << values.sizes();
  EXPECT_TRUE(at::allclose(own_max_pool2d(values, kernel, stride), wanted, 0, 0, true));
}

TEST(MaxPool, EqualsLibTorchs) {
  at::manual_seed(1);
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {1, 1, 2, 2}, {2, 3, 6, 4}, {2, 3, 7, 5}, {3, 28, 28}, {4, 16, 28, 28}, {1, 2, 9, 66}, {5, 3, 2, 71}}) {
    check_same(at::randn(shape), {2, 2});
    check_same(at::randint(3, shape, at::kFloat), {2, 2});  // equals
    at::Tensor some = at::randn(shape);
    some.masked_fill_(at::rand(shape).lt(.2), std::numeric_limits<float>::quiet_NaN());
    check_same(some, {2, 2});
    check_same(at::full(shape, -std::numeric_limits<float>::infinity()), {2, 2});
  }
}

TEST(MaxPool, LeavesOthersToTheLibrary) {
  at::manual_seed(2);
  check_same(at::randn({2, 3, 7, 7}), {3, 3});
  check_same(at::randn({2, 3, 7, 7}), {2, 2}, {1, 1});
  check_same(at::randn({2, 3, 6, 6}, at::kDouble), {2, 2});
  check_same(at::randn({2, 6, 8, 3}).permute({0, 3, 1, 2}), {2, 2});
  EXPECT_ANY_THROW(own_max_pool2d(at::randn({3, 1, 1}), {2, 2}));
}

TEST(MaxPool, HasTheSameBitsOnAnyNumberOfThreads) {
  const at::Tensor x = at::randn({32, 16, 28, 28});
  const at::Tensor alone = own_max_pool2d(x, {2, 2});
  at::set_num_threads(3);
  const at::Tensor together = own_max_pool2d(x, {2, 2});
  at::set_num_threads(1);
  EXPECT_TRUE(alone.equal(together));
}

}  // namespace
}  // namespace gradus
