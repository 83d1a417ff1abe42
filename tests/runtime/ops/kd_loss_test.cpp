#include "ops/kd_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "error.h"

namespace gradus {
namespace {

at::Tensor number(double value) { return at::scalar_tensor(value, at::kDouble); }

KdArguments arguments(at::Tensor student, std::optional<at::Tensor> teacher, std::optional<at::Tensor> target,
                      double temperature = 4, double alpha = 0.7) {
  return {std::move(student), std::move(teacher), std::move(target), number(temperature), number(alpha)};
}

void expect_close(const at::Tensor& a, const at::Tensor& b, double tolerance, const std::string& what) {
  ASSERT_EQ(a.sizes(), b.sizes()) << what;
  EXPECT_TRUE(at::allclose(a.to(at::kDouble), b.to(at::kDouble), tolerance, tolerance)) << what << "\n"
                                                                                        << a << "\n"
                                                                                        << b;
}

// Loss and gradient through autograd.
std::pair<Tensors6, at::Tensor> differentiate(KdArguments a) {
  a.student = a.student.detach().clone().requires_grad_();
  auto result = kd_loss(a);
  std::get<0>(result).backward();
  return {result, a.student.grad()};
}

at::Tensor numeric_gradient(KdArguments a) {
  const double h = 1e-6;
  a.student = a.student.detach().clone();
  at::Tensor gradient = at::zeros_like(a.student);
  double* z = a.student.mutable_data_ptr<double>();
  for (int64_t i = 0; i < a.student.numel(); ++i) {
    const double kept = z[i];
    z[i] = kept + h;
    const double above = std::get<0>(kd_loss(a)).item<double>();
    z[i] = kept - h;
    const double below = std::get<0>(kd_loss(a)).item<double>();
    z[i] = kept;
    gradient.mutable_data_ptr<double>()[i] = (above - below) / (2 * h);
  }
  return gradient;
}

// Every variant that a script can ask for, on one shape.
std::vector<std::pair<std::string, KdArguments>> variants(at::IntArrayRef shape, at::ScalarType type) {
  at::manual_seed(3);
  const auto options = at::TensorOptions(type);
  const auto row_shape = shape.slice(0, shape.size() - 1);
  const at::Tensor z = at::randn(shape, options) * 2, u = at::randn(shape, options) * 2;
  const at::Tensor y = at::randint(shape.back(), row_shape, at::kLong);
  const at::Tensor soft = at::softmax(at::randn(shape, options), -1);
  std::vector<std::pair<std::string, KdArguments>> list;
  const auto add = [&](const std::string& name, KdArguments a) { list.emplace_back(name, std::move(a)); };
  add("plain", arguments(z, u, y));
  add("T = 1", arguments(z, u, y, 1));
  add("alpha 0", arguments(z, u, y, 2, 0));
  add("alpha 1", arguments(z, u, y, 2, 1));
  add("no teacher", arguments(z, std::nullopt, y));
  add("no target", arguments(z, u, std::nullopt));
  add("probabilities", arguments(z, u, soft));
  add("probabilities that do not sum to 1", arguments(z, u, soft * 2));
  KdArguments a = arguments(z, u, y);
  a.reverse = true;
  add("reverse", a);
  a.t2 = false;
  add("reverse, no t2", a);
  a = arguments(z, u, y);
  a.label_smoothing = 0.1;
  add("smoothing", a);
  a = arguments(z, u, soft);
  a.label_smoothing = 0.3;
  add("probabilities, smoothing", a);
  a = arguments(z, u, y);
  a.teacher_temperature = number(0.7);
  add("teacher temperature", a);
  a = arguments(z, u, y);
  a.temperature = at::rand({shape[0]}, at::kDouble) * 5 + 0.5;
  a.alpha = at::rand({shape[0]}, at::kFloat);
  a.weight = at::rand({shape[0]}, at::kDouble);
  add("per sample", a);
  a = arguments(z, u, y);
  a.weight = at::zeros({shape[0]}, at::kDouble);
  add("no row counts", a);
  a = arguments(z, u, y.clone());
  a.target->view({-1})[0] = -100;
  a.weight = at::rand(row_shape, at::kDouble);
  a.temperature = at::rand(row_shape, at::kDouble) + 1;
  add("ignored, per row", a);
  a.label_smoothing = 0.2;
  add("ignored, smoothing", a);
  return list;
}

TEST(KdLoss, EqualsPyTorch) {
  std::ifstream file(TESTS_DIR "/runtime/reference/kd_reference.json");
  for (const auto& c : nlohmann::json::parse(file)) {
    const auto shape = c["shape"].get<std::vector<int64_t>>();
    const auto doubles = [&](const char* key, at::IntArrayRef sizes) {
      return at::tensor(c[key].get<std::vector<double>>()).reshape(sizes);
    };
    std::optional<at::Tensor> teacher, target;
    if (!c["teacher"].is_null()) teacher = doubles("teacher", shape);
    if (!c["probabilities"].is_null()) target = doubles("probabilities", shape);
    if (!c["labels"].is_null())
      target = at::tensor(c["labels"].get<std::vector<int64_t>>())
                   .reshape(at::IntArrayRef(shape).slice(0, shape.size() - 1));
    KdArguments a = arguments(doubles("student", shape), teacher, target);
    const auto t = c["temperature"].get<std::vector<double>>();
    a.temperature = t.size() == 1 ? number(t[0]) : at::tensor(t);
    a.alpha = number(c["alpha"]);
    if (!c["teacher_temperature"].is_null()) a.teacher_temperature = number(c["teacher_temperature"]);
    a.label_smoothing = c["label_smoothing"];
    a.t2 = c["t2"];
    a.reverse = c["reverse"];
    for (const auto type : {at::kDouble, at::kFloat}) {
      const double tolerance = type == at::kDouble ? 1e-12 : 2e-6;
      a.student = a.student.to(type);
      const auto [result, gradient] = differentiate(a);
      const std::string name = c["name"].get<std::string>() + " " + at::toString(type);
      EXPECT_NEAR(std::get<0>(result).item<double>(), c["loss"].get<double>(), tolerance * 10) << name;
      EXPECT_NEAR(std::get<1>(result).item<double>(), c["ce"].get<double>(), tolerance * 10) << name;
      EXPECT_NEAR(std::get<2>(result).item<double>(), c["kl"].get<double>(), tolerance * 10) << name;
      expect_close(gradient, doubles("gradient", shape), tolerance, name);
    }
  }
}

TEST(KdLoss, KernelEqualsTheComposedFormula) {
  for (const auto type : {at::kDouble, at::kFloat}) {
    const double tolerance = type == at::kDouble ? 1e-11 : 1e-5;
    for (const auto& shape : std::vector<std::vector<int64_t>>{
             {3, 5}, {1, 1}, {7, 2}, {2, 16}, {2, 33}, {2, 3, 6}, {37, 2}, {19, 10}, {17, 32}, {40, 33}}) {
      for (auto& [name, a] : variants(shape, type)) {
        const auto composed = kd_loss_composed(a, true);
        const auto [result, gradient] = differentiate(a);
        const std::string what = name + " " + at::toString(type) + " " + c10::str(a.student.sizes());
        expect_close(std::get<0>(result), std::get<0>(composed), tolerance, what + ": loss");
        expect_close(std::get<1>(result), std::get<1>(composed), tolerance, what + ": ce");
        expect_close(std::get<2>(result), std::get<2>(composed), tolerance, what + ": kl");
        expect_close(std::get<3>(result), std::get<3>(composed), tolerance, what + ": confidence");
        expect_close(std::get<4>(result), std::get<4>(composed), tolerance, what + ": entropy");
        expect_close(std::get<5>(result), std::get<5>(composed), tolerance, what + ": per_sample");
        expect_close(gradient, std::get<6>(composed), tolerance, what + ": gradient");
      }
    }
  }
}

TEST(KdLoss, GradientEqualsDifferences) {
  for (const auto& shape : std::vector<std::vector<int64_t>>{{3, 5}, {2, 11}, {2, 2, 3}})
    for (auto& [name, a] : variants(shape, at::kDouble))
      expect_close(differentiate(a).second, numeric_gradient(a), 2e-7, name);
}

TEST(KdLoss, OfTheTeacherItselfIsNothing) {
  for (const int64_t classes : {2, 10, 33, 100}) {
    at::manual_seed(1);
    const at::Tensor z = at::randn({37, classes}) * 3;
    const auto [result, gradient] = differentiate(arguments(z, z, std::nullopt, 1.7));
    EXPECT_EQ(std::get<0>(result).item<float>(), 0) << classes;
    EXPECT_EQ(gradient.abs().max().item<float>(), 0) << classes;
  }
}

TEST(KdLoss, SameBitsWithAndWithoutGradient) {
  for (auto& [name, a] : variants({4, 9}, at::kFloat)) {
    const auto with = differentiate(a).first;
    const auto without = kd_loss(a);
    EXPECT_TRUE(at::equal(std::get<0>(with).detach(), std::get<0>(without))) << name;
    EXPECT_FALSE(std::get<0>(without).requires_grad());
    EXPECT_FALSE(std::get<3>(with).requires_grad());
  }
}

TEST(KdLoss, ExtremeLogitsStayFinite) {
  for (const auto type : {at::kDouble, at::kFloat}) {
    const auto options = at::TensorOptions(type);
    const at::Tensor z = at::tensor({1e4, -1e4, 0.0, -1e4, 1e4, 3.0}, options).reshape({2, 3});
    const at::Tensor u = at::tensor({-1e4, 1e4, 0.0, -1e4, 1e4, 3.0}, options).reshape({2, 3});
    for (const double t : {1.0, 4.0, 1e-3, 100.0}) {
      for (const bool reverse : {false, true}) {
        KdArguments a = arguments(z, u, at::tensor({1, 1}, at::kLong), t);
        a.reverse = reverse;
        const auto [result, gradient] = differentiate(a);
        EXPECT_TRUE(std::isfinite(std::get<0>(result).item<double>())) << t;
        EXPECT_TRUE(at::isfinite(gradient).all().item<bool>()) << t;
        expect_close(std::get<0>(result), std::get<0>(kd_loss_composed(a, false)), 1e-5, "extreme");
      }
    }
  }
}

TEST(KdLoss, VanishingTeacherTemperatureMeansTheArgmax) {
  at::manual_seed(5);
  const at::Tensor z = at::randn({6, 8}), u = at::randn({6, 8});
  for (const double tiny : {1e-20, 1e-300}) {
    KdArguments a = arguments(z, u, std::nullopt, 1);
    a.teacher_temperature = number(tiny);
    const auto [result, gradient] = differentiate(a);
    const auto [labels, expected] = differentiate(arguments(z, std::nullopt, u.argmax(-1)));
    expect_close(std::get<0>(result), std::get<0>(labels), 1e-6, "loss");
    expect_close(gradient, expected, 1e-6, "gradient");
  }
}

TEST(KdLoss, MaskedClassesAddNothing) {
  const double inf = std::numeric_limits<double>::infinity();
  const at::Tensor z = at::tensor({1.0, 2.0, -inf, 0.5}, at::kFloat).reshape({1, 4});
  const at::Tensor u = at::tensor({0.5, 1.0, -inf, 2.0}, at::kFloat).reshape({1, 4});
  const auto keep = at::tensor({0, 1, 3}, at::kLong);
  const auto [full, gradient] = differentiate(arguments(z, u, at::tensor({1}, at::kLong)));
  const auto [cut, expected] =
      differentiate(arguments(z.index_select(1, keep), u.index_select(1, keep), at::tensor({1}, at::kLong)));
  expect_close(std::get<0>(full), std::get<0>(cut), 1e-6, "loss");
  expect_close(std::get<4>(full), std::get<4>(cut), 1e-6, "entropy");
  expect_close(gradient.index_select(1, keep), expected, 1e-6, "gradient");
  EXPECT_EQ(gradient[0][2].item<float>(), 0);
}

TEST(KdLoss, NanIsNotHidden) {
  at::Tensor z = at::randn({2, 20});
  z[1][17] = std::nan("");
  const auto [result, gradient] = differentiate(arguments(z, at::randn({2, 20}), at::tensor({1, 2}, at::kLong)));
  EXPECT_TRUE(std::isnan(std::get<0>(result).item<float>()));
  EXPECT_TRUE(at::isnan(gradient[1]).all().item<bool>());
  EXPECT_TRUE(at::isfinite(gradient[0]).all().item<bool>());
}

TEST(KdLoss, IgnoredRowsMayHoldAnything) {
  at::Tensor z = at::randn({2, 20});
  z[1][3] = std::nan("");
  const auto [result, gradient] = differentiate(arguments(z, at::randn({2, 20}), at::tensor({1, -100}, at::kLong)));
  EXPECT_TRUE(std::isfinite(std::get<0>(result).item<float>()));
  EXPECT_EQ(gradient[1].abs().sum().item<float>(), 0);
}

TEST(KdLoss, Bfloat16IsComputedInFloat) {
  at::manual_seed(2);
  const at::Tensor z = at::randn({4, 10}).to(at::kBFloat16), u = at::randn({4, 10}).to(at::kBFloat16);
  const at::Tensor y = at::randint(10, {4}, at::kLong);
  const auto [half, gradient] = differentiate(arguments(z, u, y));
  const auto [full, expected] = differentiate(arguments(z.to(at::kFloat), u.to(at::kFloat), y));
  EXPECT_EQ(std::get<0>(half).scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(std::get<0>(half).detach(), std::get<0>(full).detach()));
  EXPECT_EQ(gradient.scalar_type(), at::kBFloat16);
  expect_close(gradient, expected.to(at::kBFloat16), 1e-6, "gradient");
}

TEST(KdLoss, ThreadsDoNotChangeTheBits) {
  at::manual_seed(2);
  const KdArguments a = arguments(at::randn({64, 1000}), at::randn({64, 1000}), at::randint(1000, {64}, at::kLong));
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto [one, gradient_one] = differentiate(a);
  at::set_num_threads(2);
  const auto [two, gradient_two] = differentiate(a);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(std::get<0>(one).detach(), std::get<0>(two).detach()));
  EXPECT_TRUE(at::equal(gradient_one, gradient_two));
}

TEST(KdLoss, UpstreamGradientScales) {
  const auto a = arguments(at::randn({3, 4}).requires_grad_(), at::randn({3, 4}), at::tensor({0, 1, 2}, at::kLong));
  const at::Tensor once = differentiate(a).second;
  (std::get<0>(kd_loss(a)) * 3 + 1).backward();
  expect_close(a.student.grad(), once * 3, 1e-6, "scaled");
}

void expect_refused(const KdArguments& a, const std::string& text) {
  try {
    kd_loss(a);
    FAIL() << "accepted; expected: " << text;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    EXPECT_EQ(error.code, Exit::data);
  }
}

TEST(KdLoss, RefusesWhatDoesNotFit) {
  const at::Tensor z = at::randn({3, 4}), y = at::tensor({0, 1, 2}, at::kLong);
  expect_refused(arguments(at::randn({0, 4}), std::nullopt, at::empty({0}, at::kLong)), "student has shape [0, 4]");
  expect_refused(arguments(at::randn({4}), std::nullopt, y), "expected [N, C] or [N, L, C]");
  expect_refused(arguments(z, at::randn({3, 5}), y), "teacher has shape [3, 5]; expected student's [3, 4]");
  expect_refused(arguments(z, std::nullopt, std::nullopt), "neither teacher nor target");
  expect_refused(arguments(z, std::nullopt, at::tensor({0, 1}, at::kLong)), "target has shape [2]");
  expect_refused(arguments(z, std::nullopt, y.to(at::kInt)), "expected int64 classes");
  expect_refused(arguments(z, std::nullopt, at::tensor({0, 4, 1}, at::kLong)),
                 "target class 4 at row 1; expected 0 to 3");
  expect_refused(arguments(z.to(at::kLong), std::nullopt, y), "expected floating-point logits");
  expect_refused(arguments(z, z, y, 0), "temperature is 0; expected > 0");
  expect_refused(arguments(z, z, y, std::nan("")), "expected > 0");
  KdArguments a = arguments(z, z, y);
  a.label_smoothing = 1.5;
  expect_refused(a, "label_smoothing is 1.5");
  a = arguments(z, z, y);
  a.weight = at::ones({4});
  expect_refused(a, "weight has shape [4]");
  for (const double bad : {-1., std::nan(""), HUGE_VAL}) {
    a.weight = at::tensor({1., bad, 1.}, at::kDouble);
    expect_refused(a, "at row 1; expected a number from 0");
  }
  a = arguments(z, z, y);
  for (const double bad : {-.5, 1.5, std::nan("")}) {
    a.alpha = at::tensor({1., 0., bad}, at::kDouble);
    expect_refused(a, "expected 0 to 1");
  }
  a.target = std::nullopt;  // alpha is not used
  EXPECT_NO_THROW(kd_loss(a));
  for (const double smoothing : {-.1, 0., 1., std::nan("")}) {
    a = arguments(z, z, y);
    a.label_smoothing = smoothing;
    if (smoothing == 0 || smoothing == 1)
      EXPECT_NO_THROW(kd_loss(a));
    else
      expect_refused(a, "label_smoothing is");
  }
  const auto far = at::device(at::kMeta);
  expect_refused(arguments(z, at::empty({3, 4}, far), y), "teacher is on meta; expected student's cpu");
  expect_refused(arguments(z, z, at::empty({3}, far.dtype(at::kLong))), "target is on meta");
  a = arguments(z, z, y);
  a.weight = at::empty({3}, far);
  expect_refused(a, "weight is on meta");
}

TEST(KdLoss, IsTheSameWhereNobodyDifferentiatesAndComposedElsewhere) {
  const KdArguments a = arguments(at::randn({3, 4}), at::randn({3, 4}), at::tensor({0, 1, 2}, at::kLong));
  const at::Tensor wanted = std::get<0>(kd_loss(a));
  {
    const c10::InferenceMode none;
    EXPECT_TRUE(std::get<0>(kd_loss(a)).equal(wanted));
  }
  torch::jit::Stack stack{a.student, a.teacher,         a.target,       a.temperature, a.alpha,   a.teacher_temperature,
                          a.weight,  a.label_smoothing, a.ignore_index, a.t2,          a.reverse, true};
  c10::Dispatcher::singleton()
      .findSchemaOrThrow("gradus::kd_loss_forward", "")
      .callBoxedForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd, stack);
  const auto composed = kd_loss_composed(a, true);
  ASSERT_EQ(stack.size(), 7u);
  EXPECT_TRUE(stack[0].toTensor().equal(std::get<0>(composed)));
  EXPECT_TRUE(stack[6].toTensor().equal(std::get<6>(composed)));
}

