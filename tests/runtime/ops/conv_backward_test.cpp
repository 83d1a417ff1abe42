// A convolution's gradients on several threads: those of LibTorch in double precision, and of the batch's parts, added
// in their order.
#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <gtest/gtest.h>

#include "torch.h"

namespace gradus {
namespace {

using Grads = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
using Sizes = std::vector<int64_t>;

struct Threads {
  explicit Threads(int count) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(1); }
};

struct Case {
  Sizes input, weight, stride = {1, 1}, padding = {0, 0}, dilation = {1, 1}, more = {0, 0};
  bool transposed = false;
  int64_t groups = 1;

  int64_t outputs() const { return transposed ? weight[1] * groups : weight[0]; }
  at::Tensor forward(const at::Tensor& x, const at::Tensor& w) const {
    return at::convolution(x, w, {}, stride, padding, dilation, transposed, more, groups);
  }
  Grads backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& w, std::array<bool, 3> mask) const {
    return at::convolution_backward(grad, x, w, Sizes{outputs()}, stride, padding, dilation, transposed, more, groups,
                                    mask);
  }
  Grads library(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& w, std::array<bool, 3> mask) const {
    return at::compositeexplicitautograd::convolution_backward(grad, x, w, Sizes{outputs()}, stride, padding, dilation,
                                                               transposed, more, groups, mask);
  }
};

const Case kCases[] = {{{6, 1, 9, 9}, {4, 1, 3, 3}},
                       {{3, 1, 9, 9}, {4, 1, 3, 3}},
                       {{7, 8, 8, 10}, {12, 8, 3, 3}, {2, 1}, {1, 1}},
                       {{5, 6, 12, 12}, {8, 3, 3, 3}, {1, 1}, {2, 2}, {2, 2}, {0, 0}, false, 2},
                       {{9, 6, 7, 7}, {6, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, false, 6},
                       {{4, 6, 9, 9}, {6, 4, 3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, true},
                       {{32, 5, 3, 3}, {7, 5, 1, 1}}};

TEST(ConvolutionBackward, EqualsLibTorchsInDoublePrecision) {
  at::manual_seed(1);
  for (const Case& c : kCases) {
    for (const int threads : {1, 2, 3}) {
      SCOPED_TRACE(testing::Message() << at::IntArrayRef(c.input) << " " << threads);
      const Threads set(threads);
      const at::Tensor x = at::randn(c.input), w = at::randn(c.weight), grad = at::randn_like(c.forward(x, w));
      const auto [gx, gw, gb] = c.backward(grad, x, w, {true, true, true});
      const auto [wx, ww, wb] =
          c.library(grad.to(at::kDouble), x.to(at::kDouble), w.to(at::kDouble), {true, true, true});
      const auto close = [](const at::Tensor& a, const at::Tensor& b) {
        return at::allclose(a.to(at::kDouble), b, 1e-4, 1e-4);
      };
      EXPECT_TRUE(close(gx, wx) && close(gw, ww) && close(gb, wb));
      const auto [none, again, nothing] = c.backward(grad, x, w, {false, true, false});
      EXPECT_TRUE(!none.defined() && !nothing.defined() && again.equal(gw)) << "the same bits, alone";
      EXPECT_TRUE(std::get<0>(c.backward(grad, x, w, {true, false, false})).defined());
    }
  }
}

TEST(ConvolutionBackward, AddsTheBatchsPartsInTheirOrder) {
  at::manual_seed(2);
  for (const Case& c : kCases) {
    for (const int threads : {2, 3}) {
      SCOPED_TRACE(testing::Message() << at::IntArrayRef(c.input) << " " << threads);
      const at::Tensor x = at::randn(c.input), w = at::randn(c.weight).requires_grad_(),
                       grad = at::randn_like(c.forward(x, w));
      at::Tensor weight, bias;
      for (int i = 0; i < threads; ++i) {
        const int64_t from = x.size(0) * i / threads, to = x.size(0) * (i + 1) / threads;
        const auto [none, gw, gb] =
            c.library(grad.slice(0, from, to), x.slice(0, from, to), w.detach(), {false, true, true});
        weight = i == 0 ? gw : weight + gw;
        bias = i == 0 ? gb : bias + gb;
      }
      const Threads set(threads);
      const auto [none, gw, gb] = c.backward(grad, x, w.detach(), {false, true, true});
      EXPECT_TRUE(gw.equal(weight) && gb.equal(bias));
      const at::Tensor by_autograd = torch::autograd::grad({c.forward(x, w)}, {w}, {grad})[0];
      EXPECT_TRUE(by_autograd.equal(weight));
      EXPECT_EQ(at::get_num_threads(), threads);
    }
  }
}

// Few rows, weights that outweigh them, other types, no batch: LibTorch's own.
TEST(ConvolutionBackward, LeavesOthersToTheLibrary) {
  at::manual_seed(3);
  const Threads set(3);
  const Case cases[] = {
      {{2, 4, 9, 9}, {4, 4, 3, 3}}, {{3, 64, 4, 4}, {64, 64, 3, 3}, {1, 1}, {1, 1}}, {{4, 9, 9}, {4, 4, 3, 3}}};
  for (const Case& c : cases) {
    const at::Tensor x = at::randn(c.input), w = at::randn(c.weight);
    if (x.dim() == 3) {  // an operator above it gives it a batch of one
      EXPECT_EQ(at::conv2d(x, w).dim(), 3);
      continue;
    }
    const at::Tensor grad = at::randn_like(c.forward(x, w));
    EXPECT_TRUE(std::get<1>(c.backward(grad, x, w, {false, true, false}))
                    .equal(std::get<1>(c.library(grad, x, w, {false, true, false}))));
  }
  const Case empty{{0, 2, 5, 5}, {3, 2, 3, 3}};
  const auto [gx, gw, gb] =
      empty.backward(at::randn({0, 3, 3, 3}), at::randn(empty.input), at::randn(empty.weight), {true, true, true});
  EXPECT_TRUE(gx.sizes().equals(empty.input) && gw.count_nonzero().item<int64_t>() == 0 &&
              gb.count_nonzero().item<int64_t>() == 0);
}

}  // namespace
}  // namespace gradus
