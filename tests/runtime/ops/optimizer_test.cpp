// gradus::sgd_ and gradus::adam_ against LibTorch's fused optimizers after clipping by hand.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gtest/gtest.h>

#include <cmath>

#include "error.h"

namespace gradus {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
using Sgd = void(at::TensorList, at::TensorList, at::TensorList, const at::Tensor&, const OptionalTensor&,
                 const OptionalTensor&, double, double, bool, bool, bool);
using Adam = void(at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList, const at::Tensor&,
                  const OptionalTensor&, const OptionalTensor&, double, double, double, double, bool, bool, bool);

template <typename S>
auto op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<S>();
}

at::Tensor norm_of(at::TensorList grads) { return op<at::Tensor(at::TensorList)>("gradus::grad_norm").call(grads); }

at::Tensor rate(double value) { return at::scalar_tensor(value, at::kDouble); }

struct Setting {
  at::ScalarType type;
  bool clip, maximize;
};

const Setting kSettings[] = {
    {at::kFloat, false, false}, {at::kFloat, true, false}, {at::kFloat, true, true}, {at::kDouble, true, false}};

// The gradients as clip_grad_norm_ leaves them.
std::vector<at::Tensor> clipped(const std::vector<at::Tensor>& grads, bool clip) {
  if (!clip) return grads;
  std::vector<at::Tensor> flat;
  for (const auto& g : grads) flat.push_back(g.reshape({-1}));
  const double norm = at::cat(flat).to(at::kDouble).norm().item<double>();
  std::vector<at::Tensor> result;
  for (const auto& g : grads) result.push_back(g * std::min(1.0, 1 / (norm + 1e-6)));
  return result;
}

std::vector<at::Tensor> random(at::ScalarType type) { return {at::randn({5, 7}, type), at::randn({130}, type)}; }

std::vector<at::Tensor> copies(const std::vector<at::Tensor>& list) {
  std::vector<at::Tensor> result;
  for (const auto& t : list) result.push_back(t.clone());
  return result;
}

std::vector<at::Tensor> zeros(const std::vector<at::Tensor>& list) {
  std::vector<at::Tensor> result;
  for (const auto& t : list) result.push_back(at::zeros_like(t));
  return result;
}

void expect_close(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::allclose(a[i], b[i], 1e-5, 1e-6));
}

TEST(Optimizer, SgdAgreesWithLibTorch) {
  at::manual_seed(1);
  for (const auto& [type, clip, maximize] : kSettings)
    for (const double momentum : {0.0, 0.9})
      for (const bool nesterov : {false, true}) {
        if (nesterov && momentum == 0) continue;
        auto own = random(type), theirs = copies(own);
        auto own_momenta = momentum == 0 ? std::vector<at::Tensor>() : zeros(own), their_momenta = copies(own_momenta);
        for (int step = 0; step < 5; ++step) {
          const auto grads = random(type);
          op<Sgd>("gradus::sgd_")
              .call(own, grads, own_momenta, rate(.1), clip ? OptionalTensor(norm_of(grads)) : OptionalTensor(),
                    clip ? OptionalTensor(rate(1)) : OptionalTensor(), .01, momentum, nesterov, maximize, false);
          at::_fused_sgd_(theirs, clipped(grads, clip), their_momenta, .01, momentum, rate(.1), 0, nesterov, maximize,
                          false);
        }
        expect_close(own, theirs);
        expect_close(own_momenta, their_momenta);
      }
}

TEST(Optimizer, AdamAgreesWithLibTorch) {
  at::manual_seed(2);
  for (const auto& [type, clip, maximize] : kSettings)
    for (const bool decoupled : {false, true}) {
      auto own = random(type), theirs = copies(own);
      auto m = zeros(own), v = zeros(own), their_m = zeros(own), their_v = zeros(own);
      const at::Tensor count = at::zeros({}), their_count = at::zeros({});
      for (int step = 0; step < 5; ++step) {
        const auto grads = random(type);
        op<Adam>("gradus::adam_")
            .call(own, grads, m, v, std::vector<at::Tensor>{count, count}, rate(.01),
                  clip ? OptionalTensor(norm_of(grads)) : OptionalTensor(),
                  clip ? OptionalTensor(rate(1)) : OptionalTensor(), .9, .99, .1, 1e-8, decoupled, maximize, false);
        their_count.add_(1);
        const auto update = [&](auto fused) {
          fused(theirs, clipped(grads, clip), their_m, their_v, std::vector<at::Tensor>(),
                std::vector<at::Tensor>{their_count, their_count}, rate(.01), .9, .99, .1, 1e-8, false, maximize,
                OptionalTensor(), OptionalTensor());
        };
        const auto adamw = [](auto&&... a) { at::_fused_adamw_(a...); };
        const auto adam = [](auto&&... a) { at::_fused_adam_(a...); };
        decoupled ? update(adamw) : update(adam);
      }
      EXPECT_EQ(count.item<float>(), 5);
      expect_close(own, theirs);
      expect_close(m, their_m);
      expect_close(v, their_v);
    }
}

