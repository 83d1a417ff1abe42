// What a step makes from nothing but numbers.
#include <gtest/gtest.h>

#include "recorded.h"

namespace gradus {
namespace {

// It is at hand for the step alone: what leaves it, as an output or as a gradient, is the caller's, who may change it.
TEST(Constants, WhatLeavesAStepIsMadeInEachCall) {
  enum Way { output, gradient, backward };
  for (const Way way : {output, gradient, backward}) {
    at::Tensor weight = at::ones({3}).requires_grad_(), recorded;
    const auto plan = record(
        [&](const std::vector<at::Tensor>&) {
          if (way == output) return std::vector<at::Tensor>{recorded = at::ones({3})};
          if (Recorder* recorder = Recorder::current()) recorder->grad_cleared(weight);
          weight.mutable_grad() = way == gradient ? at::ones({3}) : at::Tensor();
          if (way == backward) weight.sum().backward();
          recorded = weight.grad();
          return std::vector<at::Tensor>{};
        },
        {});
    recorded.fill_(5);
    std::vector<at::Tensor> outputs;
    for (int call = 0; call < 3; ++call) {
      plan->run({}, outputs);
      const at::Tensor left = way == output ? outputs[0] : weight.grad();
      EXPECT_TRUE(same(left, at::ones({3}))) << way << " in call " << call;
      left.fill_(5);
    }
  }
}

}  // namespace
}  // namespace gradus
