// Which copies and products with 1 a plan leaves out: those whose memory may be the same, and no other.
#include "step/sharing.h"

#include <gtest/gtest.h>

#include <functional>

#include "recorded.h"

namespace gradus {
namespace {

using List = std::vector<at::Tensor>;

// A step over the numbers that it keeps.
struct Case {
  const char* name;
  bool left_out;  // the operator that is looked for
  std::function<List(const List& in, const at::Tensor& kept)> step;
};

std::size_t count(const std::string& text, const std::string& name) {
  std::size_t found = 0;
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) ++found;
  return found;
}

// Both ways, from one state: the same outputs and the same numbers kept, and the operator there or not.
void check(const Case& c, const char* op) {
  SCOPED_TRACE(c.name);
  const at::Tensor mine = at::arange(64, at::kFloat), theirs = mine.clone();
  const auto batch = [](int i) { return List{at::arange(16, at::kFloat).mul(i + 1).add(.5)}; };
  c.step(batch(0), theirs);
  const auto plan = record([&](const List& in) { return c.step(in, mine); }, batch(0));
  EXPECT_EQ(count(plan->describe(), op) == 0, c.left_out) << plan->describe();
  List outputs;
  for (int i = 1; i < 4; ++i) {
    const List wanted = c.step(batch(i), theirs);
    plan->run(batch(i), outputs);
    ASSERT_EQ(outputs.size(), wanted.size());
    for (std::size_t k = 0; k < wanted.size(); ++k) EXPECT_TRUE(same(outputs[k], wanted[k])) << i << " " << k;
    EXPECT_TRUE(same(mine, theirs)) << i;
  }
}

at::Tensor part(const at::Tensor& kept, int64_t begin, int64_t end) { return kept.slice(0, begin, end); }

TEST(Sharing, ACopyIsLeftOutWhereNobodySeesThatItIs) {
  const Case cases[] = {
      {"nobody looks", true,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(at::sin(in[0]));
         return List{};
       }},
      {"the source is looked at before it is copied", true,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = source + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"and after it", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]);
         part(kept, 16, 32).copy_(source);
         part(kept, 16, 32).add_(1);
         return List{source + 1};
       }},
      {"the source is an output", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]);
         part(kept, 16, 32).copy_(source);
         return List{source};
       }},
      {"the source is changed before it is copied", true,
       [](const List& in, const at::Tensor& kept) {
         at::Tensor source = at::sin(in[0]);
         source.add_(1);
         part(kept, 16, 32).copy_(source);
         return List{};
       }},
      {"the target is looked at before the source is made", true,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor seen = part(kept, 16, 32) + 1;
         part(kept, 16, 32).copy_(at::sin(in[0]));
         return List{seen};
       }},
      {"by who makes the source", true,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(in[0] * part(kept, 48, 64));
         return List{};
       }},
      {"the source begins as memory alone, and the target is looked at when it is filled", false,
       [](const List& in, const at::Tensor& kept) {
         at::Tensor source = at::empty({16});
         at::sin_out(source, in[0]);
         const at::Tensor seen = part(kept, 16, 32) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"after the first operator made it", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = part(kept, 16, 32) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"after a later one made it", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor before = at::cos(in[0]), source = at::sin(before), seen = part(kept, 16, 32) + before;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"after the copy", true,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(at::sin(in[0]));
         return List{part(kept, 16, 32) + 1};
       }},
      {"its neighbour on the left is looked at", true,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = part(kept, 0, 16) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"with the first number of the target", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = part(kept, 0, 17) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"its neighbour on the right", true,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = part(kept, 32, 48) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"with the last number of the target", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = part(kept, 31, 48) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"the last number by steps over others", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = kept.slice(0, 1, 17, 5) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"steps that end before it", true,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = kept.slice(0, 0, 17, 5) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"of two dimensions", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = kept.view({4, 16}).slice(0, 0, 2).slice(1, 0, 1) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"none of its numbers", true,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]), seen = part(kept, 20, 20) + 1;
         part(kept, 16, 32).copy_(source);
         return List{seen};
       }},
      {"the target does not begin at a cache line", false,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 1, 17).copy_(at::sin(in[0]));
         return List{};
       }},
      {"the target is all of another shape", false,
       [](const List& in, const at::Tensor& kept) {
         kept.view({4, 16}).copy_(at::sin(in[0]));
         return List{};
       }},
      {"the target has gaps", false,
       [](const List& in, const at::Tensor& kept) {
         kept.slice(0, 0, 64, 4).copy_(at::sin(in[0]));
         return List{};
       }},
      {"the target lies across, and so does the source", false,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 0, 16).view({4, 4}).t().copy_(at::sin(in[0].view({4, 4}).t()));
         return List{};
       }},
      {"the source is of another type", false,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(at::sin(in[0].to(at::kDouble)));
         return List{};
       }},
      {"the source is seen in another shape", true,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(at::sin(in[0].view({4, 4})).view({16}));
         return List{};
       }},
      {"the source is the first part of what was made", false,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 16, 24).copy_(at::sin(in[0]).slice(0, 0, 8));
         return List{};
       }},
      {"the source is the batch", false,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(in[0]);
         return List{};
       }},
      {"the source was there before the step", false,
       [](const List&, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(part(kept, 32, 48));
         return List{};
       }},
      {"the source is made of numbers alone", false,
       [](const List&, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(at::full({16}, 3.f));
         return List{};
       }},
      {"the target is made in the step", false,
       [](const List& in, const at::Tensor&) {
         at::Tensor target = at::cos(in[0]);
         target.copy_(at::sin(in[0]));
         return List{target};
       }},
      {"the source is copied twice", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor source = at::sin(in[0]);
         part(kept, 16, 32).copy_(source);
         part(kept, 32, 48).copy_(source);
         return List{};
       }},
      {"two sources, one after the other", true,
       [](const List& in, const at::Tensor& kept) {
         part(kept, 16, 32).copy_(at::sin(in[0]));
         part(kept, 32, 48).copy_(at::cos(in[0]));
         return List{};
       }},
      {"two sources for one place", true,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor one = at::sin(in[0]), two = at::cos(in[0]);
         part(kept, 16, 32).copy_(one);
         part(kept, 16, 32).copy_(two);
         return List{};
       }},
      {"of which the first is looked at when the second is there", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor one = at::sin(in[0]), two = at::cos(in[0]), seen = one + 1;
         part(kept, 16, 32).copy_(one);
         part(kept, 16, 32).copy_(two);
         return List{seen};
       }},
      {"a list", true,
       [](const List& in, const at::Tensor& kept) {
         at::_foreach_copy_({part(kept, 0, 16), part(kept, 16, 32)}, {at::sin(in[0]), at::cos(in[0])});
         return List{};
       }},
      {"a list of which the second stays", false,
       [](const List& in, const at::Tensor& kept) {
         at::_foreach_copy_({part(kept, 0, 16), part(kept, 17, 33), part(kept, 48, 64)},
                            {at::sin(in[0]), at::cos(in[0]), at::exp(in[0])});
         return List{};
       }},
      {"a list of which the first and the last stay", false,
       [](const List& in, const at::Tensor& kept) {
         const at::Tensor first = at::sin(in[0]), last = at::exp(in[0]);
         at::_foreach_copy_({part(kept, 0, 16), part(kept, 16, 32), part(kept, 33, 49)}, {first, at::cos(in[0]), last});
         return List{first + last};
       }},
  };
  for (const Case& c : cases) check(c, "copy_");
}