void expect_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i]));
}

// One gradient of the second of three steps is `bad`; without_it: that step is left out.
struct Guarded {
  at::ScalarType type;
  double bad;
  bool clip, decoupled, without_it;
  std::vector<at::Tensor> params, momenta, m, v;
  at::Tensor count = at::zeros({});

  void train() {
    at::manual_seed(4);
    params = random(type);
    momenta = zeros(params), m = zeros(params), v = zeros(params);
    for (int step = 0; step < 3; ++step) {
      auto grads = random(type);
      if (step == 1) grads[1][3] = bad;
      if (step != 1 || !without_it) update(grads);
    }
  }
  void update(const std::vector<at::Tensor>& grads) {
    const at::Tensor norm = norm_of(grads);
    const auto most = clip ? OptionalTensor(rate(1)) : OptionalTensor();
    op<Sgd>("gradus::sgd_").call(params, grads, momenta, rate(.1), norm, most, .1, .9, false, false, true);
    op<Adam>("gradus::adam_")
        .call(params, grads, m, v, std::vector<at::Tensor>{count, count}, rate(.1), norm, most, .9, .99, .1, 1e-8,
              decoupled, false, true);
  }
};

TEST(Optimizer, AGuardedUpdateLeavesEverythingAloneWhereAGradientIsNotFinite) {
  for (const auto type : {at::kFloat, at::kDouble})
    for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)})
      for (const bool clip : {false, true})
        for (const bool decoupled : {false, true}) {
          Guarded met{type, bad, clip, decoupled, false}, spared{type, bad, clip, decoupled, true};
          met.train();
          spared.train();
          EXPECT_EQ(met.count.item<float>(), 2);
          expect_equal(met.params, spared.params);
          expect_equal(met.momenta, spared.momenta);
          expect_equal(met.m, spared.m);
          expect_equal(met.v, spared.v);
        }
}

TEST(Optimizer, WhatElseAStepChangedIsPutBackWhereItsNormIsNotFinite) {
  using List = std::vector<at::Tensor>;
  const List before = {at::ones({3}), at::zeros({}, at::kLong)};
  const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow("gradus::put_back_", "");
  for (const bool composed : {false, true}) {  // as other devices have it
    const auto put_back = [&](const List& now, const at::Tensor& norm) {
      torch::jit::Stack stack{now, before, norm};
      composed ? handle.callBoxedForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd, stack)
               : handle.callBoxed(stack);
    };
    for (const auto norm_type : {at::kFloat, at::kDouble})
      for (const double norm : {1.0, double(NAN), double(INFINITY)}) {
        const List changed = {at::full({3}, NAN), at::ones({}, at::kLong)};
        const auto now = copies(changed);
        put_back(now, at::scalar_tensor(norm, norm_type));
        if (std::isfinite(norm))
          EXPECT_EQ(now[1].item<int64_t>(), 1);
        else
          expect_equal(now, before);
        EXPECT_EQ(at::isnan(now[0]).all().item<bool>(), std::isfinite(norm));
      }
    EXPECT_THROW(put_back({before[0]}, at::ones({})), Error);
  }
}

// In float32 with the numbers as they are, rounded once a step: bfloat16 and float16, which LibTorch's kernel leaves.
TEST(Optimizer, SgdOfShortFloatsIsThatOfFloatsRounded) {
  at::manual_seed(5);
  for (const auto type : {at::kBFloat16, at::kHalf})
    for (const double momentum : {0., .9})
      for (const bool nesterov : {false, true})
        for (const bool maximize : {false, true}) {
          if (nesterov && momentum == 0) continue;
          auto own = random(type), momenta = momentum == 0 ? std::vector<at::Tensor>() : zeros(own);
          own.push_back(at::randn({9}));  // one of the usual ones among them
          if (momentum != 0) momenta.push_back(at::zeros({9}));
          auto theirs = copies(own), their_momenta = copies(momenta);
          const auto wide = [](const std::vector<at::Tensor>& list) {
            std::vector<at::Tensor> result;
            for (const at::Tensor& one : list) result.push_back(one.to(at::kFloat, false, /*copy=*/true));
            return result;
          };
          for (int step = 0; step < 3; ++step) {
            auto grads = random(type);
            grads.push_back(at::randn({9}));
            op<Sgd>("gradus::sgd_")
                .call(own, grads, momenta, rate(.1), {}, {}, .5, momentum, nesterov, maximize, false);
            auto params = wide(theirs), kept = wide(their_momenta);
            at::_fused_sgd_(params, wide(grads), kept, .5, momentum, rate(.1), 0, nesterov, maximize, false);
            for (std::size_t i = 0; i < theirs.size(); ++i) theirs[i].copy_(params[i]);
            for (std::size_t i = 0; i < kept.size(); ++i) their_momenta[i].copy_(kept[i]);
          }
          for (std::size_t i = 0; i < own.size(); ++i)
            EXPECT_TRUE(at::allclose(own[i], theirs[i], 2e-2, 2e-2)) << i << momentum << nesterov << maximize;
          for (std::size_t i = 0; i < momenta.size(); ++i)
            EXPECT_TRUE(at::allclose(momenta[i], their_momenta[i], 2e-2, 2e-2)) << i << momentum << nesterov;
          const auto before = copies(own), momenta_before = copies(momenta);
          auto bad = random(type);
          bad.push_back(at::full({9}, NAN));
          op<Sgd>("gradus::sgd_")
              .call(own, bad, momenta, rate(.1), at::scalar_tensor(NAN), {}, .5, momentum, nesterov, maximize, true);
          for (std::size_t i = 0; i < own.size(); ++i) EXPECT_TRUE(own[i].equal(before[i])) << i;
          for (std::size_t i = 0; i < momenta.size(); ++i) EXPECT_TRUE(momenta[i].equal(momenta_before[i])) << i;
        }
}

