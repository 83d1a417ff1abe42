#include "data/loader.h"

#include <gtest/gtest.h>

#include "../../failing_thread.h"
#include "data/sampler.h"
#include "refusal.h"

namespace gradus {
namespace {

Examples data(int64_t n) {
  return {at::arange(n * 64, at::kFloat).reshape({n, 1, 8, 8}), at::arange(n, at::kLong).remainder(10),
          at::arange(n, at::kFloat).div(n), at::arange(n * 10, at::kFloat).reshape({n, 10})};
}
LoaderOptions options(int64_t depth, bool mixup = false) {
  LoaderOptions o;
  o.depth = depth, o.seed = 3, o.classes = 10;
  o.augment.noise = .1, o.augment.shift = 1, o.augment.erase = .2, o.augment.mixup = mixup ? .3 : 0;
  return o;
}

TEST(LoaderTest, GathersRows) {
  const Examples all = data(50);
  LoaderOptions plain;
  plain.depth = 0;
  Loader loader(all, plain);
  const at::Tensor index = at::tensor({7, 0, 49, 7}, at::kLong);
  loader.submit(index, at::zeros({4}, at::kInt));
  const Batch b = loader.next();
  EXPECT_TRUE(at::equal(b.rows.x, all.x.index_select(0, index)));
  EXPECT_TRUE(at::equal(b.rows.y, all.y.index_select(0, index)));
  EXPECT_TRUE(at::equal(b.rows.weight, all.weight.index_select(0, index)));
  EXPECT_TRUE(at::equal(b.rows.teacher, all.teacher.index_select(0, index)));
  EXPECT_TRUE(at::equal(b.index, index));
}

TEST(LoaderTest, WorkerAndCallerGiveTheSameBits) {
  for (const bool mixup : {false, true}) {
    Loader here(data(97), options(0, mixup)), ahead(data(97), options(4, mixup));
    SamplerOptions so;
    so.rows = 97;
    Sampler a(so), b(so);
    for (int i = 0; i < 3; ++i) {
      const auto d = b.draw(16);
      ahead.submit(d.index, d.visit, i / 40.);
    }
    for (int i = 0; i < 40; ++i) {
      const auto d = a.draw(16), e = b.draw(16);
      here.submit(d.index, d.visit, i / 40.);
      ahead.submit(e.index, e.visit, std::min(1., (i + 3) / 40.));
      const Batch x = here.next(), y = ahead.next();
      ASSERT_TRUE(at::equal(x.rows.x, y.rows.x));
      ASSERT_TRUE(at::equal(x.rows.y, y.rows.y));
      ASSERT_TRUE(at::equal(x.index, y.index));
      ASSERT_EQ(x.lambda.defined(), mixup);
    }
  }
}

TEST(LoaderTest, ErrorsSurfaceAtNextAndTheRestGoesOn) {
  for (const int64_t depth : {0, 3}) {
    Loader loader(data(10), options(depth));
    const at::Tensor fine = at::tensor({1, 2}, at::kLong), visit = at::zeros({2}, at::kInt);
    loader.submit(at::tensor({1, 10}, at::kLong), visit);
    if (depth) loader.submit(fine, visit);
    EXPECT_EQ(refusal([&] { loader.next(); }), "loader: no such row; expected 0 to 9; got 10");
    if (!depth) loader.submit(fine, visit);
    EXPECT_EQ(loader.next().rows.x.size(0), 2);
    loader.submit(fine, at::zeros({3}, at::kInt));
    EXPECT_NE(refusal([&] { loader.next(); }).find("visit does not match"), std::string::npos);
  }
}

TEST(LoaderTest, WithoutAThreadNothingIsPending) {
  Loader loader(data(10), options(2));
  const at::Tensor index = at::tensor({1, 2}, at::kLong), visit = at::zeros({2}, at::kInt);
  no_thread = true;
  EXPECT_THROW(loader.submit(index, visit), Error);
  EXPECT_TRUE(loader.pending().empty());
  loader.submit(index, visit);
  EXPECT_EQ(loader.next().rows.x.size(0), 2);
}

TEST(LoaderTest, PendingBatchesCanBeTakenBack) {
  SamplerOptions so;
  so.rows = 20;
  Sampler sampler(so);
  const SamplerState before = sampler.state();
  Loader loader(data(20), options(3));
  for (int i = 0; i < 3; ++i) {
    const auto d = sampler.draw(8);
    loader.submit(d.index, d.visit);
  }
  EXPECT_EQ(loader.pending().size(), 3u);
  auto dropped = loader.drop();
  for (auto request = dropped.rbegin(); request != dropped.rend(); ++request) sampler.undo(request->index);
  EXPECT_TRUE(at::equal(sampler.visits(), before.visits));
  EXPECT_EQ(refusal([&] { loader.next(); }), "loader: no batch is pending; expected submit before next; got none");
}

TEST(LoaderTest, EndsCleanlyWithWorkUnderWay) {
  for (int i = 0; i < 100; ++i) {
    Loader loader(data(30), options(8));
    for (int k = 0; k < i % 9; ++k) loader.submit(at::arange(30, at::kLong), at::zeros({30}, at::kInt));
    if (i % 9 > 4) loader.next();
  }
}

TEST(LoaderTest, RefusesDataThatDoNotFit) {
  EXPECT_NE(refusal([] { Loader({}, {}); }).find("no x"), std::string::npos);
  EXPECT_NE(refusal([] {
              Loader({at::ones({0, 3}), {}, {}, {}}, {});
            }).find("empty data set; expected 1 row or more; got x [0, 3]"),
            std::string::npos);
  EXPECT_NE(refusal([] {
              Loader({at::ones({5, 3}), at::ones({4}, at::kLong), {}, {}}, {});
            }).find("y has another number of rows than x [5, 3]; expected 5 rows; got [4]"),
            std::string::npos);
  Examples bad = data(10);
  bad.y[7] = 10;
  EXPECT_NE(refusal([&] {
              check_examples("digits", bad, 10);
            }).find("digits: label out of range in row 7; expected 0 to 9; got 10"),
            std::string::npos);
  EXPECT_EQ(refusal([&] { check_examples("digits", bad); }), "accepted");
  bad.y[7] = -1;
  EXPECT_NE(refusal([&] { check_examples("digits", bad, 10); }).find("in row 7; expected 0 to 9; got -1"),
            std::string::npos);
  Loader loader(data(10), options(1));
  loader.submit(at::tensor({1}, at::kLong), at::zeros({1}, at::kInt));
  EXPECT_NE(refusal([&] {
              loader.submit(at::tensor({1}, at::kLong), at::zeros({1}, at::kInt));
            }).find("too many batches ahead"),
            std::string::npos);
  for (const int64_t depth : {-1, 0, 1024, 1025}) {
    const std::string said = refusal([&] { Loader(data(10), options(depth)); });
    EXPECT_EQ(said, depth == 0 || depth == 1024
                        ? "accepted"
                        : "loader: depth out of range; expected 0 to 1024; got " + std::to_string(depth));
  }
}

TEST(LoaderTest, WhatIsNoListOfRowsIsRefused) {
  Loader loader(data(10), options(0));
  const at::Tensor visit = at::zeros({2}, at::kInt);
  for (const at::Tensor& index : {at::zeros({2}, at::kInt), at::zeros({2, 1}, at::kLong), at::zeros({0}, at::kLong)}) {
    loader.submit(index, visit);
    EXPECT_NE(refusal([&] { loader.next(); }).find("index is not a list of rows; expected int64 [B], B >= 1"),
              std::string::npos);
  }
  loader.submit(at::full({2}, -1, at::kLong), visit);
  EXPECT_EQ(refusal([&] { loader.next(); }), "loader: no such row; expected 0 to 9; got -1");
  Examples bare = data(10);
  bare.y = at::Tensor();
  EXPECT_NE(refusal([&] { Loader(bare, options(0, true)); }).find("mixup needs labels"), std::string::npos);
}

TEST(LoaderTest, RefusesOptionsWhenItIsMadeAndAStrengthWhenItIsGiven) {
  LoaderOptions noisy = options(0), masked;
  noisy.augment.noise = -1;
  masked.masking = {.5, 4, 5, 5};
  EXPECT_NE(refusal([&] { Loader(data(10), noisy); }).find("noise out of range"), std::string::npos);
  EXPECT_NE(refusal([&] {
              Loader({at::ones({2, 3}, at::kLong), {}, {}, {}}, masked);
            }).find("no tokens to mask"),
            std::string::npos);
  Loader loader(data(10), options(0));
  const at::Tensor index = at::tensor({1, 2}, at::kLong), visit = at::zeros({2}, at::kInt);
  EXPECT_NE(refusal([&] { loader.submit(index, visit, 1.5); }).find("strength out of range"), std::string::npos);
  EXPECT_TRUE(loader.pending().empty());
  no_thread = true;
  loader.submit(index, visit);  // a loader that reads nothing ahead needs no thread
  EXPECT_TRUE(no_thread.exchange(false));
  EXPECT_EQ(refusal([&] { loader.submit(index, visit); }),
            "loader: too many batches ahead; expected at most 1 pending; got one more");
}

// Of any shape but none; what are no classes is not asked to be one.
TEST(LoaderTest, ExamplesAtTheirLimits) {
  const at::Tensor x = at::ones({3}), y = at::tensor({0, 1, 2}, at::kLong);
  const struct {
    Examples data;
    int64_t classes;
    const char* says;
  } cases[] = {{{x, {}, {}, {}}, 3, "accepted"},
               {{x, y, x, x}, 3, "accepted"},
               {{x, y, {}, {}}, 1, "label out of range in row 1; expected 0 to 0; got 1"},
               {{x, y.to(at::kFloat), {}, {}}, 2, "accepted"},
               {{x, y.unsqueeze(1), {}, {}}, 2, "accepted"},
               {{x, y.gt(0), {}, {}}, 1, "accepted"},
               {{at::ones({}), {}, {}, {}}, 3, "no x; expected a tensor [N, …]; got []"},
               {{x, {}, at::ones({}), {}}, 3, "weight has another number of rows than x [3]"},
               {{x, {}, {}, at::ones({4, 3})}, 3, "teacher has another number of rows than x [3]"},
               {{x, {}, {}, at::ones({3}, at::device(at::kMeta))}, 3, "teacher is not on the CPU"}};
  for (const auto& one : cases) {
    const std::string said = refusal([&] { check_examples("set", one.data, one.classes); });
    EXPECT_NE(said.find(one.says), std::string::npos) << said;
  }
}

TEST(LoaderTest, HandsOnRowsWithoutALabelAndRefusesToMixThem) {
  Examples some = data(10);
  some.y[7] = kNoLabel;
  LoaderOptions o = options(1);
  o.classes = 10;
  Loader loader(some, o);
  loader.submit(at::tensor({7, 1}, at::kLong), at::zeros({2}, at::kInt));
  EXPECT_TRUE(at::equal(loader.next().rows.y, some.y.index_select(0, at::tensor({7, 1}, at::kLong))));
  o.augment.mixup = .5;
  EXPECT_NE(refusal([&] { Loader(some, o); }).find("mixup mixes labels; expected a label in every row"),
            std::string::npos);
}

}  // namespace
}  // namespace gradus
