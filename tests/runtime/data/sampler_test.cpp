#include "data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <tuple>

#include "refusal.h"

namespace gradus {
namespace {

SamplerOptions options(Sampling mode, int64_t rows, uint64_t seed = 1) {
  SamplerOptions o;
  o.mode = mode, o.rows = rows, o.seed = seed;
  return o;
}
std::vector<int64_t> list(const at::Tensor& t) {
  const at::Tensor plain = t.to(at::kLong).contiguous();
  return {plain.data_ptr<int64_t>(), plain.data_ptr<int64_t>() + plain.numel()};
}
std::vector<int64_t> draw(Sampler& sampler, int64_t count) { return list(sampler.draw(count).index); }
at::Tensor rows(std::vector<int64_t> values) { return at::tensor(values, at::kLong); }
#define EXPECT_REFUSED(statement, part) \
  EXPECT_NE(refusal([&] { statement; }).find(part), std::string::npos) << refusal([&] { statement; })

TEST(SamplerTest, SequentialFollowsTheSubset) {
  Sampler s(options(Sampling::sequential, 10));
  s.set_subset(rows({7, 2, 5}));
  EXPECT_EQ(draw(s, 4), (std::vector<int64_t>{7, 2, 5, 7}));
  EXPECT_EQ(draw(s, 2), (std::vector<int64_t>{2, 5}));
  EXPECT_DOUBLE_EQ(s.passes(), 2);
  EXPECT_EQ(s.draws(), 6);
}

TEST(SamplerTest, ShuffleTakesEachRowOncePerPassInANewOrder) {
  Sampler s(options(Sampling::shuffle, 100));
  std::set<std::vector<int64_t>> orders;
  std::vector<int64_t> all;
  for (int i = 0; i < 50; ++i) {
    for (const int64_t row : draw(s, 30)) all.push_back(row);  // 15 passes; batches cross their ends
  }
  for (int pass = 0; pass < 15; ++pass) {
    std::vector<int64_t> one(all.begin() + pass * 100, all.begin() + (pass + 1) * 100);
    EXPECT_TRUE(orders.insert(one).second);
    std::sort(one.begin(), one.end());
    for (int64_t i = 0; i < 100; ++i) ASSERT_EQ(one[i], i);
  }
  for (const int64_t visits : list(s.visits())) EXPECT_EQ(visits, 15);
}

// Those of a second implementation (reference/make_streams.py).
TEST(SamplerTest, OrdersAndDrawsAreStable) {
  Sampler shuffle(options(Sampling::shuffle, 8));
  EXPECT_EQ(draw(shuffle, 16), (std::vector<int64_t>{2, 6, 4, 5, 3, 7, 0, 1, 1, 2, 7, 3, 6, 5, 0, 4}));
  Sampler weighted(options(Sampling::weighted, 5));
  weighted.set_weights(at::tensor({1., 0., 2., .5, 4.}, at::kDouble));
  EXPECT_EQ(draw(weighted, 16), (std::vector<int64_t>{4, 4, 4, 4, 4, 4, 0, 0, 4, 4, 2, 2, 0, 4, 4, 4}));
}

TEST(SamplerTest, LimitsAreMetExactly) {
  SamplerOptions o = options(Sampling::confidence, 3);
  const auto refused = [&](double SamplerOptions::*field, double value) {
    SamplerOptions changed = o;
    changed.*field = value;
    return refusal([&] { Sampler s(changed); });
  };
  for (const auto& [field, fine, bad] :
       std::vector<std::tuple<double SamplerOptions::*, std::vector<double>, std::vector<double>>>{
           {&SamplerOptions::target, {0, 1}, {-1e-9, 1 + 1e-9}},
           {&SamplerOptions::floor, {1e-9, 1}, {0, 1 + 1e-9}},
           {&SamplerOptions::decay, {0, .999}, {-1e-9, 1}}}) {
    for (const double value : fine) EXPECT_EQ(refused(field, value), "accepted") << value;
    for (const double value : bad) EXPECT_NE(refused(field, value).find("out of range"), std::string::npos) << value;
  }
  Sampler s(o);
  s.observe(rows({0, 1}), at::tensor({0., 1 + 1e-4}, at::kDouble));
  EXPECT_DOUBLE_EQ(s.confidence()[1].item<double>(), 1) << "a sum of probabilities is rounded";
  EXPECT_REFUSED(s.observe(rows({0}), at::tensor({1 + 2e-4}, at::kDouble)), "out of range");
  EXPECT_REFUSED(s.observe(rows({0}), at::tensor({-1e-9}, at::kDouble)), "out of range");
  Sampler w(options(Sampling::weighted, 3));
  w.set_weights(at::tensor({0., 1e300, 1.}, at::kDouble));
  EXPECT_REFUSED(w.set_weights(at::tensor({0., 2e300, 1.}, at::kDouble)), "weight of row 1 out of range");
  EXPECT_REFUSED(w.set_weights(at::tensor({-1e-300, 1., 1.}, at::kDouble)), "weight of row 0 out of range");
  EXPECT_REFUSED(w.draw(0), "batch size out of range");
  EXPECT_EQ(draw(w, 1).size(), 1u);
  EXPECT_REFUSED(w.set_subset(rows({3})), "no such row");
  EXPECT_REFUSED(w.set_subset(rows({-1})), "no such row");
  w.set_subset(rows({2, 0}));
  EXPECT_EQ(list(w.weights()), (std::vector<int64_t>{0, 0, 1}));
}

TEST(SamplerTest, AStateThatCannotBeIsRefused) {
  Sampler s(options(Sampling::shuffle, 4));
  draw(s, 4);
  const SamplerState good = s.state();
  EXPECT_NO_THROW(s.restore(good));
  EXPECT_EQ(s.state().cursor, 4);
  for (const auto& change : std::vector<std::function<void(SamplerState&)>>{
           [](auto& state) { state.cursor = -1; }, [](auto& state) { state.cursor = 5; },
           [](auto& state) { state.draws = -1; }, [](auto& state) { state.passes = -1; },
           [](auto& state) { state.order = -1; }, [](auto& state) { state.subset = at::empty({0}, at::kLong); }}) {
    SamplerState bad = good;
    change(bad);
    EXPECT_REFUSED(s.restore(bad), "counters out of range");
  }
}

TEST(SamplerTest, ShuffleIsUniform) {
  // Where does row 0 stand in 12,000 orders of 6? Chi-square with 5 degrees of freedom, p = 0.001.
  Sampler s(options(Sampling::shuffle, 6, 5));
  std::vector<int> places(6);
  for (int pass = 0; pass < 12'000; ++pass) {
    const auto order = draw(s, 6);
    ++places[std::find(order.begin(), order.end(), 0) - order.begin()];
  }
  double chi2 = 0;
  for (const int n : places) chi2 += (n - 2000.0) * (n - 2000.0) / 2000;
  EXPECT_LT(chi2, 20.5);
}

TEST(SamplerTest, VisitsCountDrawsBeforeThisOne) {
  Sampler s(options(Sampling::sequential, 2));
  EXPECT_EQ(list(s.draw(5).visit), (std::vector<int64_t>{0, 0, 1, 1, 2}));
  EXPECT_EQ(list(s.draw(2).visit), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(list(s.visits()), (std::vector<int64_t>{4, 3}));
}

TEST(SamplerTest, WeightedDrawsInProportion) {
  Sampler s(options(Sampling::weighted, 5));
  s.set_weights(at::tensor({0., 1., 2., 3., 4.}, at::kDouble));
  s.set_weights(rows({4}), at::tensor({6.}, at::kDouble));
  s.set_subset(rows({0, 1, 3, 4}));
  std::vector<double> counts(5);
  for (const int64_t row : draw(s, 100'000)) ++counts[row];
  EXPECT_EQ(counts[0] + counts[2], 0);
  EXPECT_NEAR(counts[1], 10'000, 500);  // 5 standard deviations
  EXPECT_NEAR(counts[3], 30'000, 750);
  EXPECT_NEAR(counts[4], 60'000, 800);
  EXPECT_EQ(list(s.weights()), (std::vector<int64_t>{0, 1, 0, 3, 6}));
}

TEST(SamplerTest, AWeightSetForARowOutsideOfTheSubsetWaitsUntilItIsInside) {
  Sampler s(options(Sampling::weighted, 4));
  s.set_subset(rows({0, 1}));
  s.set_weights(at::tensor({1., 2., 500., 500.}));
  EXPECT_EQ(s.weights()[2].item<double>(), 0);
  for (const int64_t row : draw(s, 200)) ASSERT_LT(row, 2);
  s.set_subset(rows({1, 2}));
  int heavy = 0;
  for (const int64_t row : draw(s, 200)) {
    ASSERT_TRUE(row == 1 || row == 2);
    heavy += row == 2;
  }
  EXPECT_GT(heavy, 180);
}

TEST(SamplerTest, AnObservationOfARowOutsideOfTheSubsetDrawsNone) {
  Sampler s(options(Sampling::confidence, 4));
  s.set_subset(rows({0, 1}));
  s.observe(rows({0, 1, 2, 3}), at::tensor({.99, .99, .5, .5}));
  for (const int64_t row : draw(s, 200)) ASSERT_LT(row, 2);
}

TEST(SamplerTest, WeightedHasNoSizeLimitAndNeverDrawsZero) {
  const int64_t n = int64_t{1} << 24;  // torch.multinomial stops here
  SamplerOptions o = options(Sampling::weighted, n + 3);
  Sampler s(o);
  at::Tensor weights = at::zeros({n + 3}, at::kDouble);
  weights[n + 1] = 1e-300;
  weights[5] = 1e-300;
  s.set_weights(weights);
  for (const int64_t row : draw(s, 200)) EXPECT_TRUE(row == 5 || row == n + 1) << row;
}

TEST(SamplerTest, RoundingNeverDrawsZeroWeight) {
  Sampler s(options(Sampling::weighted, 2));
  s.set_weights(at::tensor({5e-324, 0.}, at::kDouble));  // half of all products with it round up to the whole sum
  for (const int64_t row : draw(s, 50)) EXPECT_EQ(row, 0);
  s.set_weights(at::tensor({0., 5e-324}, at::kDouble));  // and the other half round down to nothing
  for (const int64_t row : draw(s, 50)) EXPECT_EQ(row, 1);
}

TEST(SamplerTest, ConfidenceFollowsItsRule) {
  SamplerOptions o = options(Sampling::confidence, 4);
  o.floor = 0.1, o.decay = 0.5;
  Sampler s(o);
  EXPECT_EQ(list(s.weights()), (std::vector<int64_t>{1, 1, 1, 1}));  // not seen
  s.observe(rows({0, 1, 2}), at::tensor({0.5f, 1.0f, 0.2f}));
  s.observe(rows({2, 2}), at::tensor({0.4f, 0.7f}));  // 0.2 → 0.3 → 0.5
  const auto active_bias = [](double p) { return 0.1 + 0.9 * 4 * p * (1 - p); };
  const at::Tensor w = s.weights();
  EXPECT_NEAR(w[0].item<double>(), active_bias(0.5), 1e-12);
  EXPECT_NEAR(w[1].item<double>(), 0.1, 1e-12);
  EXPECT_NEAR(w[2].item<double>(), active_bias(0.5), 1e-6);
  EXPECT_EQ(w[3].item<double>(), 1);
  EXPECT_TRUE(std::isnan(s.confidence()[3].item<double>()));
  s.set_target(1);  // the surer, the more often
  EXPECT_NEAR(s.weights()[1].item<double>(), 1, 1e-12);
  EXPECT_NEAR(s.weights()[0].item<double>(), 0.1 + 0.9 * 0.75, 1e-12);
}

TEST(SamplerTest, ConfidenceMovesFromModerateToHardAsTheStudentLearns) {
  Sampler s(options(Sampling::confidence, 300));
  const at::Tensor all = at::arange(300, at::kLong);
  const auto counts_at = [&](double easy, double moderate, double hard) {
    at::Tensor p = at::empty({300}, at::kDouble);
    p.slice(0, 0, 100).fill_(easy), p.slice(0, 100, 200).fill_(moderate), p.slice(0, 200, 300).fill_(hard);
    for (int i = 0; i < 30; ++i) s.observe(all, p);
    std::vector<int> counts(3);
    for (const int64_t row : draw(s, 30'000)) ++counts[row / 100];
    return counts;
  };
  const auto young = counts_at(0.6, 0.3, 0.02), grown = counts_at(0.99, 0.9, 0.4);
  EXPECT_GT(young[0], young[1]);
  EXPECT_GT(young[1], 3 * young[2]);
  EXPECT_GT(grown[2], grown[1]);
  EXPECT_GT(grown[1], grown[0]);
}

TEST(SamplerTest, SubsetChangesAreDeterministicAndTheSameSubsetIsNone) {
  Sampler a(options(Sampling::shuffle, 50)), b(options(Sampling::shuffle, 50)), plain(options(Sampling::shuffle, 50));
  draw(a, 20), draw(b, 20), draw(plain, 20);
  a.set_subset(at::arange(50, at::kLong));
  EXPECT_EQ(draw(a, 10), draw(plain, 10));
  draw(b, 10);
  for (Sampler* s : {&a, &b}) s->set_subset(rows({1, 3, 5, 7, 9}));
  const auto first = draw(a, 12);
  EXPECT_EQ(first, draw(b, 12));
  EXPECT_EQ(std::set<int64_t>(first.begin(), first.begin() + 5), (std::set<int64_t>{1, 3, 5, 7, 9}));
  EXPECT_NEAR(a.passes(), 2.4, 1e-12);
}

TEST(SamplerTest, SeedsGiveDifferentOrders) {
  Sampler a(options(Sampling::shuffle, 50, 1)), b(options(Sampling::shuffle, 50, 2)),
      c(options(Sampling::shuffle, 50, 1));
  const auto order = draw(a, 50);
  EXPECT_NE(order, draw(b, 50));
  EXPECT_EQ(order, draw(c, 50));
}

class EachMode : public testing::TestWithParam<Sampling> {};
INSTANTIATE_TEST_SUITE_P(Sampler, EachMode,
                         testing::Values(Sampling::sequential, Sampling::shuffle, Sampling::weighted,
                                         Sampling::confidence),
                         [](const auto& info) { return std::string(name_of(info.param)); });

void disturb(Sampler& s, int round) {
  const at::Tensor index = s.draw(13).index;
  if (s.options().mode == Sampling::weighted)
    s.set_weights(index.slice(0, 0, 1), at::full({1}, 0.25 + round, at::kDouble));
  if (s.options().mode == Sampling::confidence) s.observe(index, index.to(at::kDouble).div(40));
  if (round == 5) s.set_subset(at::arange(3, 33, at::kLong));
}

TEST_P(EachMode, ResumesExactly) {
  Sampler one(options(GetParam(), 37, 9));
  for (int stop = 0; stop < 12; ++stop) {
    Sampler other(options(GetParam(), 37, 1234));  // the state brings the seed
    other.restore(one.state());
    Sampler still(options(GetParam(), 37, 9));
    still.restore(one.state());
    for (int round = 0; round < 8; ++round) {
      disturb(other, round), disturb(still, round);
      const auto a = other.draw(11), b = still.draw(11);
      ASSERT_TRUE(at::equal(a.index, b.index));
      ASSERT_TRUE(at::equal(a.visit, b.visit));
    }
    ASSERT_TRUE(at::equal(other.weights(), still.weights()));
    disturb(one, stop);
  }
}

TEST_P(EachMode, ResumedEqualsUninterrupted) {
  Sampler whole(options(GetParam(), 37, 9)), part(options(GetParam(), 37, 9));
  for (int round = 0; round < 12; ++round) {
    disturb(whole, round), disturb(part, round);
    Sampler next(options(GetParam(), 37, 9));
    next.restore(part.state());
    part = std::move(next);
    ASSERT_TRUE(at::equal(whole.draw(5).index, part.draw(5).index)) << round;
  }
}

TEST_P(EachMode, UndoTakesBackExactly) {
  Sampler s(options(GetParam(), 20, 9));
  s.draw(7);
  const SamplerState before = s.state();
  std::vector<at::Tensor> ahead;
  for (int i = 0; i < 6; ++i) ahead.push_back(s.draw(9).index);  // over the ends of passes
  for (int i = 5; i >= 0; --i) s.undo(ahead[i]);
  EXPECT_TRUE(at::equal(s.visits(), before.visits));
  for (const auto& batch : ahead) EXPECT_TRUE(at::equal(s.draw(9).index, batch));
}

TEST_P(EachMode, UndoTakesBackAllThatWasDrawnAndNothingElse) {
  Sampler s(options(GetParam(), 5, 9));
  const at::Tensor first = s.draw(3).index, second = s.draw(3).index;
  const at::Tensor none = s.visits().eq(0).nonzero().squeeze(1);
  if (none.numel()) {
    EXPECT_REFUSED(s.undo(none.slice(0, 0, 1)), "undo of a batch that is not the latest");
  }
  if (GetParam() == Sampling::sequential || GetParam() == Sampling::shuffle) {
    EXPECT_REFUSED(s.undo(second.slice(0, 0, 1)), "undo of a batch that is not the latest");
  }
  s.undo(second);
  EXPECT_REFUSED(s.undo(at::cat({first, first})), "undo reaches back over set_subset; expected rows drawn since then");
  s.undo(first);
  EXPECT_EQ(s.draws(), 0);
  EXPECT_EQ(s.passes(), 0);
  EXPECT_TRUE(s.draw(3).index.equal(first));
}

TEST_P(EachMode, ARowThatNobodyWeighedWeighsOne) {
  Sampler s(options(GetParam(), 4)), single(options(GetParam(), 1));
  EXPECT_EQ(list(s.weights()), (std::vector<int64_t>{1, 1, 1, 1}));
  s.set_subset(rows({3, 1}));
  EXPECT_EQ(list(s.weights()), (std::vector<int64_t>{0, 1, 0, 1}));
  EXPECT_EQ(draw(single, 3), (std::vector<int64_t>{0, 0, 0}));
}

TEST_P(EachMode, RefusesMisuse) {
  EXPECT_REFUSED(Sampler(options(GetParam(), 0)), "empty data set");
  Sampler s(options(GetParam(), 10));
  EXPECT_REFUSED(s.draw(0), "batch size out of range");
  EXPECT_REFUSED(s.set_subset(rows({})), "empty subset");
  EXPECT_REFUSED(s.set_subset(rows({1, 10})), "no such row; expected 0 to 9; got 10");
  EXPECT_REFUSED(s.set_subset(rows({-1})), "no such row");
  EXPECT_REFUSED(s.set_subset(rows({1, 2, 1})), "row 1 again");
  EXPECT_REFUSED(s.set_subset(at::ones({2, 2}, at::kLong)), "[2, 2]");
  EXPECT_REFUSED(s.set_subset(at::ones({2})), "whole numbers");
  EXPECT_REFUSED(s.set_subset(at::ones({1}, at::kBool)), "whole numbers");
  EXPECT_REFUSED(s.set_subset(at::Tensor()), "index is not a list; expected a tensor [n]; got none");
  EXPECT_REFUSED(s.undo(rows({1})), "undo");
  SamplerState other = Sampler(options(GetParam(), 11)).state();
  EXPECT_REFUSED(s.restore(other), "state of another sampler");
  const auto mode = GetParam() == Sampling::shuffle ? Sampling::sequential : Sampling::shuffle;
  EXPECT_REFUSED(s.restore(Sampler(options(mode, 10)).state()), "state of another sampler");
  SamplerState damaged = s.state();
  damaged.cursor = 11;
  EXPECT_REFUSED(s.restore(damaged), "damaged state");
  damaged = s.state();
  damaged.visits = at::zeros({3}, at::kInt);
  EXPECT_REFUSED(s.restore(damaged), "visits of another size");
  EXPECT_EQ(s.draws(), 0);
}

TEST(SamplerTest, TellsHowManyRowsAlikeWouldBeDrawnAsUnevenly) {
  Sampler weighted(options(Sampling::weighted, 5)), shuffle(options(Sampling::shuffle, 5));
  EXPECT_DOUBLE_EQ(weighted.effective(), 5);
  weighted.set_weights(at::tensor({1., 2., 0., 3., 4.}, at::kDouble));
  EXPECT_DOUBLE_EQ(weighted.effective(), 100. / 30);
  weighted.set_subset(rows({1, 2, 4}));
  EXPECT_DOUBLE_EQ(weighted.effective(), 36. / 20);
  weighted.set_subset(rows({3}));
  EXPECT_DOUBLE_EQ(weighted.effective(), 1);
  weighted.set_subset(rows({0, 1, 2, 3, 4}));
  for (const double scale : {1e300, 1e-300}) {
    weighted.set_weights(at::tensor({.25, .5, 0., .75, 1.}, at::kDouble) * scale);
    EXPECT_DOUBLE_EQ(weighted.effective(), 100. / 30) << scale;
  }
  shuffle.set_subset(rows({1, 4}));
  EXPECT_DOUBLE_EQ(shuffle.effective(), 2);
}

TEST(SamplerTest, TellsWhatWasDrawnSince) {
  const auto counts = [](std::initializer_list<int> list) { return at::tensor(std::vector<int>(list), at::kInt); };
  const at::Tensor difficulty = at::tensor({1., 10., NAN, -4., HUGE_VAL}, at::kDouble), none;
  Drawn drawn = drawn_since(counts({3, 1, 7, 2, 5}), none, difficulty);
  EXPECT_EQ(drawn.rows, 18);
  EXPECT_DOUBLE_EQ(drawn.difficulty, (3 * 1 + 1 * 10 + 2 * -4) / 6.) << "of those that have one";
  drawn = drawn_since(counts({3, 4, 7, 2, 6}), counts({3, 1, 7, 1, 5}), difficulty);
  EXPECT_EQ(drawn.rows, 5);
  EXPECT_DOUBLE_EQ(drawn.difficulty, (3 * 10 + 1 * -4) / 4.);
  drawn = drawn_since(counts({3, 4, 8, 2, 6}), counts({3, 4, 7, 2, 5}).to(at::kDouble), difficulty);
  EXPECT_EQ(drawn.rows, 2);
  EXPECT_TRUE(std::isnan(drawn.difficulty)) << "nobody knows theirs";
  EXPECT_TRUE(std::isnan(drawn_since(counts({1, 2}), none, none).difficulty));
  EXPECT_REFUSED(drawn_since(counts({1, 2}), counts({1}), none), "not of the same rows");
  EXPECT_REFUSED(drawn_since(counts({1, 2}), none, at::ones({3}, at::kDouble)), "2 and 3");
}

TEST(SamplerTest, RefusesWhatHasNoEffectOrNoSense) {
  Sampler shuffle(options(Sampling::shuffle, 3)), weighted(options(Sampling::weighted, 3)),
      confidence(options(Sampling::confidence, 3));
  EXPECT_REFUSED(shuffle.observe(rows({0}), at::tensor({.5f})), "observe has no effect in this mode");
  EXPECT_REFUSED(shuffle.set_weights(at::ones({3})), "set_weights has no effect");
  EXPECT_REFUSED(weighted.set_target(.5), "set_target has no effect");
  EXPECT_REFUSED(weighted.confidence(), "confidence has no effect");
  EXPECT_REFUSED(weighted.set_weights(at::ones({2})), "another number of weights");
  EXPECT_REFUSED(weighted.set_weights(at::tensor({1., -1., 1.}, at::kDouble)), "weight of row 1 out of range");
  EXPECT_REFUSED(weighted.set_weights(at::full({3}, NAN)), "out of range");
  weighted.set_weights(at::zeros({3}));
  EXPECT_REFUSED(weighted.draw(1), "all zero");
  EXPECT_REFUSED(confidence.observe(rows({0}), at::tensor({1.1f})), "confidence of row 0 out of range");
  EXPECT_REFUSED(confidence.observe(rows({0, 1}), at::tensor({.1f})), "another number of confidences");
  EXPECT_REFUSED(confidence.set_target(2), "target out of range");
  SamplerOptions o = options(Sampling::confidence, 3);
  o.floor = 0;
  EXPECT_REFUSED(Sampler{o}, "floor out of range");
  o.floor = .1, o.decay = 1;
  EXPECT_REFUSED(Sampler{o}, "decay out of range");
  EXPECT_REFUSED(sampling_named("shufle"), "unknown mode");
  for (const Sampling mode : {Sampling::sequential, Sampling::shuffle, Sampling::weighted, Sampling::confidence})
    EXPECT_EQ(sampling_named(name_of(mode)), mode);
}

}  // namespace
}  // namespace gradus
