// Recording and replaying a step: the same bits as the step itself, no memory, and refusal of what cannot be replayed.
#include "step/record.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "error.h"
#include "ops/kd_loss.h"
#include "recorded.h"
#include "step/audit.h"
#include "step/flat.h"

namespace gradus {
namespace {

// The step of the parity experiment: MLP n-h-2, distillation loss, clipping, AdamW over flat buffers.
struct KdStep {
  std::vector<at::Tensor> params;
  at::Tensor flat, grads, m, v, count, lr = at::scalar_tensor(1e-2, at::kDouble),
                                       clip = at::scalar_tensor(1, at::kDouble);
  at::Tensor temperature = at::scalar_tensor(4, at::kDouble), alpha = at::scalar_tensor(.5, at::kDouble);

  KdStep(int64_t n, int64_t h) {
    at::manual_seed(1);
    for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{h, n}, {h}, {2, h}, {2}})
      params.push_back((at::randn(shape) * .1).requires_grad_(true));
    flat = *flatten(params);
    grads = at::zeros_like(flat);
    m = at::zeros_like(flat);
    v = at::zeros_like(flat);
    count = at::zeros({});
  }

  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& batch) {
    const at::Tensor z = at::linear(at::relu(at::linear(batch[0], params[0], params[1])), params[2], params[3]);
    const auto kd = kd_loss({z, batch[2], batch[1], temperature, alpha});
    const auto own = torch::autograd::grad({std::get<0>(kd)}, params);
    const at::NoGradGuard no_grad;
    const auto places = parts(grads, params);
    at::_foreach_copy_(places, own);
    static const auto clip_op = c10::Dispatcher::singleton()
                                    .findSchemaOrThrow("gradus::clip_grad_norm_", "")
                                    .typed<at::Tensor(at::TensorList, const at::Tensor&)>();
    const at::Tensor norm = clip_op.call(places, clip);
    count.add_(1);
    at::_fused_adamw_({flat}, {grads}, {m}, {v}, {}, {count}, lr, .9, .999, .01, 1e-8, false, false);
    return {std::get<0>(kd).detach(), std::get<3>(kd), norm};
  }
};

std::vector<at::Tensor> batch(int64_t rows, int64_t n, int seed) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return {at::randn({rows, n}), at::randint(2, {rows}), at::randn({rows, 2})};
}

template <class F>
std::string problem_of(F&& step, const std::vector<at::Tensor>& inputs) {
  Recorder recorder(inputs, {});
  const auto outputs = step(inputs);
  return recorder.finish(outputs) ? "" : recorder.problem();
}

TEST(Record, ReplaysAKdStepBitForBit) {
  for (int64_t rows : {1, 7, 32}) {
    KdStep eager(20, 33), replayed(20, 33);
    std::unique_ptr<Plan> plan;
    std::vector<at::Tensor> outputs;
    for (int i = 0; i < 10; ++i) {
      const auto inputs = batch(rows, 20, 10 + i);
      eager.temperature.fill_(1 + i);
      replayed.temperature.fill_(1 + i);
      const auto wanted = eager(inputs);
      if (!plan) {
        plan = record(replayed, inputs);
        continue;
      }
      ASSERT_TRUE(plan->fits(inputs));
      plan->run(inputs, outputs);
      ASSERT_EQ(outputs.size(), wanted.size());
      for (std::size_t k = 0; k < wanted.size(); ++k)
        EXPECT_TRUE(same(outputs[k], wanted[k])) << rows << " " << i << " " << k;
      for (std::size_t k = 0; k < 4; ++k) EXPECT_TRUE(same(eager.params[k], replayed.params[k])) << rows << " " << i;
    }
    EXPECT_FALSE(plan->fits(batch(rows + 1, 20, 1)));
  }
}

TEST(Record, WritesGradientsIntoTheFlatBufferAndDropsTheCopies) {
  KdStep step(20, 33);
  const auto plan = record(step, batch(32, 20, 1));
  const std::string text = plan->describe();
  EXPECT_EQ(text.find("copy"), std::string::npos) << text;
  EXPECT_NE(text.find("aten::addmm.out"), std::string::npos) << text;
  EXPECT_EQ(text.find("aten::t "), std::string::npos) << text;
  EXPECT_LE(plan->num_operators(), 14u) << text;
}

