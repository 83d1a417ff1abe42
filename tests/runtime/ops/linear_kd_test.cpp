#include "ops/linear_kd.h"

#include <gtest/gtest.h>

#include "error.h"
#include "ops/gemm.h"
#include "ops/kd_loss.h"
#include "step/memory.h"
#include "step/recorded.h"

namespace gradus {
namespace {

at::Tensor number(double value) { return at::scalar_tensor(value, at::kDouble); }

LinearKdArguments example(at::ScalarType type, int64_t rows, int64_t classes, bool bias = true) {
  at::manual_seed(5);
  const auto options = at::TensorOptions(type);
  LinearKdArguments a{at::randn({rows, 6}, options),
                      at::randn({classes, 6}, options),
                      std::nullopt,
                      at::randn({rows, 4}, options),
                      at::randn({classes, 4}, options),
                      std::nullopt,
                      at::randint(classes, {rows}, at::kLong),
                      number(3),
                      number(0.4)};
  if (bias) a.bias = at::randn({classes}, options);
  if (bias) a.teacher_bias = at::randn({classes}, options);
  return a;
}

// Through the dispatcher and autograd: the six results, then the gradients of x, weight and bias.
std::vector<at::Tensor> differentiate(LinearKdArguments a) {
  a.x = a.x.detach().clone().requires_grad_();
  a.weight = a.weight.detach().clone().requires_grad_();
  if (a.bias) a.bias = a.bias->detach().clone().requires_grad_();
  torch::jit::Stack stack{a.x,      a.weight,      a.bias,  a.teacher_x,           a.teacher_weight,  a.teacher_bias,
                          a.target, a.temperature, a.alpha, a.teacher_temperature, a.label_smoothing, a.ignore_index,
                          a.t2,     a.reverse};
  c10::Dispatcher::singleton().findSchemaOrThrow("gradus::linear_kd_loss", "").callBoxed(stack);
  std::vector<at::Tensor> result;
  for (const auto& value : stack) result.push_back(value.toTensor());
  result[0].backward();
  result.insert(result.end(), {a.x.grad(), a.weight.grad()});
  if (a.bias) result.push_back(a.bias->grad());
  return result;
}

// The same from whole logits.
std::vector<at::Tensor> composed(const LinearKdArguments& a) {
  const at::Tensor x = a.x.detach().clone().requires_grad_(), weight = a.weight.detach().clone().requires_grad_();
  const at::Tensor bias = a.bias ? a.bias->detach().clone().requires_grad_() : at::Tensor();
  KdArguments k{at::linear(x, weight, a.bias ? std::optional(bias) : std::nullopt),
                std::nullopt,
                a.target,
                a.temperature,
                a.alpha,
                a.teacher_temperature};
  if (a.teacher_x) k.teacher = at::linear(*a.teacher_x, *a.teacher_weight, a.teacher_bias);
  k.label_smoothing = a.label_smoothing;
  k.ignore_index = a.ignore_index;
  k.t2 = a.t2;
  k.reverse = a.reverse;
  auto [loss, ce, kl, confidence, entropy, per_sample] = kd_loss(k);
  loss.backward();
  std::vector<at::Tensor> result{loss, ce, kl, confidence, entropy, per_sample, x.grad(), weight.grad()};
  if (a.bias) result.push_back(bias.grad());
  return result;
}

void expect_equal_to_composed(const LinearKdArguments& a, double tolerance, const std::string& what) {
  const auto got = differentiate(a), wanted = composed(a);
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].sizes(), wanted[i].sizes()) << what << ", result " << i;
    EXPECT_TRUE(at::allclose(got[i], wanted[i], tolerance, tolerance)) << what << ", result " << i;
  }
}

TEST(LinearKd, ChunksAreOfNearlyEqualSizeAndBounded) {
  EXPECT_EQ(linear_kd_chunk(512, 30522, 4), 128);
  EXPECT_EQ(linear_kd_chunk(10, 7, 4), 10);
  EXPECT_EQ(linear_kd_chunk(100, 10'000'000, 4), 25);
  EXPECT_EQ(linear_kd_chunk(33, 10'000'000, 4), 17);
}

