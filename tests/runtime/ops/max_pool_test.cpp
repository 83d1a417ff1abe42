// gradus::max_pool2d against LibTorch's, values that are equal or not numbers among them.
#include <gtest/gtest.h>

#include "error.h"
#include "step/recorded.h"
#include "torch.h"

namespace gradus {
namespace {

using Sizes = at::IntArrayRef;

at::Tensor own_max_pool2d(const at::Tensor& x, Sizes kernel, Sizes stride = {}, Sizes padding = {0, 0},
                          Sizes dilation = {1, 1}, bool ceil_mode = false) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("gradus::max_pool2d", "")
                             .typed<at::Tensor(const at::Tensor&, Sizes, Sizes, Sizes, Sizes, bool)>();
  return op.call(x, kernel, stride, padding, dilation, ceil_mode);
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
  for (Sizes small : std::vector<std::vector<int64_t>>{{3, 1, 1}, {3, 1, 5}, {3, 5, 1}})
    EXPECT_ANY_THROW(own_max_pool2d(at::randn(small), {2, 2})) << small;
  const at::Tensor x = at::randn({2, 3, 7, 7});
  EXPECT_TRUE(own_max_pool2d(x, {2, 2}, {}, {1, 1}).equal(at::max_pool2d(x, {2, 2}, {2, 2}, {1, 1})));
  EXPECT_TRUE(own_max_pool2d(x, {2, 2}, {}, {0, 0}, {2, 2}).equal(at::max_pool2d(x, {2, 2}, {2, 2}, {0, 0}, {2, 2})));
  EXPECT_TRUE(own_max_pool2d(x, {2, 2}, {}, {0, 0}, {1, 1}, true)
                  .equal(at::max_pool2d(x, {2, 2}, {2, 2}, {0, 0}, {1, 1}, true)));
  EXPECT_EQ(own_max_pool2d(at::randn({0, 3, 4, 4}), {2, 2}).sizes(), Sizes({0, 3, 2, 2}));
}

// Which of the two a step takes shows in its plan.
TEST(MaxPool, TakesItsOwnWhereItCan) {
  const auto takes = [](const at::Tensor& x, Sizes kernel) {
    const auto plan =
        record([&](const std::vector<at::Tensor>& in) { return std::vector{own_max_pool2d(in[0], kernel)}; }, {x});
    return plan->describe().find("gradus::max_pool2d_forward") != std::string::npos;
  };
  for (Sizes shape : std::vector<std::vector<int64_t>>{{1, 2, 2}, {2, 3, 2, 5}, {2, 3, 6, 4}})
    EXPECT_TRUE(takes(at::randn(shape), {2, 2})) << shape;
  EXPECT_FALSE(takes(at::randn({2, 3, 6, 4}), {3, 3}));
  EXPECT_FALSE(takes(at::randn({2, 3, 6, 4}, at::kDouble), {2, 2}));
}

TEST(MaxPool, RefusesSecondDerivatives) {
  const at::Tensor x = at::randn({1, 2, 4, 4}).requires_grad_();
  EXPECT_THROW(torch::autograd::grad({own_max_pool2d(x, {2, 2}).sum()}, {x}, {}, true, true), Error);
  EXPECT_FALSE(own_max_pool2d(x.detach(), {2, 2}).requires_grad());
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
