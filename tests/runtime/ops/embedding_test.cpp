// gradus::embedding against LibTorch's.
#include <gtest/gtest.h>

#include "torch.h"

namespace gradus {
namespace {

TEST(Embedding, EqualsLibTorchsAndItsGradient) {
  at::manual_seed(1);
  const auto op = c10::Dispatcher::singleton()
                      .findSchemaOrThrow("gradus::embedding", "")
                      .typed<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t)>();
  for (const auto type : {at::kFloat, at::kDouble})
    for (const auto index : {at::kLong, at::kInt})
      for (const int64_t padding : {-1, 3}) {
        const at::Tensor table = at::randn({11, 7}, type).requires_grad_();
        const at::Tensor indices = at::randint(11, {4, 9}, index), weight = at::randn({4, 9, 7}, type);
        const at::Tensor got = op.call(table, indices, padding), wanted = at::embedding(table, indices, padding);
        EXPECT_TRUE(got.equal(wanted));
        const auto gradient = [&](const at::Tensor& y) {
          return torch::autograd::grad({(y * weight).sum()}, {table})[0];
        };
        EXPECT_TRUE(at::allclose(gradient(got), gradient(wanted)));
        const at::Tensor again = (op.call(table, indices, padding) * weight).sum();
        const at::Tensor twice = torch::autograd::grad({again}, {table}, {}, true, /*create_graph=*/true)[0];
        EXPECT_TRUE(at::allclose(twice, gradient(at::embedding(table, indices, padding))));
        EXPECT_FALSE(op.call(table.detach(), indices, padding).requires_grad());
      }
}

}  // namespace
}  // namespace gradus
