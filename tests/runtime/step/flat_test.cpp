// Tensors side by side in one buffer, of which their holders see nothing.
#include "step/flat.h"

#include <gtest/gtest.h>

#include "recorded.h"

namespace gradus {
namespace {

using List = std::vector<at::Tensor>;

at::Tensor numbers(const std::vector<int64_t>& sizes, double first = 1) {
  return at::arange(first, first + static_cast<double>(c10::multiply_integers(sizes)), at::kFloat).view(sizes);
}

TEST(Flat, EachBeginsAtACacheLine) {
  int64_t total = -1;
  const List list = {at::zeros({3}), at::zeros({16}), at::zeros({1, 17}), at::zeros({})};
  EXPECT_EQ(flat_offsets(list, &total), (std::vector<int64_t>{0, 16, 32, 64}));
  EXPECT_EQ(total, 80);
  EXPECT_EQ(flat_offsets({at::zeros({3}, at::kDouble), at::zeros({9}, at::kDouble)}, &total),
            (std::vector<int64_t>{0, 8}));
  EXPECT_EQ(total, 24);
  EXPECT_TRUE(flat_offsets({}, &total).empty());
  EXPECT_EQ(total, 0);
}

TEST(Flat, TheTensorsAreItsParts) {
  const List list = {numbers({2, 3}).requires_grad_(), numbers({20}, 50), numbers({}, 9)};
  const at::Tensor row = list[0].detach().select(0, 1);
  List before;
  for (const at::Tensor& one : list) before.push_back(one.detach().clone());
  {
    const at::Tensor flat = flatten(list).value();
    EXPECT_FALSE(flat.requires_grad());
    const at::Tensor wanted = at::zeros({64});
    wanted.narrow(0, 0, 6).copy_(before[0].view({6})), wanted.narrow(0, 16, 20).copy_(before[1]),
        wanted.narrow(0, 48, 1).fill_(9);
    EXPECT_TRUE(same(flat, wanted)) << flat;
    EXPECT_TRUE(holds(flat, list));
    EXPECT_EQ(flatten(list).value().const_data_ptr(), flat.const_data_ptr()) << "they are one already";
    const List views = parts(flat, list);
    ASSERT_EQ(views.size(), 3u);
    flat.add_(1);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(views[i].const_data_ptr(), list[i].const_data_ptr());
      EXPECT_TRUE(same(list[i], before[i] + 1));
      EXPECT_TRUE(same(views[i], list[i]));
    }
  }
  EXPECT_TRUE(same(row, at::tensor({5.f, 6.f, 7.f})))
      << "the tensors hold it, and who looked at a part of one still does";
}

TEST(Flat, HoldsWhatStandsWhereItStood) {
  const at::Tensor a = numbers({4}), b = numbers({4}, 9), other = numbers({4});
  const at::Tensor flat = flatten({a, b}).value();
  EXPECT_TRUE(holds(flat, {a, b}));
  for (const List& list : {List{b, a}, {other, b}, {a, other}, {a}, {a, b, other}, {}})
    EXPECT_FALSE(holds(flat, list)) << list.size();
  EXPECT_FALSE(holds(flat, {a.view(at::kInt), b.view(at::kInt)})) << "numbers of another type";
  EXPECT_FALSE(holds(flat.view(at::kInt), {a, b}));
}

TEST(Flat, WhatCannotBeOneBufferStaysAsItIs) {
  const at::Tensor a = numbers({4}), b = numbers({4}), c = numbers({4}), d = numbers({4}), fresh = numbers({4}),
                   twice = numbers({4});
  ASSERT_TRUE(flatten({a, b}).has_value());
  ASSERT_TRUE(flatten({c, d}).has_value());
  const at::Tensor larger = numbers({8});
  const List cases[] = {{},
                        {fresh, numbers({4}).to(at::kDouble)},
                        {fresh, numbers({2, 3}).t()},
                        {fresh, larger.narrow(0, 4, 4)},
                        {fresh, larger.narrow(0, 0, 4)},
                        {fresh, at::empty({0})},
                        {fresh, at::empty({4}, at::kMeta)},
                        {twice, twice.view({2, 2})},
                        {a},
                        {b, a},
                        {a, c},
                        {a, b, fresh},
                        {fresh, a}};
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    std::vector<const void*> places;
    for (const at::Tensor& one : cases[i]) places.push_back(one.storage().data());
    EXPECT_FALSE(flatten(cases[i]).has_value()) << i;
    for (std::size_t k = 0; k < places.size(); ++k) EXPECT_EQ(cases[i][k].storage().data(), places[k]) << i;
  }
  EXPECT_TRUE(flatten({fresh}).has_value());
}

}  // namespace
}  // namespace gradus