TEST(KdLoss, OneNumberMayBeAListOfOne) {
  KdArguments a = arguments(at::randn({3, 4}), at::randn({3, 4}), at::tensor({0, 1, 2}, at::kLong));
  const at::Tensor wanted = std::get<0>(kd_loss(a));
  a.temperature = a.temperature.reshape({1}), a.alpha = a.alpha.reshape({1});
  EXPECT_TRUE(std::get<0>(kd_loss(a)).equal(wanted));
  EXPECT_TRUE(std::get<0>(kd_loss_composed(a, false)).equal(std::get<0>(kd_loss_composed(a, true))));
  a.alpha = a.alpha.reshape({1, 1});
  expect_refused(a, "alpha has shape [1, 1]; expected a number or one value for each of the 3 samples");
}

TEST(KdLoss, RefusesSecondDerivatives) {
  const at::Tensor z = at::randn({3, 4}).requires_grad_();
  const auto loss = std::get<0>(kd_loss(arguments(z, std::nullopt, at::tensor({0, 1, 2}, at::kLong))));
  EXPECT_THROW(torch::autograd::grad({loss}, {z}, {}, true, true), Error);
}

at::Tensor clip(std::vector<at::Tensor> grads, double max_norm) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("gradus::clip_grad_norm_", "")
                             .typed<at::Tensor(at::TensorList, const at::Tensor&)>();
  return op.call(grads, number(max_norm));
}

