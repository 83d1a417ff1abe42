// What an audit says where the step itself does something else than its replay; and that it leaves nothing behind.
#include "step/audit.h"

#include <gtest/gtest.h>

#include <functional>

#include "recorded.h"

namespace gradus {
namespace {

using List = std::vector<at::Tensor>;

// What the step changes, and a switch that it does not tell the recorder of.
struct World {
  at::Tensor kept = at::arange(1, 4, at::kFloat), weight = at::arange(1, 4, at::kFloat).requires_grad_();
  double hidden = 1;
};
using Step = std::function<List(World& world, const List& in)>;

std::string audited(const Step& step, double hidden) {
  World world;
  const List in = {at::ones({3})};
  Recorder recorder(in, [] { return "x.lua:7"; });
  const List first = step(world, in);
  if (!recorder.finish(first)) return recorder.problem();
  Plan plan(recorder.take());
  Audit audit(plan);
  audit.replay(in);
  world.hidden = hidden;
  return audit.compare(step(world, in), [](std::size_t i) { return "out" + std::to_string(i); });
}

TEST(Audit, NamesWhatDiffersAndWhoWroteIt) {
  const struct {
    std::string says;
    Step step;
  } cases[] = {
      {"output 'out1' (by aten::mul at x.lua:7)",
       [](World& w, const List& in) {
         return List{in[0] + 1, in[0] * w.hidden};
       }},
      {"the step returns other outputs than when it was recorded",
       [](World& w, const List& in) { return w.hidden == 1 ? List{in[0] + 1} : List{}; }},
      {"output 'out0' (by aten::sum at x.lua:7)",
       [](World& w, const List& in) { return w.hidden == 1 ? List{in[0].sum()} : List{in[0].sum().reshape({1})}; }},
      {"output 'out0' (by aten::sum at x.lua:7)",
       [](World& w, const List& in) { return w.hidden == 1 ? List{in[0].sum()} : List{in[0].sum().to(at::kDouble)}; }},
      {"a tensor of shape [3] (by aten::add_ at x.lua:7)",
       [](World& w, const List& in) { return w.kept.add_(in[0] * w.hidden), List{}; }},
      {"a tensor of shape [3], a parameter (by aten::add_ at x.lua:7)",
       [](World& w, const List& in) {
         const at::NoGradGuard none;
         w.weight.add_(in[0] * w.hidden);
         return List{};
       }},
      {"a tensor of shape [3] (by none of the recorded operators)",
       [](World& w, const List& in) {
         const List out = {in[0] + w.kept};
         if (w.hidden != 1) w.kept.add_(1);
         return out;
       }},
      {"the gradient of a parameter of shape [3]",
       [](World& w, const List& in) {
         w.weight.mutable_grad() = at::Tensor();
         (w.weight * in[0] * w.hidden).sum().backward();
         return List{};
       }},
      {"the gradient of a parameter of shape [3]",
       [](World& w, const List& in) {
         w.weight.mutable_grad() = at::Tensor();
         (w.weight * in[0]).sum().backward();
         if (w.hidden != 1) w.weight.mutable_grad() = at::Tensor();
         return List{};
       }},
      {"how many random numbers were drawn",
       [](World& w, const List& in) {
         at::rand({2});
         if (w.hidden != 1) at::rand({2});
         return List{in[0] + 1};
       }},
  };
  for (const auto& [says, step] : cases) {
    EXPECT_EQ(audited(step, 1), "") << says;
    EXPECT_EQ(audited(step, 2), says);
  }
}

TEST(Audit, LeavesTheStepAsItWas) {
  const auto run = [](bool audits) {
    at::manual_seed(5);
    World world;
    const List in = {at::ones({3})};
    const auto step = [&](const List& batch) {
      const at::Tensor noise = at::rand({3});
      world.kept.mul_(batch[0] + noise);
      world.weight.mutable_grad() = at::Tensor();
      (world.weight * world.kept).sum().backward();
      return List{world.kept * 2};
    };
    const auto plan = record(step, in);
    List out;
    for (int i = 0; i < 3; ++i) {
      if (audits) {
        Audit audit(*plan);
        audit.replay(in);
        out = step(in);
        EXPECT_EQ(audit.compare(out, [](std::size_t) { return "out"; }), "");
      } else {
        out = step(in);
      }
    }
    return List{world.kept, world.weight.grad(), out[0], at::rand({3})};
  };
  const List with = run(true), without = run(false);
  for (std::size_t i = 0; i < with.size(); ++i) EXPECT_TRUE(same(with[i], without[i])) << i;
}

}  // namespace
}  // namespace gradus
