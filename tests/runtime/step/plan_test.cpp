// When a plan fits, whose memory its outputs have, and several steps in one call.
#include "step/plan.h"

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "error.h"
#include "recorded.h"

namespace gradus {
namespace {

using List = std::vector<at::Tensor>;

TEST(Plan, FitsWhatItWasRecordedWith) {
  at::Tensor weight = at::ones({3}).requires_grad_(), unused = at::ones({3}).requires_grad_();
  const auto plan = record(
      [&](const List& in) {
        return List{in[0] + in[1], (in[0].select(0, 0) * weight).detach()};
      },
      {at::ones({2, 3}), at::ones({2, 3})});
  const at::Tensor x = at::zeros({2, 3});
  EXPECT_TRUE(plan->fits({x, x}));
  EXPECT_TRUE(plan->fits({x, at::zeros({8, 3}).narrow(0, 4, 2)})) << "wherever it stands in its storage";
  EXPECT_FALSE(plan->fits({x}));
  EXPECT_FALSE(plan->fits({x, x, x}));
  for (const at::Tensor& other : {at::zeros({3, 2}), at::zeros({2, 4}), at::zeros({6}), at::zeros({2, 3}, at::kDouble),
                                  at::zeros({3, 2}).t(), at::zeros({2, 3}).requires_grad_()}) {
    EXPECT_FALSE(plan->fits({x, other})) << other.sizes();
    EXPECT_FALSE(plan->fits({other, x})) << other.sizes();
  }
  {
    const at::NoGradGuard none;
    EXPECT_FALSE(plan->fits({x, x}));
  }
  at::autocast::set_autocast_enabled(at::kCPU, true);
  EXPECT_FALSE(plan->fits({x, x}));
  at::autocast::set_autocast_enabled(at::kCPU, false);
  unused.requires_grad_(false);
  EXPECT_TRUE(plan->fits({x, x}));
  weight.requires_grad_(false);
  EXPECT_FALSE(plan->fits({x, x}));
}

TEST(Plan, ThreadModesAreToldApart) {
  std::set<int> modes = {thread_modes()};
  {
    const at::NoGradGuard none;
    modes.insert(thread_modes());
    EXPECT_EQ(modes.size(), 2u);
  }
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto before = at::autocast::get_autocast_dtype(at::kCPU);
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    at::autocast::set_autocast_dtype(at::kCPU, type);
    modes.insert(thread_modes());
    const at::NoGradGuard none;
    modes.insert(thread_modes());
  }
  at::autocast::set_autocast_dtype(at::kCPU, before);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_EQ(modes.size(), 6u);
}

// A gradient that a step adds to must be the one that it found; what it clears first, or never uses, may be any.
TEST(Plan, GradientsAreFollowed) {
  const at::Tensor x = at::ones({3});
  for (const bool clears : {false, true}) {
    at::Tensor weight = at::ones({3}).requires_grad_();
    weight.mutable_grad() = at::ones({3});
    const auto step = [&](const List& in) {
      if (clears) {
        if (Recorder* recorder = Recorder::current()) recorder->grad_cleared(weight);
        weight.mutable_grad() = at::Tensor();
      }
      (weight * in[0]).sum().backward();
      return List{};
    };
    const auto plan = record(step, {x});
    EXPECT_TRUE(plan->fits({x}));
    List outputs;
    plan->run({at::full({3}, 2.f)}, outputs);
    EXPECT_EQ(weight.grad()[0].item<float>(), clears ? 2 : 4) << "1 and 1 and 2, or 2 alone";
    EXPECT_TRUE(plan->fits({x}));
    weight.mutable_grad() = at::zeros({3});
    EXPECT_EQ(plan->fits({x}), clears);
    weight.mutable_grad() = at::Tensor();
    EXPECT_EQ(plan->fits({x}), clears);
  }
}

TEST(Plan, MemoryOfOutputsIsUsedAgainOnceNobodyHoldsIt) {
  const auto plan = record(
      [](const List& in) {
        return List{at::sin(in[0]), at::cos(in[0]).slice(0, 1), in[0].slice(0, 1)};
      },
      {at::ones({64})});
  List outputs;
  const at::Tensor x = at::arange(64, at::kFloat);
  plan->run({x}, outputs);
  const void *whole = outputs[0].const_data_ptr(), *part = outputs[1].const_data_ptr();
  EXPECT_EQ(outputs[0].use_count(), 2u) << "the plan's own, given away as it is";
  EXPECT_EQ(outputs[1].use_count(), 1u) << "a view of the plan's";
  EXPECT_EQ(outputs[2].const_data_ptr(), x.slice(0, 1).const_data_ptr()) << "the batch itself";
  for (int held = 0; held < 3; ++held) {
    List kept;
    if (held < 2) kept.push_back(outputs[held]);
    const List was = {kept.empty() ? at::Tensor() : kept[0].clone()};
    outputs.clear();
    plan->run({x + 1}, outputs);
    EXPECT_EQ(outputs[0].const_data_ptr() == whole, held != 0) << held;
    EXPECT_EQ(outputs[1].const_data_ptr() == part, held != 1) << held;
    if (!kept.empty()) {
      EXPECT_TRUE(same(kept[0], was[0]));
    }
    EXPECT_TRUE(same(outputs[0], at::sin(x + 1)));
    EXPECT_TRUE(same(outputs[1], at::cos(x + 1).slice(0, 1)));
    whole = outputs[0].const_data_ptr(), part = outputs[1].const_data_ptr();
  }
  outputs[0].requires_grad_();  // what somebody made of it is not handed out again
  outputs[0].unsafeGetTensorImpl()->set_sizes_contiguous({8, 8});
  outputs.clear();
  plan->run({x}, outputs);
  EXPECT_FALSE(outputs[0].requires_grad());
  EXPECT_EQ(outputs[0].sizes(), x.sizes());
}

TEST(Plan, AnOutputMayBeAPartOfAnInputWhereverThatStands) {
  const auto plan = record([](const List& in) { return List{in[0].slice(0, 1)}; }, {at::ones({4})});
  const at::Tensor x = at::arange(20, at::kFloat);
  List outputs;
  for (const int64_t at : {0, 9}) {
    plan->run({x.narrow(0, at, 4)}, outputs);
    EXPECT_EQ(outputs[0].const_data_ptr(), x.narrow(0, at + 1, 3).const_data_ptr());
    EXPECT_EQ(outputs[0].sizes(), at::IntArrayRef({3}));
  }
}

TEST(Plan, AStepMayHaveNoInputs) {
  at::manual_seed(3);
  const auto plan = record([](const List&) { return List{at::rand({3})}; }, {});
  EXPECT_EQ(plan->describe(), "aten::rand [3]\n");
  List first, second;
  plan->run({}, first);
  plan->run({}, second);
  at::manual_seed(3);
  at::rand({3});
  EXPECT_TRUE(same(first[0], at::rand({3})));
  EXPECT_TRUE(same(second[0], at::rand({3})));
}

TEST(Plan, ErrorsNameTheLine) {
  at::Tensor rows = at::zeros({4, 2});
  const at::Tensor index = at::zeros({1}, at::kLong);
  Recorder recorder({index}, [] { return "x.lua:7"; });
  const at::Tensor taken = at::index_select(rows, 0, index);
  ASSERT_TRUE(recorder.finish({taken})) << recorder.problem();
  Plan plan(recorder.take());
  List outputs;
  try {
    plan.run({at::full({1}, 9, at::kLong)}, outputs);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("aten::index_select: "), 0u) << error.what();
    EXPECT_NE(std::string(error.what()).find(" (recorded at x.lua:7)"), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
  }
  plan.run({at::full({1}, 3, at::kLong)}, outputs);
  EXPECT_EQ(outputs[0].size(0), 1);
}

// Gives 4 x 4 numbers whose size, strides or place in their storage are another ones where its argument says so.
at::Tensor shaped(const at::Tensor& how) {
  const auto kind = how.item<int64_t>();
  if (kind == 1) return at::zeros({5, 4});
  if (kind == 2) return at::zeros({4, 5}).narrow(1, 0, 4);
  if (kind == 3) return at::zeros({5, 4}).narrow(0, 1, 4);
  return at::zeros({4, 4});
}
TORCH_LIBRARY_FRAGMENT(gradus_test, m) { m.def("shaped(Tensor how) -> Tensor"); }
TORCH_LIBRARY_IMPL(gradus_test, CPU, m) { m.impl("shaped", &shaped); }

// An operator that does not say that its result's shape is one of numbers.
TEST(Plan, AResultOfAnotherShapeIsRefused) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("gradus_test::shaped", "").typed<at::Tensor(const at::Tensor&)>();
  const auto plan = record([](const List& in) { return List{op.call(in[0]) + 1}; }, {at::scalar_tensor(0, at::kLong)});
  List outputs;
  for (const int64_t kind : {1, 2, 3, 0}) {
    std::string told;
    try {
      plan->run({at::scalar_tensor(kind, at::kLong)}, outputs);
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Exit::bug);
      told = error.what();
    }
    EXPECT_EQ(told.find("gradus_test::shaped: another shape than when it was recorded") != std::string::npos, kind != 0)
        << kind << told;
  }
  EXPECT_TRUE(same(outputs[0], at::ones({4, 4})));
}