TEST(ClipGradNorm, ScalesToTheGlobalNorm) {
  const at::Tensor a = at::randn({5, 7}), b = at::randn({3}), c = at::randn({4, 6}).t();
  const auto norm_of = [](std::vector<at::Tensor> list) {
    double total = 0;
    for (const auto& t : list) total += t.to(at::kDouble).square().sum().item<double>();
    return std::sqrt(total);
  };
  const double before = norm_of({a, b, c});
  const at::Tensor expected = c / before * 2;
  EXPECT_NEAR(clip({a, b, c}, 2).item<double>(), before, 1e-5);
  EXPECT_NEAR(norm_of({a, b, c}), 2, 1e-5);
  expect_close(c, expected, 1e-5, "direction kept");
}

TEST(ClipGradNorm, LeavesSmallGradientsAlone) {
  const at::Tensor a = at::tensor({3.0, 4.0}), kept = a.clone();
  EXPECT_EQ(clip({a}, 5.1).item<double>(), 5);
  EXPECT_TRUE(at::equal(a, kept));
}

TEST(ClipGradNorm, ScalesASharedGradientOnce) {
  const at::Tensor a = at::tensor({3.0, 4.0});
  EXPECT_NEAR(clip({a, a}, 1).item<double>(), std::sqrt(50.0), 1e-6);
  expect_close(a, at::tensor({3.0, 4.0}) / std::sqrt(50.0), 1e-6, "once");
}

