#include "ops/linear.h"

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/gemm.h"
#include "widths.h"

namespace gradus {
namespace {

struct Shape {
  int64_t m, n, k;
};

const Shape kShapes[] = {{1, 1, 1},    {1, 100, 100}, {3, 17, 5},    {32, 2, 100}, {7, 33, 9},
                         {40, 16, 64}, {33, 10, 7},   {64, 64, 130}, {64, 12, 64}, {5, 3, 40}};

at::Tensor exact(const at::Tensor& t) { return t.to(at::kDouble); }

void check_kernels(const vectors::GemmKernels& kernels, const char* name) {
  SCOPED_TRACE(name);
  at::manual_seed(1);
  for (const auto& [m, n, k] : kShapes) {
    SCOPED_TRACE(c10::str(m, " x ", n, " x ", k));
    const at::Tensor x = at::randn({m, k}), w = at::randn({n, k}), bias = at::randn({n}), grad = at::randn({m, n});
    at::Tensor y = at::full({m, n}, NAN), dx = at::full({m, k}, NAN), dw = at::full({n, k}, NAN);
    kernels.layer(m, n, k, x.const_data_ptr<float>(), w.const_data_ptr<float>(), bias.const_data_ptr<float>(), true,
                  y.mutable_data_ptr<float>());
    at::Tensor plain = at::full({m + 1, n}, 77.f);  // the last row is not the kernel's
    kernels.layer(m, n, k, x.const_data_ptr<float>(), w.const_data_ptr<float>(), nullptr, false,
                  plain.mutable_data_ptr<float>());
    EXPECT_TRUE(at::allclose(exact(plain.slice(0, 0, m)), exact(x).mm(exact(w).t()), 1e-5, 1e-4));
    EXPECT_TRUE(plain.slice(0, m).eq(77.f).all().item<bool>());
    kernels.product(m, k, n, grad.const_data_ptr<float>(), n, 1, w.const_data_ptr<float>(), k,
                    dx.mutable_data_ptr<float>(), k);
    kernels.product(n, k, m, grad.const_data_ptr<float>(), 1, n, x.const_data_ptr<float>(), k,
                    dw.mutable_data_ptr<float>(), k);
    EXPECT_TRUE(at::allclose(exact(y), (exact(x).mm(exact(w).t()) + exact(bias)).relu(), 1e-5, 1e-4));
    EXPECT_TRUE(at::allclose(exact(dx), exact(grad).mm(exact(w)), 1e-5, 1e-4));
    EXPECT_TRUE(at::allclose(exact(dw), exact(grad).t().mm(exact(x)), 1e-5, 1e-4));
  }
}

TEST(Linear, KernelsOfEveryWidthAgreeWithExactProducts) {
  for (const vectors::Width& width : vectors::widths()) check_kernels(width.gemm, width.name);
}

struct Gradients {
  at::Tensor y, dx, dw, db;
};

template <typename F>
Gradients gradients(F&& forward, const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& b,
                    const at::Tensor& up) {
  const at::Tensor lx = x.detach().requires_grad_(), lw = w.detach().requires_grad_();
  const auto lb = b ? std::optional(b->detach().requires_grad_()) : std::nullopt;
  Gradients result;
  result.y = forward(lx, lw, lb);
  result.y.backward(up);
  result.dx = lx.grad();
  result.dw = lw.grad();
  if (lb) result.db = lb->grad();
  return result;
}

void expect_close(const at::Tensor& a, const at::Tensor& b) {
  ASSERT_EQ(a.defined(), b.defined());
  if (a.defined()) {
    EXPECT_EQ(a.sizes(), b.sizes());
    EXPECT_TRUE(at::allclose(a, b, 1e-5, 1e-5, /*equal_nan=*/true));
  }
}

TEST(Linear, AgreesWithLibTorch) {
  at::manual_seed(2);
  for (const bool relu : {false, true})
    for (const bool with_bias : {false, true})
      for (const auto& sizes : std::vector<std::vector<int64_t>>{{12}, {1, 12}, {9, 12}, {4, 5, 12}}) {
        const at::Tensor x = at::randn(sizes), w = at::randn({7, 12});
        const auto b = with_bias ? std::optional(at::randn({7})) : std::nullopt;
        auto out = sizes;
        out.back() = 7;
        const at::Tensor up = at::randn(out);
        ASSERT_TRUE(takes_own_linear(x, w, b));
        const auto own = gradients([&](auto& x, auto& w, auto& b) { return linear(x, w, b, relu); }, x, w, b, up);
        const auto theirs = gradients(
            [&](auto& x, auto& w, auto& b) {
              const at::Tensor y = at::linear(x, w, b);
              return relu ? at::relu(y) : y;
            },
            x, w, b, up);
        expect_close(own.y, theirs.y);
        expect_close(own.dx, theirs.dx);
        expect_close(own.dw, theirs.dw);
        expect_close(own.db, theirs.db);
      }
}

TEST(Linear, LayersOfOneOrNoNumberAgreeWithLibTorch) {
  at::manual_seed(7);
  for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{{1, 7}, {12, 1}, {1, 1}, {12, 0}}) {
    SCOPED_TRACE(c10::str(in, " ", out));
    const at::Tensor x = at::randn({5, in}), w = at::randn({out, in}), b = at::randn({out}), up = at::randn({5, out});
    const auto own = gradients([](auto& x, auto& w, auto& b) { return linear(x, w, b, true); }, x, w, b, up);
    const auto theirs = gradients([](auto& x, auto& w, auto& b) { return at::relu(at::linear(x, w, b)); }, x, w, b, up);
    expect_close(own.y, theirs.y);
    expect_close(own.dx, theirs.dx);
    expect_close(own.dw, theirs.dw);
    expect_close(own.db, theirs.db);
  }
}

// Products that are large enough for the kernels that work block by block.
TEST(Linear, LargeLayersAgreeWithLibTorch) {
  at::manual_seed(6);
  const gemm::Rule before = gemm::current();
  const at::Tensor x = at::randn({2, 100, 200}), w = at::randn({180, 200}), bias = at::randn({180}),
                   up = at::randn({2, 100, 180});
  const auto expect_near = [](const at::Tensor& a, const at::Tensor& b) {
    ASSERT_EQ(a.defined(), b.defined());
    if (a.defined()) {
      EXPECT_LT((a - b).abs().max().item<double>(), 1e-5 * b.abs().max().item<double>());
    }
  };
  for (const bool relu : {false, true})
    for (int wanted = 1; wanted < 8; ++wanted) {
      const auto run = [&](bool own) {
        gemm::install(own ? gemm::Rule{true, false, false} : gemm::Rule{});
        const at::Tensor lx = x.clone().requires_grad_(wanted & 1), lw = w.clone().requires_grad_(wanted & 2),
                         lb = bias.clone().requires_grad_(wanted & 4);
        EXPECT_EQ(takes_own_linear(lx, lw, lb), own);
        const at::Tensor y = linear(lx, lw, lb, relu);
        y.backward(up);
        return Gradients{y.detach(), lx.grad(), lw.grad(), lb.grad()};
      };
      const Gradients own = run(true), theirs = run(false);
      expect_near(own.y, theirs.y);
      expect_near(own.dx, theirs.dx);
      expect_near(own.dw, theirs.dw);
      expect_near(own.db, theirs.db);
    }
  gemm::install(before);
}

TEST(Linear, TakesTransposedInputsAndGradients) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({12, 9}).t(), w = at::randn({7, 12}), up = at::randn({7, 9}).t();
  const auto own = gradients([](auto& x, auto& w, auto& b) { return linear(x, w, b, true); }, x, w, std::nullopt, up);
  const auto theirs =
      gradients([](auto& x, auto& w, auto& b) { return at::relu(at::linear(x, w, b)); }, x, w, std::nullopt, up);
  expect_close(own.y, theirs.y);
  expect_close(own.dx, theirs.dx);
  expect_close(own.dw, theirs.dw);
}