// Steps of a scan: those of a loop, from any row on, into rows of the outputs, until one is not finite.
TEST(Plan, AScanIsALoop) {
  const int64_t rows = 6;
  for (const int64_t from : {0, 1, 4}) {
    for (int64_t steps = 1; from + steps <= rows; ++steps) {
      for (const int64_t nan_at : {-1, 0, 2}) {
        at::Tensor mine = at::zeros({4}), theirs = at::zeros({4}), knob = at::scalar_tensor(0, at::kDouble);
        const auto step = [&](at::Tensor& kept) {
          return [&](const List& in) {
            kept.add_(in[0].select(0, 1) * knob.to(at::kFloat));
            return List{at::sin(in[0]).t(), kept.sum(), kept.clone(), at::zeros({2}), in[0].sum()};
          };
        };
        at::Tensor x = at::arange(rows * 2 * 4, at::kFloat).view({rows, 2, 4});
        if (nan_at >= 0) x[nan_at][nan_at == 0][0] = nan_at == 0 ? INFINITY : NAN;
        const auto plan = record(step(mine), {at::ones({2, 4})});
        mine.zero_();
        Plan::Scan scan{
            {x},   plan->stacked_outputs(rows), from, steps, [&](int64_t i) { knob.fill_(static_cast<double>(i + 1)); },
            {1, 4}};
        for (at::Tensor& one : scan.outputs) one.fill_(-7);
        ASSERT_TRUE(plan->fits(scan));
        const Plan::Scanned scanned = plan->run(scan);
        int64_t done = 0;
        for (bool finite = true; finite && done < steps; ++done) {
          knob.fill_(static_cast<double>(done + 1));
          const List out = step(theirs)({x[from + done]});
          for (std::size_t k = 0; k < out.size(); ++k) EXPECT_TRUE(same(scan.outputs[k][from + done], out[k])) << k;
          finite = std::isfinite(out[1].item<float>()) && std::isfinite(out[4].item<float>());
          EXPECT_EQ(scanned.finite || done + 1 < scanned.steps, finite);
        }
        EXPECT_EQ(scanned.steps, done);
        EXPECT_TRUE(same(mine, theirs));
        for (int64_t row = 0; row < rows; ++row) {
          if (row < from || row >= from + done) {
            EXPECT_EQ(scan.outputs[1][row].item<float>(), -7) << "no other row is touched";
          }
        }
      }
    }
  }
}

