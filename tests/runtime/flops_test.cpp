// Floating-point operations by the operators' shapes, each by its own formula.
#include "flops.h"

#include <gtest/gtest.h>

#include <functional>

#include "ops/linear.h"
#include "torch.h"

namespace gradus {
namespace {

double counted(const std::function<void()>& run) {
  FlopCounter counter;
  run();
  const double count = counter.stop();
  at::mm(at::ones({9, 9}), at::ones({9, 9}));
  EXPECT_EQ(counter.stop(), count) << "no more is counted";
  return count;
}

at::Tensor ones(at::IntArrayRef sizes) { return at::ones(sizes); }

TEST(Flops, OfEachOperator) {
  const at::Tensor a = ones({3, 4}), b = ones({4, 5}), bias = ones({5});
  const at::Tensor x = ones({2, 3, 8, 8}), w = ones({4, 3, 3, 3}), q = ones({2, 4, 6, 8}), k = ones({2, 4, 10, 8});
  const auto backward = [&](bool input, bool weight) {
    at::convolution_backward(ones({2, 4, 8, 8}), x, w, at::OptionalIntArrayRef(), {1, 1}, {1, 1}, {1, 1}, false, {0, 0},
                             1, {input, weight, false});
  };
  static const auto add_product = c10::Dispatcher::singleton()
                                      .findSchemaOrThrow("gradus::add_product_", "")
                                      .typed<at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&)>();
  const std::pair<double, std::function<void()>> cases[] = {
      {120, [&] { at::mm(a, b); }},
      {120, [&] { at::matmul(a, b); }},
      {24,
       [&] {
         at::matmul(a, ones({4, 1}));
       }},
      {120, [&] { at::addmm(bias, a, b); }},
      {240,
       [&] {
         at::bmm(ones({2, 3, 4}), ones({2, 4, 5}));
       }},
      {240,
       [&] {
         at::baddbmm(ones({2, 3, 5}), ones({2, 3, 4}), ones({2, 4, 5}));
       }},
      {120,
       [&] {
         at::Tensor sum = ones({3, 5});
         add_product.call(sum, a, b);
       }},
      {0, [&] { at::exp(a + a).sum(); }},
      {0,
       [&] {
         at::mm(ones({0, 4}), b);
       }},
      {2. * 27 * 2 * 4 * 64, [&] { at::conv2d(x, w, {}, 1, 1); }},
      {2. * 27 * 2 * 4 * 16, [&] { at::conv2d(x, w, {}, 2, 1); }},
      {2. * 9 * 2 * 6 * 64,
       [&] {
         at::conv2d(x, ones({6, 1, 3, 3}), {}, 1, 1, 1, 3);
       }},
      {2. * 27 * 2 * 4 * 64, [&] { backward(true, false); }},
      {2. * 27 * 2 * 4 * 64, [&] { backward(false, true); }},
      {4. * 27 * 2 * 4 * 64, [&] { backward(true, true); }},
      {0, [&] { backward(false, false); }},
      {2. * 2 * (2 * 4 * 6 * 8) * 10, [&] { at::_scaled_dot_product_flash_attention_for_cpu(q, k, k); }},
      {2. * 7 * (2 * 4 * 6 * 8) * 10,
       [&] {  // with its backward
         const at::Tensor asked = q.clone().requires_grad_();
         std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(asked, k, k)).sum().backward();
       }},
      {2. * 2 * (2 * 4 * 6 * 8) * 10, [&] { at::_scaled_dot_product_attention_math(q, k, k); }},
  };
  int i = 0;
  for (const auto& [wanted, run] : cases) EXPECT_EQ(counted(run), wanted) << "case " << i++;
}

TEST(Flops, OfOurLayer) {
  const int64_t n = 6, in = 20, out = 30;
  const double one = 2. * n * in * out;
  for (const bool with_bias : {false, true}) {
    for (const bool of_input : {false, true}) {
      const at::Tensor x = at::ones({2, n / 2, in}).requires_grad_(of_input), w = at::ones({out, in}).requires_grad_();
      const std::optional<at::Tensor> bias = with_bias ? std::optional(at::ones({out}).requires_grad_()) : std::nullopt;
      ASSERT_TRUE(takes_own_linear(x, w, bias));
      EXPECT_EQ(counted([&] { linear(x, w, bias, true); }), one);
      EXPECT_EQ(counted([&] { linear(x, w, bias, true).sum().backward(); }), one * (of_input ? 3 : 2));
    }
  }
}

TEST(Flops, CountersWithinEachOtherEndInAnyOrder) {
  const auto product = [](int64_t k) { at::mm(at::ones({2, k}), at::ones({k, 3})); };  // 12 k
  FlopCounter outer;
  product(1);
  FlopCounter inner;
  product(10);
  EXPECT_EQ(inner.stop(), 120);
  product(100);
  EXPECT_EQ(outer.stop(), 12 * 111);
  FlopCounter first;
  product(1);
  FlopCounter second;
  product(10);
  EXPECT_EQ(first.stop(), 12 * 11);
  product(100);
  EXPECT_EQ(second.stop(), 12 * 110);
  product(1000);
  EXPECT_EQ(second.stop(), 12 * 110);
  EXPECT_EQ(counted([&] { product(1); }), 12) << "nothing of before";
}

TEST(Flops, TheShareOfLargeOperators) {
  large_share();
  EXPECT_FALSE(large_share()) << "nothing was counted since";
  const auto run = [](int64_t k) { counted([&] { at::mm(at::ones({100, k}), at::ones({k, 100})); }); };
  run(499);
  EXPECT_EQ(large_share(), 0);
  run(500);  // 1e7
  EXPECT_EQ(large_share(), 1);
  run(500), run(250), run(250);
  EXPECT_EQ(large_share(), .5);
  EXPECT_FALSE(large_share());
  at::mm(at::ones({100, 500}), at::ones({500, 100}));
  EXPECT_FALSE(large_share()) << "nobody counted";
}

}  // namespace
}  // namespace gradus
