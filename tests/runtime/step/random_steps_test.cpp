// Steps that nobody would write: whatever operators, views, copies and changes in place come together, a replay gives the
// step's own bits, and so does an audit.
#include <gtest/gtest.h>

#include <random>

#include "recorded.h"
#include "step/audit.h"

namespace gradus {
namespace {

using List = std::vector<at::Tensor>;

struct Program {
  struct Instruction {
    unsigned kind, a, b, place;
  };
  std::vector<Instruction> instructions;
  std::vector<unsigned> outputs;

  explicit Program(unsigned seed) {
    std::mt19937 random(seed);
    instructions.resize(3 + random() % 12);
    for (Instruction& one : instructions)
      one = {static_cast<unsigned>(random()), static_cast<unsigned>(random()), static_cast<unsigned>(random()),
             static_cast<unsigned>(random())};
    outputs.resize(random() % 3);
    for (unsigned& one : outputs) one = static_cast<unsigned>(random());
  }

  // kept: 128 numbers; the step reads and changes parts of them.
  List operator()(const List& in, const at::Tensor& kept) const {
    List values = {in[0], kept.slice(0, 64, 80)};
    for (const Instruction& one : instructions) {
      const at::Tensor a = values[one.a % values.size()];
      at::Tensor b = values[one.b % values.size()];
      if (b.sizes() != a.sizes()) b = a;
      const auto begin = static_cast<int64_t>(one.place % 4 * 16);
      at::Tensor place = kept.slice(0, begin, begin + 16);
      const bool whole = a.sizes() == place.sizes();
      switch (one.kind % 16) {
        case 0:
          values.push_back(at::sin(a));
          break;
        case 1:
          values.push_back(at::tanh(a));
          break;
        case 2:
          values.push_back(a + b);
          break;
        case 3:
          values.push_back(a * b);
          break;
        case 4:
          values.push_back(a * at::full({}, one.place % 2 ? 1.f : .5f));
          break;
        case 5:
          values.push_back(at::full({}, 1.f) * a);
          break;
        case 6:
          values.push_back(
              a.dim() == 1 && a.size(0) > 4 ? a.slice(0, one.place % 3, 4 + one.place % 5, 1 + one.place % 2) : a);
          break;
        case 7:
          values.push_back(whole ? a.view({4, 4}).t() : a.reshape({-1}));
          break;
        case 8:
          values.push_back(at::relu(a));
          break;
        case 9:
          values.push_back(a + .5);
          break;
        case 10:
          values.push_back(place);
          break;  // what is kept, as it is now
        case 11:
          if (whole) place.copy_(a);
          break;
        case 12:
          if (whole) at::_foreach_copy_({place, kept.slice(0, 96, 112)}, {a, b});
          break;
        case 13:
          if (a.storage().unsafeGetStorageImpl() != in[0].storage().unsafeGetStorageImpl())
            values[one.a % values.size()].add_(1);
          break;
        case 14:
          place.mul_(.5).add_(values[0]);
          break;
        default:
          values.push_back(at::zeros_like(a).add_(a));
          break;
      }
    }
    List list;
    for (const unsigned one : outputs) list.push_back(values[one % values.size()].clone());
    if (list.empty()) list.push_back(values.back());
    return list;
  }
};

at::Tensor numbers(int seed) { return at::arange(16, at::kFloat).mul(.1 * seed).sub(.7); }

TEST(RandomSteps, ReplayAndAuditGiveTheirBits) {
  int recorded = 0;
  for (unsigned seed = 0; seed < 600; ++seed) {
    SCOPED_TRACE(seed);
    const Program step(seed);
    const at::Tensor mine = at::arange(128, at::kFloat).sin(), theirs = mine.clone();
    std::unique_ptr<Plan> plan;
    {
      const List in = {numbers(0)};
      Recorder recorder(in, {});
      if (!recorder.finish(step(in, mine))) continue;  // changes what it made from numbers
      plan = std::make_unique<Plan>(recorder.take());
    }
    ++recorded;
    step({numbers(0)}, theirs);
    std::vector<List> held, wanted;  // outputs that somebody holds keep their numbers
    for (int i = 1; i < 4; ++i) {
      const List in = {numbers(i)};
      ASSERT_TRUE(plan->fits(in));
      List outputs;
      plan->run(in, outputs);
      held.push_back(outputs);
      wanted.push_back(step(in, theirs));
      ASSERT_TRUE(same(mine, theirs)) << i << plan->describe();
      for (at::Tensor& one : wanted.back()) one = one.clone();
    }
    for (std::size_t i = 0; i < held.size(); ++i) {
      ASSERT_EQ(held[i].size(), wanted[i].size());
      for (std::size_t k = 0; k < held[i].size(); ++k) {
        const bool view = held[i][k].storage().data() == mine.storage().data();  // of what is kept: it goes on changing
        ASSERT_TRUE(view || same(held[i][k], wanted[i][k])) << i << " " << k << plan->describe();
      }
    }
    const List in = {numbers(5)};
    Audit audit(*plan);
    audit.replay(in);
    ASSERT_EQ(audit.compare(step(in, mine), [](std::size_t) { return "one"; }), "") << plan->describe();
    step(in, theirs);
    ASSERT_TRUE(same(mine, theirs)) << "the audit is no step of its own";
  }
  EXPECT_GT(recorded, 400);
}

}  // namespace
}  // namespace gradus