// Of a list that stays in part, only that part is copied.
TEST(Sharing, WhatStaysOfAListKeepsItsPlaces) {
  const at::Tensor kept = at::zeros({64});
  const auto plan = record(
      [&](const List& in) {
        at::_foreach_copy_({part(kept, 0, 16), part(kept, 17, 33), part(kept, 48, 64)},
                           {at::sin(in[0]), at::cos(in[0]), at::exp(in[0])});
        return List{};
      },
      {at::ones({16})});
  const auto& ops = plan->recording().ops;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].handle.operator_name().name != "aten::_foreach_copy_") continue;
    const torch::jit::Stack& arguments = *plan->arguments_of(static_cast<int>(i));
    ASSERT_EQ(arguments[0].toTensorVector().size(), 1u);
    ASSERT_EQ(arguments[1].toTensorVector().size(), 1u);
    EXPECT_EQ(arguments[0].toTensorVector()[0].const_data_ptr(), part(kept, 17, 33).const_data_ptr());
    return;
  }
  FAIL() << plan->describe();
}

TEST(Sharing, AProductWithOneIsLeftOutWhereBothMayBeTheSame) {
  const auto one = [] { return at::full({}, 1.f); };
  const Case cases[] = {
      {"on the right", true, [&](const List& in, const at::Tensor&) { return List{at::exp(at::sin(in[0]) * one())}; }},
      {"on the left", true, [&](const List& in, const at::Tensor&) { return List{at::exp(one() * at::sin(in[0]))}; }},
      {"twice", true, [&](const List& in, const at::Tensor&) { return List{at::exp(at::sin(in[0]) * one() * one())}; }},
      {"no one", false,
       [&](const List& in, const at::Tensor&) { return List{at::exp(at::sin(in[0]) * at::full({}, 2.f))}; }},
      {"of one dimension", false,
       [&](const List& in, const at::Tensor&) { return List{at::exp(at::sin(in[0]) * at::ones({1}))}; }},
      {"of another type", false,
       [&](const List& in, const at::Tensor&) { return List{at::exp(at::round(in[0]).to(at::kInt).neg() * one())}; }},
      {"that may change", false,
       [&](const List& in, const at::Tensor& kept) { return List{at::exp(at::sin(in[0]) * kept[1])}; }},
      {"of the batch", false, [&](const List& in, const at::Tensor&) { return List{at::exp(in[0] * one())}; }},
      {"of what is kept", false, [&](const List&, const at::Tensor& kept) { return List{at::exp(kept * one())}; }},
      {"of a part", false,
       [&](const List& in, const at::Tensor&) { return List{at::exp(at::sin(in[0]).slice(0, 0, 8) * one())}; }},
      {"of a part that begins later", false,
       [&](const List& in, const at::Tensor&) { return List{at::exp(at::sin(in[0]).slice(0, 8, 16) * one())}; }},
      {"whose factor is an output", false,
       [&](const List& in, const at::Tensor&) {
         const at::Tensor factor = at::sin(in[0]);
         return List{factor, at::exp(factor * one())};
       }},
      {"that is an output", false, [&](const List& in, const at::Tensor&) { return List{at::sin(in[0]) * one()}; }},
      {"whose factor changes later", false,
       [&](const List& in, const at::Tensor&) {
         const at::Tensor factor = at::sin(in[0]), product = factor * one();
         factor.add_(1);
         return List{at::exp(product), at::exp(factor)};
       }},
      {"that changes later", false,
       [&](const List& in, const at::Tensor&) {
         const at::Tensor factor = at::sin(in[0]), product = factor * one();
         product.add_(1);
         return List{at::exp(product), at::exp(factor)};
       }},
      {"into a place of its own", false,
       [&](const List& in, const at::Tensor& kept) {
         at::Tensor target = part(kept, 0, 16);
         at::mul_out(target, at::sin(in[0]), one());
         return List{};
       }},
      {"the factor is used after it", true,
       [&](const List& in, const at::Tensor&) {
         const at::Tensor factor = at::sin(in[0]), product = factor * one();
         return List{at::exp(product), at::exp(factor), at::exp(product)};
       }},
  };
  for (const Case& c : cases) check(c, "aten::mul");
}

}  // namespace
}  // namespace gradus