TEST(ClipGradNorm, StridedAndHalfGradients) {
  const at::Tensor base = at::ones({4, 4}), strided = base.slice(1, 0, 2);
  const at::Tensor half = at::ones({8}).to(at::kBFloat16);
  EXPECT_NEAR(clip({strided, half}, 1).item<double>(), 4, 1e-2);
  EXPECT_NEAR(strided[0][0].item<double>(), 0.25, 1e-3);
  EXPECT_EQ(base[0][3].item<double>(), 1);
}

TEST(ClipGradNorm, OfEachTypeAndOfTwo) {
  for (const std::vector<at::Tensor>& grads :
       std::vector<std::vector<at::Tensor>>{{at::tensor({3., 4.}, at::kDouble)},
                                            {at::tensor({3.f}), at::tensor({4.}, at::kDouble)},
                                            {at::tensor({3.f, 0.f, 4.f, 0.f}).slice(0, 0, 4, 2)},
                                            {at::tensor({3.f, 4.f}).to(at::kBFloat16)}}) {
    const auto first = [&] { return grads[0][0].item<double>(); };
    EXPECT_EQ(clip(grads, 5.1).item<double>(), 5);
    EXPECT_EQ(first(), 3) << "small enough";
    EXPECT_EQ(clip(grads, 2.5).item<double>(), 5);
    EXPECT_NEAR(first(), 1.5, 1e-2);
    EXPECT_NEAR(grads.back().reshape({-1})[-1].item<double>(), 2, 1e-2);
  }
  for (const auto type : {at::kFloat, at::kBFloat16}) {  // of 3e-6: to 2e-6 · 3 / 4
    const at::Tensor tiny = at::full({1}, 3e-6).to(type);
    clip({tiny}, 2e-6);
    EXPECT_NEAR(tiny.item<double>(), 1.5e-6, 2e-8);
  }
  EXPECT_THROW(clip({}, 1), Error);
  EXPECT_THROW(c10::Dispatcher::singleton()
                   .findSchemaOrThrow("gradus::clip_grad_norm_", "")
                   .typed<at::Tensor(at::TensorList, const at::Tensor&)>()
                   .call({at::ones({2})}, at::ones({2})),
               Error);
}

TEST(ClipGradNorm, SpreadsNan) {
  const at::Tensor a = at::tensor({std::nan(""), 1.0}), b = at::ones({2});
  clip({a, b}, 1);
  EXPECT_TRUE(at::isnan(b).all().item<bool>());
}

}  // namespace
}  // namespace gradus