TEST(Linear, HasASecondDerivative) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({5, 6}).requires_grad_(), w = at::randn({3, 6}).requires_grad_();
  const auto second = [&](auto&& forward) {
    const auto first = torch::autograd::grad({forward().pow(2).sum()}, {x}, {}, true, true);
    return torch::autograd::grad({first[0].pow(2).sum()}, {w})[0];
  };
  expect_close(second([&] { return linear(x, w, std::nullopt, true); }),
               second([&] { return at::relu(at::linear(x, w)); }));
}

// Whoever of the three is learned, alone or not; from LibTorch's operators where a second derivative is wanted.
TEST(Linear, HasTheGradientOfWhoeverWantsOne) {
  at::manual_seed(5);
  for (const bool with_bias : {false, true})
    for (const bool twice : {false, true})
      for (int wanted = 0; wanted < 8; ++wanted) {
        const auto learned = [&](int i, at::IntArrayRef shape) {
          return at::randn(shape).requires_grad_(wanted >> i & 1);
        };
        std::vector<at::Tensor> all = {learned(0, {2, 5, 6}), learned(1, {3, 6})}, asked;
        std::optional<at::Tensor> bias;
        if (with_bias) all.push_back(*(bias = learned(2, {3})));
        for (const at::Tensor& one : all)
          if (one.requires_grad()) asked.push_back(one);
        const at::Tensor y = linear(all[0], all[1], bias, true);
        ASSERT_EQ(y.requires_grad(), !asked.empty()) << wanted;
        if (asked.empty()) continue;
        const auto of = [&](const at::Tensor& out) {
          return torch::autograd::grad({out.pow(2).sum()}, asked, {}, true, twice);
        };
        const auto got = of(y), right = of(at::relu(at::linear(all[0], all[1], bias)));
        for (std::size_t i = 0; i < asked.size(); ++i) expect_close(got[i], right[i]);
      }
}

