// gradus::feature_mse against the composed formula and numeric gradients.
#include <gtest/gtest.h>

#include "error.h"
#include "torch.h"

namespace gradus {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

at::Tensor feature_mse(const at::Tensor& student, const at::Tensor& teacher, const OptionalTensor& projection) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("gradus::feature_mse", "")
      .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&)>()
      .call(student, teacher, projection);
}

at::Tensor composed(const at::Tensor& student, const at::Tensor& teacher, const OptionalTensor& projection) {
  return at::mse_loss(student, projection ? at::matmul(teacher, *projection) : teacher);
}

struct Case {
  std::vector<int64_t> rows;
  int64_t width, teacher_width;  // 0: no projection
};

TEST(FeatureMse, EqualsTheFormulaAndItsGradients) {
  at::manual_seed(1);
  for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16})
    for (const Case& c : std::vector<Case>{{{1}, 1, 0},
                                           {{7}, 5, 0},
                                           {{7}, 5, 9},
                                           {{3, 4}, 6, 2},
                                           {{60, 50}, 33, 0},
                                           {{300}, 130, 70},
                                           {{}, 3, 4},
                                           {{2, 3, 4}, 5, 6}}) {
      auto shape = c.rows, teacher_shape = c.rows;
      shape.push_back(c.width);
      teacher_shape.push_back(c.teacher_width ? c.teacher_width : c.width);
      std::vector<at::Tensor> inputs = {at::randn(shape, type).requires_grad_(),
                                        at::randn(teacher_shape, type).requires_grad_()};
      OptionalTensor projection;
      if (c.teacher_width) {
        projection = at::randn({c.teacher_width, c.width}, type).requires_grad_();
        inputs.push_back(*projection);
      }
      const at::Tensor loss = feature_mse(inputs[0], inputs[1], projection),
                       wanted = composed(inputs[0], inputs[1], projection);
      const double tolerance = type == at::kDouble ? 1e-12 : type == at::kFloat ? 1e-5 : 5e-2;
      EXPECT_TRUE(at::allclose(loss, wanted, tolerance, tolerance)) << shape;
      const at::Tensor scale = at::full({}, 1.5, type);
      const auto got = torch::autograd::grad({loss * scale}, inputs),
                 right = torch::autograd::grad({wanted * scale}, inputs);
      for (std::size_t i = 0; i < inputs.size(); ++i)
        EXPECT_TRUE(at::allclose(got[i], right[i], tolerance, tolerance)) << shape << " " << i;
      EXPECT_TRUE(feature_mse(inputs[0].detach(), inputs[1].detach(),
                              projection ? OptionalTensor(projection->detach()) : std::nullopt)
                      .equal(loss));
    }
}

TEST(FeatureMse, HasTheGradientOfDifferences) {
  at::manual_seed(2);
  at::Tensor student = at::randn({4, 3}, at::kDouble).requires_grad_();
  const at::Tensor teacher = at::randn({4, 5}, at::kDouble), projection = at::randn({5, 3}, at::kDouble);
  const at::Tensor got = torch::autograd::grad({feature_mse(student, teacher, projection)}, {student})[0];
  for (int64_t i = 0; i < student.numel(); ++i) {
    at::Tensor moved = student.detach().clone();
    const auto at_offset = [&](double offset) {
      moved.view({-1})[i].add_(offset);
      const double value = feature_mse(moved, teacher, projection).item<double>();
      moved.view({-1})[i].sub_(offset);
      return value;
    };
    EXPECT_NEAR(got.view({-1})[i].item<double>(), (at_offset(1e-6) - at_offset(-1e-6)) / 2e-6, 1e-8);
  }
}

TEST(FeatureMse, TakesWhatIsNotContiguousAndHasTheSameBitsOnAnyNumberOfThreads) {
  at::manual_seed(3);
  const at::Tensor student = at::randn({300, 200}).t(), teacher = at::randn({200, 40}),
                   projection = at::randn({300, 40}).t();
  const at::Tensor alone = feature_mse(student, teacher, projection);
  EXPECT_TRUE(at::allclose(alone, composed(student, teacher, projection)));
  at::set_num_threads(3);
  const at::Tensor together = feature_mse(student, at::matmul(teacher, projection), {});
  at::set_num_threads(1);
  EXPECT_TRUE(feature_mse(student, at::matmul(teacher, projection), {}).equal(together));
}