TEST(Record, AWarmPlanAsksForNoMemory) {
  KdStep step(100, 100);
  const auto inputs = batch(32, 100, 1);
  const auto plan = record(step, inputs);
  std::vector<at::Tensor> outputs;
  for (int i = 0; i < 3; ++i) plan->run(inputs, outputs);
  const auto before = memory::allocations();
  for (int i = 0; i < 100; ++i) {
    outputs.clear();
    plan->run(inputs, outputs);
  }
  EXPECT_EQ(memory::allocations(), before);
  step(inputs);
  EXPECT_GT(memory::allocations(), before);  // the step itself does
}

TEST(Record, OutputsThatAreHeldKeepTheirValues) {
  const auto step = [](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{in[0] * 2, (in[0] + 1).select(0, 1), at::relu(in[0])};
  };
  const auto plan = record(step, {at::ones({3})});
  std::vector<std::vector<at::Tensor>> kept(5);
  for (int i = 0; i < 5; ++i) plan->run({at::full({3}, static_cast<float>(i))}, kept[i]);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(kept[i][0][2].item<float>(), 2 * i);
    EXPECT_EQ(kept[i][1].item<float>(), i + 1);
    EXPECT_EQ(kept[i][2][0].item<float>(), i);
  }
}

TEST(Record, ResultsThatAutogradSavesAreNotFrozen) {
  at::Tensor w = at::randn({4, 4}).requires_grad_(true);
  const auto step = [&](const std::vector<at::Tensor>& in) {
    const at::Tensor y = (at::softmax(at::mm(in[0], w), 1).relu() * at::tanh(in[0])).sigmoid().pow(2).sum();
    return std::vector<at::Tensor>{torch::autograd::grad({y}, {w})[0]};
  };
  const auto plan = record(step, {at::randn({3, 4})});
  for (int i = 0; i < 3; ++i) {
    const at::Tensor x = at::randn({3, 4});
    std::vector<at::Tensor> outputs;
    plan->run({x}, outputs);
    EXPECT_TRUE(same(outputs[0], step({x})[0]));
  }
}

TEST(Record, DeadOperatorsAndConstantsAreLeftOutRandomOnesAreNot) {
  const auto step = [](const std::vector<at::Tensor>& in) {
    const at::Tensor unused = at::exp(in[0]);
    at::rand({2});
    return std::vector<at::Tensor>{in[0] + at::ones({3}).mul(2).exp()};
  };
  const auto plan = record(step, {at::ones({3})});
  EXPECT_EQ(plan->num_operators(), 2u) << plan->describe();
  EXPECT_NE(plan->describe().find("aten::rand"), std::string::npos);
}

TEST(Record, StatisticsThatChangeUnsaidAreState) {
  at::Tensor mean = at::zeros({2}), var = at::ones({2});
  const auto step = [&](const std::vector<at::Tensor>& in) {
    at::batch_norm(in[0], {}, {}, mean, var, true, .1, 1e-5, false);  // nobody wants its result
    return std::vector<at::Tensor>{in[0] * 2};
  };
  const at::Tensor x = at::randn({8, 2});
  const auto plan = record(step, {x});
  const at::Tensor once = mean.clone();
  std::vector<at::Tensor> outputs;
  plan->run({x}, outputs);
  EXPECT_FALSE(same(mean, once));
}

TEST(Record, RefusesWhatDependsOnValues) {
  const at::Tensor x = at::ones({3});
  using List = std::vector<at::Tensor>;
  EXPECT_NE(
      problem_of([](const List& in) { return List{in[0] * in[0].sum().item()}; }, {x}).find("_local_scalar_dense"),
      std::string::npos);
  EXPECT_NE(problem_of([](const List& in) { return List{at::nonzero(in[0])}; }, {x}).find("nonzero"),
            std::string::npos);
  EXPECT_NE(
      problem_of([](const List& in) { return List{at::equal(in[0], in[0]) ? in[0] : in[0] + 1}; }, {x}).find("equal"),
      std::string::npos);
  EXPECT_EQ(problem_of([](const List& in) { return List{in[0].index({at::tensor({0, 1})})}; }, {x}), "");
  EXPECT_NE(problem_of([](const List& in) { return List{in[0].index({in[0] > 0})}; }, {x}).find("index"),
            std::string::npos);
  EXPECT_THROW(
      problem_of([&](const List& in) { return List{Recorder({x}, {}).problem().empty() ? in[0] : in[0]}; }, {x}),
      Error);
  EXPECT_EQ(Recorder::current(), nullptr);
  EXPECT_FALSE(c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::Fake)) << "what follows goes its usual way";
}

