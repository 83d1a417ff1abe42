// What a step does to the memory that was there before it: which stretches, how they change, and who updates them alone.
#include "step/footprint.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <gtest/gtest.h>

#include <functional>

#include "recorded.h"

namespace gradus {
namespace {

using List = std::vector<at::Tensor>;
using Change = Footprint::Change;

void sgd(const List& params, const List& grads, const List& momenta) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("gradus::sgd_", "");
  torch::jit::Stack stack = {params,        grads,         momenta, at::scalar_tensor(.1, at::kDouble),
                             c10::IValue(), c10::IValue(), 0.,      momenta.empty() ? 0. : .9,
                             false,         false,         false};
  op.callBoxed(&stack);
}

at::Tensor numbers(int64_t count = 16) { return at::arange(count, at::kFloat).add(1); }

at::Tensor part(const at::Tensor& kept, int64_t begin, int64_t end) { return kept.slice(0, begin, end); }

// How a step changes what is kept; the numbers of it that it overwrites, "0-8 8-16"; how many operators may work on copies.
struct Case {
  const char* name;
  Change change;
  const char* overwritten;
  std::size_t updates;
  std::function<void(const at::Tensor& in, const at::Tensor& kept)> step;
};

std::string places(const Footprint::Range& range) {
  std::string text;
  for (const auto& [begin, end] : range.overwritten)
    text += (text.empty() ? "" : " ") + std::to_string((begin - range.begin) / 4) + "-" +
            std::to_string((end - range.begin) / 4);
  return text;
}

TEST(Footprint, HowAStretchChanges) {
  const Case cases[] = {
      {"looked at", Change::none, "", 0, [](const at::Tensor& in, const at::Tensor& k) { at::_foreach_copy_({in.clone()}, {k}); }},
      {"added to", Change::other, "", 0, [](const at::Tensor& in, const at::Tensor& k) { k.add_(in); }},
      {"copied over", Change::overwritten, "0-16", 0, [](const at::Tensor& in, const at::Tensor& k) { k.copy_(in); }},
      {"zeroed", Change::overwritten, "0-16", 0, [](const at::Tensor&, const at::Tensor& k) { k.zero_(); }},
      {"filled", Change::overwritten, "4-8", 0, [](const at::Tensor&, const at::Tensor& k) { part(k, 4, 8).fill_(2); }},
      {"copied over as a list", Change::overwritten, "0-8 8-16", 0,
       [](const at::Tensor& in, const at::Tensor& k) { at::_foreach_copy_({part(k, 0, 8), part(k, 8, 16)},
           {part(in, 0, 8), part(in, 0, 8)}); }},
      {"one half, then the other", Change::overwritten, "8-16 0-8", 0,
       [](const at::Tensor& in, const at::Tensor& k) { part(k, 8, 16).copy_(part(in, 0, 8)), part(k, 0, 8).copy_(part(in, 8, 16)); }},
      {"with gaps", Change::other, "", 0, [](const at::Tensor& in, const at::Tensor& k) { k.slice(0, 0, 16, 2).copy_(part(in, 0, 8)); }},
      {"across", Change::overwritten, "0-16", 0, [](const at::Tensor& in,
          const at::Tensor& k) { k.view({4, 4}).t().copy_(in.view({4, 4})); }},
      {"a column", Change::other, "", 0, [](const at::Tensor& in, const at::Tensor& k) { k.view({4, 4}).select(1,
          1).copy_(part(in, 0, 4)); }},
      {"a row", Change::overwritten, "4-8", 0, [](const at::Tensor& in, const at::Tensor& k) { k.view({4, 4}).select(0,
          1).copy_(part(in, 0, 4)); }},
      {"nothing of it", Change::none, "", 0, [](const at::Tensor& in, const at::Tensor& k) { part(k, 4, 4).copy_(part(in, 0, 0)); }},
      {"then added to", Change::other, "", 0, [](const at::Tensor& in, const at::Tensor& k) { k.copy_(in), k.add_(1); }},
      {"then looked at", Change::overwritten, "0-16", 0, [](const at::Tensor& in, const at::Tensor& k) { k.copy_(in), in.clone().add_(k);
          }},
      {"looked at before", Change::other, "", 0, [](const at::Tensor& in, const at::Tensor& k) { k.copy_(in + k); }},
      {"its other half looked at before", Change::overwritten, "8-16", 0,
       [](const at::Tensor& in, const at::Tensor& k) { part(k, 8, 16).copy_(part(in, 0, 8) + part(k, 0, 8)); }},
      {"and one number more", Change::other, "", 0, [](const at::Tensor& in,
          const at::Tensor& k) { part(k, 8, 16).copy_((part(in, 0, 9) + part(k, 0, 9)).slice(0, 1)); }},
      {"the half after it looked at before", Change::overwritten, "0-8", 0,
       [](const at::Tensor& in, const at::Tensor& k) { part(k, 0, 8).copy_(part(in, 0, 8) + part(k, 8, 16)); }},
      {"and one number less", Change::other, "", 0, [](const at::Tensor& in,
          const at::Tensor& k) { part(k, 0, 8).copy_((part(in, 0, 9) + part(k, 7, 16)).slice(0, 1)); }},
      {"copied over again, what was looked at between", Change::overwritten, "0-16 0-8", 0,
       [](const at::Tensor& in, const at::Tensor& k) {
         k.copy_(in);
         part(k, 0, 8).copy_(part(in, 0, 8) + part(k, 4, 12));
       }},
      {"of which a first part had been copied over", Change::overwritten, "0-8 0-8", 0,
       [](const at::Tensor& in, const at::Tensor& k) {
         part(k, 0, 8).copy_(part(in, 0, 8));
         part(k, 0, 8).copy_(part(in, 0, 8) + part(k, 4, 12));
       }},
      {"of which the first had not", Change::other, "", 0,
       [](const at::Tensor& in, const at::Tensor& k) {
         part(k, 1, 8).copy_(part(in, 1, 8));
         part(k, 0, 8).copy_(part(in, 0, 8) + part(k, 0, 8));
       }},
      {"of which the last had not", Change::other, "", 0,
       [](const at::Tensor& in, const at::Tensor& k) {
         part(k, 0, 7).copy_(part(in, 0, 7));
         part(k, 0, 8).copy_(part(in, 0, 8) + part(k, 0, 8));
       }},
      {"by who looks at it in the same breath", Change::other, "", 0,
       [](const at::Tensor& in, const at::Tensor& k) { at::_foreach_copy_({part(k, 0, 8), part(k, 8, 16)},
           {part(in, 0, 8), part(k, 0, 8)}); }},
      {"or at a part of it", Change::other, "", 0,
       [](const at::Tensor& in, const at::Tensor& k) { at::_foreach_copy_({part(k, 0, 8), part(k, 8, 12)},
           {part(in, 0, 8), part(k, 0, 4)}); }},
      {"by who looks at the other half in the same breath", Change::overwritten, "0-8", 0,
       [](const at::Tensor&, const at::Tensor& k) { part(k, 0, 8).copy_(part(k, 8, 16)); }},
      {"updated", Change::updated, "", 1, [](const at::Tensor& in, const at::Tensor& k) { sgd({k}, {in}, {}); }},
      {"updated by what it gives", Change::updated, "", 1, [](const at::Tensor& in, const at::Tensor& k) { sgd({k}, {in * k}, {}); }},
      {"updated and looked at", Change::other, "", 0, [](const at::Tensor& in, const at::Tensor& k) { sgd({k}, {in}, {}),
          in.clone().add_(k); }},
      {"updated after another change", Change::other, "", 0, [](const at::Tensor& in, const at::Tensor& k) { k.add_(1),
          sgd({k}, {in}, {}); }},
      {"updated twice", Change::other, "", 0, [](const at::Tensor& in, const at::Tensor& k) { sgd({k}, {in}, {}), sgd({k}, {in}, {}); }},
      {"updated in part", Change::other, "", 0, [](const at::Tensor& in,
          const at::Tensor& k) { sgd({part(k, 0, 8)}, {part(in, 0, 8)}, {}); }},
      {"in the last part", Change::other, "", 0, [](const at::Tensor& in,
          const at::Tensor& k) { sgd({part(k, 8, 16)}, {part(in, 0, 8)}, {}); }},
      {"in two parts", Change::other, "", 0,
       [](const at::Tensor& in, const at::Tensor& k) { sgd({part(k, 0, 8), part(k, 8, 16)}, {part(in, 0, 8), part(in, 8, 16)}, {}); }},
      {"updated, and what the step made with it", Change::other, "", 0, [](const at::Tensor& in,
          const at::Tensor& k) { sgd({k, in + 1}, {in, in}, {}); }},
      {"by a gradient that lies across", Change::other, "", 0,
       [](const at::Tensor& in, const at::Tensor& k) { sgd({k.view({4, 4})}, {in.view({4, 4}).t()}, {}); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const at::Tensor kept = numbers();
    const auto plan = record([&](const List& in) { return c.step(in[0], kept), List{in[0] * 2}; }, {numbers()});
    const Footprint footprint(*plan);
    EXPECT_EQ(footprint.updates().size(), c.updates);
    ASSERT_EQ(footprint.ranges().size(), 1u);
    const Footprint::Range& range = footprint.ranges()[0];
    EXPECT_EQ(range.begin, kept.const_data_ptr());
    EXPECT_EQ(range.end - range.begin, static_cast<std::ptrdiff_t>(kept.nbytes()));
    EXPECT_EQ(range.change, c.change);
    EXPECT_EQ(places(range), c.overwritten);
  }
}

// Storages over the same memory are one stretch.
TEST(Footprint, StoragesThatShareMemoryAreOneStretch) {
  at::Tensor memory = numbers(32);
  const auto over = [&](int64_t begin, int64_t end) {
    return at::from_blob(memory.mutable_data_ptr<float>() + begin, {end - begin}, at::kFloat);
  };
  struct Shared {
    std::vector<std::pair<int64_t, int64_t>> storages;
    std::vector<std::pair<int64_t, int64_t>> stretches;  // in the order in which they were last joined
  };
  const Shared cases[] = {
      {{{0, 8}, {8, 16}}, {{0, 8}, {8, 16}}},   {{{8, 16}, {0, 8}}, {{8, 16}, {0, 8}}},
      {{{0, 9}, {8, 16}}, {{0, 16}}},           {{{8, 16}, {0, 9}}, {{0, 16}}},
      {{{0, 16}, {4, 8}}, {{0, 16}}},           {{{4, 8}, {0, 16}}, {{0, 16}}},
      {{{0, 8}, {16, 24}, {4, 20}}, {{0, 24}}}, {{{0, 8}, {16, 24}, {4, 12}}, {{16, 24}, {0, 12}}},
  };
  for (const auto& [storages, stretches] : cases) {
    List kept;
    for (const auto& [begin, end] : storages) kept.push_back(over(begin, end));
    const auto plan = record(
        [&](const List& in) {
          at::Tensor sum = in[0] * 2;
          for (const at::Tensor& one : kept) sum = sum + one.sum();
          kept.back().add_(1);
          return List{sum};
        },
        {numbers()});
    const Footprint footprint(*plan);
    std::vector<std::pair<int64_t, int64_t>> found;
    std::size_t buffers = 0;
    for (const Footprint::Range& range : footprint.ranges()) {
      found.emplace_back((range.begin - static_cast<char*>(memory.data_ptr())) / 4,
                         (range.end - static_cast<char*>(memory.data_ptr())) / 4);
      buffers += range.buffers.size();
    }
    EXPECT_EQ(found, stretches);
    EXPECT_EQ(buffers, storages.size());
    EXPECT_EQ(footprint.ranges().back().change, Change::other);
    if (stretches.size() > 1) {
      EXPECT_EQ(footprint.ranges()[0].change, Change::none);
    }
  }
}

TEST(Footprint, OfAStepThatIsGivenNothing) {
  const at::Tensor kept = numbers();
  const auto plan = record(
      [&](const List&) {
        kept.add_(1);
        return List{};
      },
      {});
  const Footprint footprint(*plan);
  ASSERT_EQ(footprint.ranges().size(), 1u);
  EXPECT_EQ(footprint.ranges()[0].change, Change::other);
}

TEST(Footprint, AMomentumIsUpdatedWithItsParameter) {
  const at::Tensor param = numbers(), momentum = at::zeros({16}), looked = numbers();
  for (const bool looks : {false, true}) {
    const auto plan = record(
        [&](const List& in) {
          sgd({param}, {in[0] + looked}, {momentum});
          return looks ? List{momentum.sum()} : List{in[0] * 2};
        },
        {numbers()});
    const Footprint footprint(*plan);
    EXPECT_EQ(footprint.updates().size(), looks ? 0u : 1u);
    for (const Footprint::Range& range : footprint.ranges()) {
      const Change wanted = range.begin == looked.const_data_ptr() ? Change::none
                            : looks                                ? Change::other
                                                                   : Change::updated;
      EXPECT_EQ(range.change, wanted);
    }
  }
}

}  // namespace
}  // namespace gradus