// A gradient that one step leaves for the next one to add to is another tensor each time; one that is cleared is not.
TEST(Plan, AScanFitsWhereNoGradientIsLeft) {
  for (const bool clears : {false, true}) {
    at::Tensor weight = at::ones({3}).requires_grad_();
    const auto plan = record(
        [&](const List& in) {
          if (clears) Recorder::current()->grad_cleared(weight);
          (weight * in[0]).sum().backward();
          return List{};
        },
        {at::ones({3})});
    weight.mutable_grad() = at::Tensor();
    EXPECT_TRUE(plan->fits({at::ones({3})}));
    EXPECT_EQ(plan->fits(Plan::Scan{{at::ones({4, 3})}, {}, 0, 4, {}, {}}), clears);
  }
}

TEST(Plan, AScanNeedsItsRows) {
  const auto plan = record([](const List& in) { return List{in[0] + in[1]}; }, {at::ones({3}), at::ones({3})});
  const auto fits = [&](const at::Tensor& a, const at::Tensor& b, int64_t from, int64_t steps) {
    return plan->fits(Plan::Scan{{a, b}, {}, from, steps, {}, {}});
  };
  const at::Tensor x = at::ones({5, 3});
  EXPECT_TRUE(fits(x, x, 0, 5));
  EXPECT_TRUE(fits(x, x, 4, 1));
  EXPECT_TRUE(fits(x, at::ones({9, 3}), 2, 3));
  EXPECT_FALSE(fits(x, x, 0, 6));
  EXPECT_FALSE(fits(x, x, 1, 5));
  EXPECT_FALSE(fits(x, at::ones({4, 3}), 0, 5));
  EXPECT_FALSE(fits(x, at::ones({}), 0, 1));
  EXPECT_FALSE(fits(x, at::ones({5, 4}), 0, 5));
  EXPECT_FALSE(fits(x, at::ones({5, 3}, at::kDouble), 0, 5));
}

}  // namespace
}  // namespace gradus