TEST(Record, ParametersThatMoveOrFreezeAreSeen) {
  at::Tensor w = at::ones({3}).requires_grad_(true);
  const auto step = [&](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{(in[0] * w).detach()}; };
  const at::Tensor x = at::ones({3});
  const auto plan = record(step, {x});
  EXPECT_TRUE(plan->fits({x}));
  flatten({w});  // other memory under the same storage: followed
  ASSERT_TRUE(plan->fits({x}));
  std::vector<at::Tensor> outputs;
  w.detach().fill_(5);
  plan->run({x}, outputs);
  EXPECT_EQ(outputs[0][0].item<float>(), 5);
  w.requires_grad_(false);
  EXPECT_FALSE(plan->fits({x}));
  w.requires_grad_(true);
  w.set_data(at::zeros({3}));
  EXPECT_FALSE(plan->fits({x}));
}

TEST(Record, AuditFindsWhatTheRecorderCannotKnow) {
  double hidden = 1;
  at::Tensor w = at::ones({3});
  const auto step = [&](const std::vector<at::Tensor>& in) {
    w.add_(in[0] * hidden);
    return std::vector<at::Tensor>{w * 2};
  };
  const at::Tensor x = at::ones({3});
  const auto plan = record(step, {x});
  const auto audited = [&] {
    Audit audit(*plan);
    audit.replay({x});
    return audit.compare(step({x}), [](std::size_t) { return std::string("w"); });
  };
  EXPECT_EQ(audited(), "");
  EXPECT_EQ(w[0].item<float>(), 3);  // one step, not two
  hidden = 2;
  EXPECT_NE(audited().find("output 'w' (by aten::mul)"), std::string::npos);
}

TEST(Record, AuditCopiesNoStateThatAnOptimizerAloneChanges) {
  struct OwnStep : KdStep {
    using KdStep::KdStep;
    std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& batch) {
      const at::Tensor z = at::linear(at::relu(at::linear(batch[0], params[0], params[1])), params[2], params[3]);
      const auto kd = kd_loss({z, batch[2], batch[1], temperature, alpha});
      const auto own = torch::autograd::grad({std::get<0>(kd)}, params);
      const at::NoGradGuard no_grad;
      if (!stale) at::_foreach_copy_(parts(grads, params), own);
      update();
      if (looks) return {std::get<0>(kd).detach(), flat.sum()};
      return {std::get<0>(kd).detach()};
    }
    void update() {
      static const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow("gradus::adam_", "");
      torch::jit::Stack stack = {std::vector<at::Tensor>{flat},
                                 std::vector<at::Tensor>{grads},
                                 std::vector<at::Tensor>{m},
                                 std::vector<at::Tensor>{v},
                                 std::vector<at::Tensor>{count},
                                 lr,
                                 c10::IValue(),
                                 c10::IValue(),
                                 .9,
                                 .999,
                                 .01,
                                 1e-8,
                                 true,
                                 false,
                                 false};
      handle.callBoxed(&stack);
    }
    bool looks = false, stale = false;
  };
  for (const bool looks : {false, true}) {
    OwnStep eager(100, 3000), step(100, 3000);  // more than one piece
    eager.looks = step.looks = looks;
    const auto inputs = batch(4, 100, 1);
    eager(inputs);
    const auto plan = record(step, inputs);
    const auto audited = [&] {
      Audit audit(*plan);
      EXPECT_EQ(audit.copied_bytes() > step.flat.nbytes(), looks);
      audit.replay(inputs);
      return audit.compare(step(inputs), [](std::size_t) { return std::string("out"); });
    };
    EXPECT_EQ(audited(), "");
    eager(inputs);
    for (const auto& [one, other] :
         {std::pair{step.flat, eager.flat}, {step.m, eager.m}, {step.count, eager.count}, {step.grads, eager.grads}})
      EXPECT_TRUE(same(one, other)) << looks;
    step.stale = true;  // what the replay left there must not serve
    EXPECT_NE(audited(), "");
  }
}

using List = std::vector<at::Tensor>;

TEST(Record, ListsOfResultsAndOfIndices) {
  const at::Tensor table = at::randn({5, 4});
  const auto step = [&](const List& in) {
    const auto sums = at::_foreach_add({in[0], in[0] * 2}, 1.0);
    return List{sums[1], sums[0] * 3, table.index({at::indexing::Slice(), in[1]}), table.index({in[1], in[1]})};
  };
  const auto plan = record(step, {at::randn({3}), at::tensor({0, 1}, at::kLong)});
  const List in = {at::randn({3}), at::tensor({3, 2}, at::kLong)}, wanted = step(in);
  List outputs;
  for (int call = 0; call < 2; ++call) {
    plan->run(in, outputs);
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(same(outputs[i], wanted[i])) << i;
  }
}