// A gradient of 3e-6 is clipped to 2e-6 · 3 / 4: what is added to the norm counts.
TEST(Optimizer, ClippingHasPyTorchsEpsilon) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const std::vector<at::Tensor> params = {at::zeros({2}, type)}, grads = {at::tensor({3e-6, 0.}).to(type)};
    op<Sgd>("gradus::sgd_").call(params, grads, {}, rate(1), norm_of(grads), rate(2e-6), 0, 0, false, false, false);
    EXPECT_NEAR(params[0][0].item<double>(), -1.5e-6, 1e-9) << type;
  }
}

TEST(Optimizer, EachParameterMayHaveItsOwnCount) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    auto params = random(type);
    const at::Tensor one = at::zeros({}), two = at::full({}, 7.f);
    op<Adam>("gradus::adam_")
        .call(params, random(type), zeros(params), zeros(params), std::vector<at::Tensor>{one, two}, rate(.1), {}, {},
              .9, .99, 0, 1e-8, false, false, false);
    EXPECT_EQ(one.item<float>(), 1);
    EXPECT_EQ(two.item<float>(), 8);
  }
}

TEST(Optimizer, RefusesRatesAndListsThatCannotBe) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const auto params = random(type), state = zeros(params);
    const std::vector<at::Tensor> counts = {at::zeros({}), at::zeros({})}, few = {params[0]};
    const auto sgd = [&](double lr, const std::vector<at::Tensor>& grads) {
      op<Sgd>("gradus::sgd_").call(params, grads, {}, rate(lr), {}, {}, 0, 0, false, false, false);
    };
    const auto adam = [&](double lr, const std::vector<at::Tensor>& grads, const std::vector<at::Tensor>& m,
                          const std::vector<at::Tensor>& v, const std::vector<at::Tensor>& steps) {
      op<Adam>("gradus::adam_")
          .call(params, grads, m, v, steps, rate(lr), {}, {}, .9, .99, 0, 1e-8, false, false, false);
    };
    for (const double bad : {-.1, double(NAN), double(INFINITY)}) {
      EXPECT_THROW(sgd(bad, params), Error);
      EXPECT_THROW(adam(bad, params, state, state, counts), Error);
    }
    const auto before = copies(params);
    sgd(0, params);
    adam(0, params, copies(state), copies(state), counts);
    expect_equal(params, before);
    EXPECT_THROW(sgd(.1, few), Error);
    EXPECT_THROW(adam(.1, few, state, state, counts), Error);
    EXPECT_THROW(adam(.1, params, few, state, counts), Error);
    EXPECT_THROW(adam(.1, params, state, few, counts), Error);
    EXPECT_THROW(adam(.1, params, state, state, {counts[0]}), Error);
  }
}

TEST(Optimizer, EachThreadUpdatesItsPart) {
  const auto trained = [](int threads) {
    at::manual_seed(6);
    at::set_num_threads(threads);
    const std::vector<at::Tensor> params = {at::randn({100'003})}, grads = {at::randn({100'003})},
                                  more = copies(params), momenta = zeros(params), m = zeros(params), v = zeros(params);
    for (int step = 0; step < 2; ++step) {
      op<Sgd>("gradus::sgd_").call(params, grads, momenta, rate(.1), {}, {}, .1, .9, true, false, false);
      op<Adam>("gradus::adam_")
          .call(more, grads, m, v, std::vector<at::Tensor>{at::zeros({})}, rate(.1), {}, {}, .9, .99, .1, 1e-8, true,
                false, false);
    }
    at::set_num_threads(1);
    return std::vector<at::Tensor>{params[0], momenta[0], more[0], m[0], v[0]};
  };
  expect_equal(trained(3), trained(1));
}

TEST(Optimizer, NormIsThatOfAllGradients) {
  at::manual_seed(3);
  const auto grads = random(at::kFloat);
  const double exact = at::cat({grads[0].reshape({-1}), grads[1]}).to(at::kDouble).norm().item<double>();
  EXPECT_NEAR(norm_of(grads).item<double>(), exact, 1e-6 * exact);
  EXPECT_THROW(norm_of(std::vector<at::Tensor>()), Error);
}

}  // namespace
}  // namespace gradus