TEST(Linear, NotANumberSpreads) {
  const at::Tensor w = at::ones({2, 20});
  at::Tensor x = at::ones({3, 20});
  x[1][3] = std::numeric_limits<float>::quiet_NaN();
  x[2][19] = std::numeric_limits<float>::infinity();
  const at::Tensor y = linear(x, w, std::nullopt, true);
  EXPECT_TRUE(y[0].eq(20).all().item<bool>());
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
  EXPECT_TRUE(y[2].isinf().all().item<bool>());
}

TEST(Linear, LeavesToLibTorchWhatIsNotSmallFloat32) {
  const auto none = std::optional<at::Tensor>();
  EXPECT_FALSE(takes_own_linear(at::ones({2, 3}, at::kDouble), at::ones({4, 3}, at::kDouble), none));
  EXPECT_FALSE(takes_own_linear(at::ones({4096, 256}), at::ones({256, 256}), none));
  EXPECT_FALSE(takes_own_linear(at::ones({2, 3}), at::ones({3, 4}).t(), none));
  EXPECT_TRUE(at::allclose(linear(at::ones({2, 3}, at::kDouble), at::ones({4, 3}, at::kDouble), none, true),
                           at::full({2, 4}, 3, at::kDouble)));
  const at::Tensor x = at::ones({2, 3}), w = at::ones({4, 3});
  EXPECT_TRUE(takes_own_linear(x, w, at::ones({4})));
  EXPECT_TRUE(takes_own_linear(at::ones({3}), w, none));
  EXPECT_TRUE(takes_own_linear(at::ones({6'000'000 / 300, 3}), at::ones({100, 3}), none));
  EXPECT_FALSE(takes_own_linear(at::ones({6'000'000 / 300 + 1, 3}), at::ones({100, 3}), none));
  for (const at::Tensor& bias :
       {at::ones({4}, at::kDouble), at::ones({8}).slice(0, 0, 8, 2), at::ones({3}), at::ones({4, 1}), at::ones({})})
    EXPECT_FALSE(takes_own_linear(x, w, bias)) << bias.sizes();
  for (const auto& [input, weight] :
       std::vector<std::pair<at::Tensor, at::Tensor>>{{at::ones({2, 4}), w},
                                                      {at::ones({0, 3}), w},
                                                      {at::ones({}), w},
                                                      {x, at::ones({3})},
                                                      {x, at::ones({1, 4, 3})},
                                                      {x, w.to(at::kDouble)},
                                                      {x.to_sparse(), w},
                                                      {at::ones({2, 0}), at::ones({4, 0})}})
    EXPECT_FALSE(takes_own_linear(input, weight, none)) << input.sizes() << weight.sizes();
  at::autocast::set_autocast_enabled(at::kCPU, true);
  EXPECT_FALSE(takes_own_linear(x, w, none));
  at::autocast::set_autocast_enabled(at::kCPU, false);
}

}  // namespace
}  // namespace gradus