// Squares and sums in float64, rounded once: nearer than LibTorch's own.
TEST(FeatureMse, OfFloatsIsRoundedOnce) {
  at::manual_seed(5);
  for (const int64_t rows : {1, 31, 3000}) {
    const at::Tensor student = at::randn({rows, 33}), teacher = at::randn({rows, 33});
    EXPECT_TRUE(
        feature_mse(student, teacher, {}).equal((student - teacher).to(at::kDouble).square().mean().to(at::kFloat)));
  }
}

// Whoever of the three is learned, alone or not.
TEST(FeatureMse, HasTheGradientOfWhoeverWantsOne) {
  at::manual_seed(4);
  for (const bool projected : {false, true})
    for (int wanted = 0; wanted < 8; ++wanted) {
      const auto learned = [&](int i, at::IntArrayRef shape) {
        return at::randn(shape, at::kDouble).requires_grad_(wanted >> i & 1);
      };
      std::vector<at::Tensor> all = {learned(0, {4, 3}), learned(1, {4, projected ? 5 : 3})}, asked;
      OptionalTensor projection;
      if (projected) all.push_back(*(projection = learned(2, {5, 3})));
      for (const at::Tensor& one : all)
        if (one.requires_grad()) asked.push_back(one);
      const at::Tensor loss = feature_mse(all[0], all[1], projection);
      ASSERT_EQ(loss.requires_grad(), !asked.empty()) << wanted;
      if (asked.empty()) continue;
      const auto got = torch::autograd::grad({loss}, asked),
                 right = torch::autograd::grad({composed(all[0], all[1], projection)}, asked);
      for (std::size_t i = 0; i < asked.size(); ++i) EXPECT_TRUE(at::allclose(got[i], right[i])) << wanted << " " << i;
      EXPECT_THROW(torch::autograd::grad({feature_mse(all[0], all[1], projection)}, asked, {}, true, true), Error);
    }
}

TEST(FeatureMse, SaysWhatIsWrong) {
  const at::Tensor x = at::ones({3, 2});
  for (const at::Tensor& projection : {at::ones({5, 2}), at::ones({4, 3}), at::ones({2}), at::ones({1, 4, 2})})
    EXPECT_THROW(feature_mse(x, at::ones({3, 4}), projection), Error) << projection.sizes();
  EXPECT_THROW(feature_mse(x, at::ones({3, 4}), at::ones({4, 2}, at::kDouble)), Error);
  EXPECT_THROW(feature_mse(x, at::ones({}), at::ones({4, 2})), Error);
  EXPECT_THROW(feature_mse(at::ones({}), at::ones({}), {}), Error);
  EXPECT_THROW(feature_mse(x, at::ones({3, 2}, at::device(at::kMeta)), {}), Error);
  EXPECT_THROW(feature_mse(x, at::ones({3, 4}), at::ones({4, 2}, at::device(at::kMeta))), Error);
  EXPECT_THROW(feature_mse(x, at::ones({6}), {}), Error);
  EXPECT_THROW(feature_mse(x, at::ones({3, 4}), {}), Error);
  EXPECT_THROW(feature_mse(x, at::ones({3, 4}), at::ones({4, 3})), Error);
  EXPECT_THROW(feature_mse(x, at::ones({2, 4}), at::ones({4, 2})), Error);
  EXPECT_THROW(feature_mse(x, at::ones({3, 2}, at::kDouble), {}), Error);
  EXPECT_THROW(feature_mse(x.to(at::kLong), x.to(at::kLong), {}), Error);
  EXPECT_THROW(feature_mse(at::ones({0, 2}), at::ones({0, 2}), {}), Error);
}

}  // namespace
}  // namespace gradus