TEST(LinearKd, EqualsTheLossOfWholeLogits) {
  for (const bool bias : {true, false}) {
    // 70,000 classes in double: 32 rows a chunk, so that 41 rows are two chunks, of 21 and 20
    expect_equal_to_composed(example(at::kDouble, 41, 70'000, bias), 1e-9, "two chunks");
    expect_equal_to_composed(example(at::kFloat, 9, 33, bias), 2e-5, "float");
  }
  LinearKdArguments a = example(at::kDouble, 40, 70'000);
  a.reverse = true;
  a.t2 = false;
  a.teacher_temperature = number(2);
  expect_equal_to_composed(a, 1e-9, "reverse");
  a = example(at::kDouble, 40, 70'000);
  a.temperature = at::rand({40}, at::kDouble) + 1;
  a.alpha = at::rand({40}, at::kDouble);
  expect_equal_to_composed(a, 1e-9, "a temperature a row");
  a.target = std::nullopt;
  expect_equal_to_composed(a, 1e-9, "no target");
  a = example(at::kDouble, 40, 70'000);
  a.teacher_x.reset();
  a.teacher_weight.reset();
  a.teacher_bias.reset();
  a.label_smoothing = 0.1;
  expect_equal_to_composed(a, 1e-9, "no teacher");
}

TEST(LinearKd, IgnoredRowsCountInNoChunk) {
  LinearKdArguments a = example(at::kDouble, 40, 70'000);
  a.target->narrow(0, 3, 20).fill_(-100);  // unequal shares of the two chunks
  expect_equal_to_composed(a, 1e-9, "some ignored");
  a.target->fill_(-100);
  expect_equal_to_composed(a, 1e-9, "all ignored");
  (*a.target)[35] = 7;
  expect_equal_to_composed(a, 1e-9, "all but one");
}

TEST(LinearKd, SequencesKeepTheirShape) {
  LinearKdArguments a = example(at::kDouble, 12, 9);
  const auto flat = differentiate(a);
  a.x = a.x.view({3, 4, 6});
  a.teacher_x = a.teacher_x->view({3, 4, 4});
  a.target = a.target->view({3, 4});
  const auto got = differentiate(a);
  EXPECT_TRUE(got[0].equal(flat[0]));
  EXPECT_TRUE(got[3].equal(flat[3].view({3, 4})));
  EXPECT_TRUE(got[6].equal(flat[6].view({3, 4, 6})));
}

TEST(LinearKd, HasTheNumericGradient) {
  LinearKdArguments a = example(at::kDouble, 5, 7);
  const auto gradients = differentiate(a);
  const double h = 1e-6;
  const auto loss = [&] { return linear_kd_loss_forward(a, false)[0].item<double>(); };
  const std::pair<at::Tensor, at::Tensor> pairs[] = {
      {a.x, gradients[6]}, {a.weight, gradients[7]}, {*a.bias, gradients[8]}};
  for (const auto& [parameter, gradient] : pairs)
    for (int64_t i = 0; i < parameter.numel(); ++i) {
      double& value = parameter.mutable_data_ptr<double>()[i];
      const double kept = value;
      value = kept + h;
      const double above = loss();
      value = kept - h;
      const double below = loss();
      value = kept;
      ASSERT_NEAR(gradient.const_data_ptr<double>()[i], (above - below) / (2 * h), 1e-7);
    }
}

TEST(LinearKd, ATeacherTemperatureMayBeARowsOwn) {
  LinearKdArguments a = example(at::kDouble, 5, 7);
  a.teacher_temperature = at::rand({5}, at::kDouble) + 1;
  expect_equal_to_composed(a, 1e-9, "a teacher's temperature a row");
}

TEST(LinearKd, IsDifferentiableWhereSomethingIsLearnedAndOnlyOnce) {
  for (int wanted = 0; wanted < 8; ++wanted) {
    LinearKdArguments a = example(at::kDouble, 5, 7);
    a.x.requires_grad_(wanted & 1), a.weight.requires_grad_(wanted & 2), a.bias->requires_grad_(wanted & 4);
    torch::jit::Stack stack{a.x,      a.weight,      a.bias,  a.teacher_x,           a.teacher_weight,  a.teacher_bias,
                            a.target, a.temperature, a.alpha, a.teacher_temperature, a.label_smoothing, a.ignore_index,
                            a.t2,     a.reverse};
    c10::Dispatcher::singleton().findSchemaOrThrow("gradus::linear_kd_loss", "").callBoxed(stack);
    const at::Tensor loss = stack[0].toTensor();
    EXPECT_EQ(loss.requires_grad(), wanted != 0);
    for (std::size_t i = 1; i < stack.size(); ++i)
      EXPECT_FALSE(stack[i].toTensor().requires_grad()) << "told, not learned";
    EXPECT_TRUE(loss.equal(linear_kd_loss_forward(example(at::kDouble, 5, 7), false)[0]));
    if (wanted == 1) {
      EXPECT_THROW(torch::autograd::grad({loss}, {a.x}, {}, true, true), Error);
    }
  }
}

TEST(LinearKd, IsReplayed) {
  LinearKdArguments a = example(at::kFloat, 5, 7);
  const auto step = [&](const std::vector<at::Tensor>& in) {
    a.x = in[0];
    torch::jit::Stack stack{a.x,      a.weight,      a.bias,  a.teacher_x,           a.teacher_weight,  a.teacher_bias,
                            a.target, a.temperature, a.alpha, a.teacher_temperature, a.label_smoothing, a.ignore_index,
                            a.t2,     a.reverse,     true};
    c10::Dispatcher::singleton().findSchemaOrThrow("gradus::linear_kd_loss_forward", "").callBoxed(stack);
    std::vector<at::Tensor> results;
    for (const auto& value : stack) results.push_back(value.toTensor());
    return results;
  };
  const auto plan = record(step, {a.x});
  const std::vector<at::Tensor> other = {at::randn({5, 6})}, wanted = step(other);
  std::vector<at::Tensor> outputs;
  plan->run(other, outputs);
  ASSERT_EQ(outputs.size(), 9u);
  for (std::size_t i = 0; i < outputs.size(); ++i) EXPECT_TRUE(same(outputs[i], wanted[i])) << i;
  const c10::InferenceMode none;
  torch::jit::Stack stack{a.x,      a.weight,      a.bias,  a.teacher_x,           a.teacher_weight,  a.teacher_bias,
                          a.target, a.temperature, a.alpha, a.teacher_temperature, a.label_smoothing, a.ignore_index,
                          a.t2,     a.reverse};
  c10::Dispatcher::singleton().findSchemaOrThrow("gradus::linear_kd_loss", "").callBoxed(stack);
  EXPECT_TRUE(stack[0].toTensor().equal(wanted[0]));
}

// sum += a · b: by our own kernels, bit for bit, where all lies as they want it; by the library's elsewhere.
TEST(LinearKd, AddsProducts) {
  at::manual_seed(6);
  using Add = at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&);
  const auto add = c10::Dispatcher::singleton().findSchemaOrThrow("gradus::add_product_", "").typed<Add>();
  const gemm::Rule before = gemm::current();
  gemm::install({true, false, false});
  const int64_t m = 120, k = 200, n = 90;
  const at::Tensor at_ = at::randn({k, m}), a = at_.t(), b = at::randn({k, n}), c = at::randn({m, n});
  const auto sum_of = [&](const at::Tensor& sum, const at::Tensor& left, const at::Tensor& right) {
    at::Tensor result = sum.clone(at::MemoryFormat::Preserve);
    add.call(result, left, right);
    const at::Tensor wanted = sum.to(at::kDouble).addmm(left.to(at::kDouble), right.to(at::kDouble));
    EXPECT_TRUE(at::allclose(result.to(at::kDouble), wanted, 1e-4, 1e-4)) << left.sizes() << right.sizes();
    return result;
  };
  at::Tensor own = c.clone();
  gemm::multiply(m, n, k, {at_.const_data_ptr<float>(), 1, m}, {b.const_data_ptr<float>(), n, 1},
                 own.mutable_data_ptr<float>(), {true});
  EXPECT_TRUE(sum_of(c, a, b).equal(own));
  sum_of(c, a.contiguous(), b);
  sum_of(c, a, b.t().contiguous().t());
  sum_of(at::randn({n, m}).t(), a, b);
  sum_of(c.to(at::kDouble), a.to(at::kDouble), b.to(at::kDouble));
  sum_of(c.narrow(0, 0, 3), at_.narrow(1, 0, 3).contiguous().t(), b);
  gemm::install(before);
}

TEST(LinearKd, NeverHoldsAllLogits) {
  memory::install();
  LinearKdArguments a = example(at::kFloat, 1024, 30522);
  const auto live = memory::live_bytes(), peak = memory::peak_bytes();  // the peak may be another test's
  const auto result = linear_kd_loss_forward(a, true);
  const auto logits = static_cast<size_t>(1024) * 30522 * 4;
  EXPECT_LT(memory::peak_bytes(), std::max(peak + 1, live + logits / 2));  // student's, teacher's and gradient together
}

TEST(LinearKd, RefusesWhatDoesNotFit) {
  const auto refuses = [](auto change, const std::string& text) {
    LinearKdArguments a = example(at::kFloat, 4, 5);
    change(a);
    try {
      linear_kd_loss_forward(a, true);
      ADD_FAILURE() << "expected: " << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  refuses([](auto& a) { a.weight = at::randn({5, 3}); }, "weight has shape [5, 3]; expected [classes, 6]");
  refuses([](auto& a) { a.bias = at::randn({4}); }, "bias has shape [4]; expected [5]");
  refuses([](auto& a) { a.teacher_weight = std::nullopt; }, "expected both or none");
  refuses([](auto& a) { a.teacher_x = at::randn({3, 4}); }, "expected as many rows as x");
  refuses([](auto& a) { a.target = at::zeros({3}, at::kLong); }, "one class a row of x");
  refuses([](auto& a) { a.x = a.x.to(at::kBFloat16); }, "expected float32 or float64");
  refuses([](auto& a) { a.target->fill_(5); }, "target class 5");
  refuses([](auto& a) { a.temperature = at::ones({3}); }, "one a row of x");
  refuses([](auto& a) { a.alpha = at::ones({3}); }, "one a row of x");
  for (const int64_t count : {3, 8})
    refuses([&](auto& a) { a.teacher_temperature = at::ones({count}, at::kDouble); }, "one a row of x");
  refuses([](auto& a) { a.target = a.target->to(at::kInt); }, "expected int64, one class a row of x");
  refuses([](auto& a) { a.x = at::randn({6}); }, "expected [N, E] or [N, L, E], not empty");
  refuses([](auto& a) { a.x = at::randn({1, 2, 2, 6}); }, "expected [N, E] or [N, L, E], not empty");
  refuses([](auto& a) { a.x = at::randn({0, 6}); }, "expected [N, E] or [N, L, E], not empty");
  refuses([](auto& a) { a.weight = at::randn({6}); }, "weight has shape [6]; expected [classes, 6]");
  refuses([](auto& a) { a.weight = a.weight.to(at::kDouble); }, "is Double; expected Float throughout");
  refuses([](auto& a) { a.bias = a.bias->to(at::kDouble); }, "is Double; expected Float throughout");
  refuses([](auto& a) { a.bias = at::randn({5, 1}); }, "bias has shape [5, 1]; expected [5]");
  refuses([](auto& a) { a.teacher_x = a.teacher_x->to(at::kDouble); }, "teacher_ is Double; expected Float throughout");
  refuses([](auto& a) { a.teacher_x = at::ones({}); }, "expected as many rows as x");
  refuses(
      [](auto& a) {
        a.teacher_weight = at::randn({6, 4}), a.teacher_bias = std::nullopt;
      },
      "teacher_weight has 6 classes; expected weight's 5");
  refuses([](auto& a) { a.teacher_x.reset(), a.teacher_weight.reset(), a.target.reset(); },
          "neither teacher_x nor target");
}

}  // namespace
}  // namespace gradus