TEST(Record, NumbersOfTheProgramAreToldFromThoseOfTensors) {
  const auto number = [](at::Tensor t) {
    t.unsafeGetTensorImpl()->set_wrapped_number(true);
    return t;
  };
  const at::Tensor x = at::ones({3}), kept = at::ones({});
  const auto step = [&](const List& in) { return List{in[0] * number(at::scalar_tensor(3, at::kDouble))}; };
  const auto plan = record(step, {x});
  List outputs;
  plan->run({x * 2}, outputs);
  EXPECT_TRUE(same(outputs[0], at::full({3}, 6.f)));
  for (const auto& from_a_tensor : std::vector<std::function<at::Tensor(const List&)>>{
           [](const List& in) { return in[0].sum(); }, [&](const List& in) { return in[0] * kept, kept.detach(); }})
    EXPECT_NE(problem_of([&](const List& in) { return List{in[0] * number(from_a_tensor(in))}; }, {x})
                  .find("aten::mul: a number from a tensor"),
              std::string::npos);
}

TEST(Record, AGeneratorOfItsOwnIsDrawnFrom) {
  at::Generator own = at::detail::createCPUGenerator(7), other = at::detail::createCPUGenerator(7);
  const auto plan = record([&](const List&) { return List{at::rand({3}, own)}; }, {});
  EXPECT_EQ(plan->recording().generators.size(), 1u);
  at::rand({3}, other);
  List outputs;
  for (int call = 0; call < 2; ++call) {
    plan->run({}, outputs);
    EXPECT_TRUE(same(outputs[0], at::rand({3}, other))) << call;
  }
}

TEST(Record, QuestionsAboutShapesAreNoOperatorsOfAStep) {
  const at::Tensor x = at::ones({3});
  const auto plan =
      record([](const List& in) { return List{at::is_same_size(in[0], in[0]) ? in[0] + 1 : in[0]}; }, {x});
  EXPECT_EQ(plan->num_operators(), 1u) << plan->describe();
  EXPECT_NE(problem_of([](const List& in) { return List{in[0].is_set_to(in[0]) ? in[0] + 1 : in[0]}; }, {x})
                .find("aten::is_set_to reads a tensor's values"),
            std::string::npos);
  EXPECT_EQ(problem_of(
                [](const List& in) {
                  Recorder::value_read("item");
                  return in;
                },
                {x}),
            "a tensor's values are read (item)");
  Recorder::value_read("item");  // of nobody's step
}

TEST(Record, WhatIsFilledByHandIsTheSameInEachCall) {
  const at::Tensor x = at::ones({3});
  const auto filled = [] {
    at::Tensor t = at::empty({3});
    std::fill_n(t.mutable_data_ptr<float>(), 3, 2.f);
    return t;
  };
  const auto plan = record(
      [&](const List& in) {
        const at::Tensor t = filled(), copied = at::empty({3});
        copied.copy_(in[0]);
        return List{in[0] * t, t, copied * 3};
      },
      {x});
  List outputs;
  for (int call = 0; call < 2; ++call) {
    plan->run({x * 4}, outputs);
    EXPECT_TRUE(same(outputs[0], at::full({3}, 8.f)));
    EXPECT_TRUE(same(outputs[1], at::full({3}, 2.f)));
    EXPECT_TRUE(same(outputs[2], at::full({3}, 12.f)));
    outputs[1].fill_(7);  // the caller's
  }
  EXPECT_NE(problem_of(
                [&](const List& in) {
                  at::Tensor t = filled();
                  const at::Tensor product = in[0] * t;
                  t.add_(1);
                  return List{product};
                },
                {x})
                .find("aten::add_ changes a tensor that the step made from numbers"),
            std::string::npos);
}

// What a recorded step made and nobody needs any more does not pile up while it is recorded.
TEST(Record, LargeTensorsGoAsTheyDie) {
  for (const int64_t count : {1 << 14, 1 << 18}) {  // from 64 KiB on
    const at::Tensor x = at::ones({count});
    const auto before = memory::live_bytes();
    std::size_t held = 0;
    const auto step = [&](const List& in) {
      at::Tensor y = in[0];
      for (int i = 0; i < 40; ++i) y = y + 1;
      held = memory::live_bytes() - before;
      return List{y};
    };
    const auto plan = record(step, {x});
    EXPECT_LT(held, 5 * x.nbytes());
    List outputs;
    plan->run({x}, outputs);
    EXPECT_EQ(outputs[0][0].item<float>(), 41);
  }
}

}  // namespace
}  // namespace gradus
