// gradus::tally against LibTorch's operators, one by one: equals, NaN and infinity among the logits, rows that do not
// count, and on both ways to compute it.
#include <gtest/gtest.h>

#include <limits>

#include "error.h"
#include "torch.h"

namespace gradus {
namespace {

using Tally = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

Tally tally(const at::Tensor& logits, const at::Tensor& target, const std::optional<at::Tensor>& answers = {},
            int64_t ignore = -100) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("gradus::tally", "")
          .typed<Tally(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, int64_t)>();
  return op.call(logits, target, answers, ignore);
}

void check_same(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& answers, int64_t ignore = -100) {
  const at::Tensor best = logits.argmax(-1), counts = target.ne(ignore);
  const at::Tensor right = best.eq(target).logical_and(counts);
  const auto [is_right, often, found] = tally(logits, target, answers, ignore);
  EXPECT_TRUE(is_right.equal(right)) << logits.sizes();
  const at::Tensor none = at::zeros({logits.size(-1)}, at::kLong);
  EXPECT_TRUE(often.equal(none.scatter_add(0, best.flatten(), counts.flatten().to(at::kLong)))) << logits.sizes();
  const int64_t wanted[] = {counts.sum().item<int64_t>(), right.sum().item<int64_t>(),
                            best.eq(answers).logical_and(counts).sum().item<int64_t>()};
  EXPECT_TRUE(found.equal(at::tensor(at::ArrayRef<int64_t>(wanted), at::kLong))) << logits.sizes() << found;
  const auto [again, of_class, alone] = tally(logits, target, {}, ignore);
  EXPECT_TRUE(again.equal(right) && of_class.equal(often));
  EXPECT_EQ(alone[2].item<int64_t>(), 0) << "agrees with nobody";
}

TEST(Tally, EqualsLibTorchs) {
  at::manual_seed(1);
  for (const auto type : {at::kFloat, at::kDouble, at::kBFloat16}) {  // the last is LibTorch's own work
    for (const std::vector<int64_t>& shape :
         std::vector<std::vector<int64_t>>{{1, 1}, {7, 3}, {128, 10}, {3, 5, 17}, {2, 70000}, {0, 4}}) {
      const at::IntArrayRef rows = at::IntArrayRef(shape).slice(0, shape.size() - 1);
      const int64_t classes = shape.back();
      const at::Tensor answers = at::randint(classes, rows, at::kLong);
      at::Tensor target = at::randint(classes, rows, at::kLong);
      check_same(at::randn(shape).to(type), target, answers);
      check_same(at::randint(2, shape, at::kFloat).to(type), target, answers);  // equals
      at::Tensor some = at::randn(shape);
      some.masked_fill_(at::rand(shape).lt(.2), std::numeric_limits<float>::quiet_NaN());
      some.masked_fill_(at::rand(shape).lt(.2), std::numeric_limits<float>::infinity());
      check_same(some.to(type), target, answers);
      check_same(at::full(shape, -std::numeric_limits<float>::infinity()).to(type), target, answers);
      target.masked_fill_(at::rand(rows).lt(.4), -100);
      check_same(at::randn(shape).to(type), target, answers);
      check_same(at::randn(shape).to(type), target, answers, 0);
    }
  }
  check_same(at::randn({4, 6}).t(), at::randint(4, {6}, at::kLong), at::randint(4, {12}, at::kLong).slice(0, 0, 12, 2));
}

TEST(Tally, HasTheSameNumbersOnAnyNumberOfThreads) {
  const at::Tensor logits = at::randn({300, 3000}), target = at::randint(3000, {300}, at::kLong);
  const auto alone = tally(logits, target);
  at::set_num_threads(3);
  const auto together = tally(logits, target);
  at::set_num_threads(1);
  EXPECT_TRUE(std::get<0>(alone).equal(std::get<0>(together)) && std::get<1>(alone).equal(std::get<1>(together)) &&
              std::get<2>(alone).equal(std::get<2>(together)));
}

void expect_refused(const at::Tensor& logits, const at::Tensor& target, const std::optional<at::Tensor>& answers,
                    const std::string& text) {
  try {
    tally(logits, target, answers);
    ADD_FAILURE() << "not refused: " << text;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(Tally, RefusesMisuse) {
  const at::Tensor logits = at::randn({4, 3}), target = at::zeros({4}, at::kLong);
  expect_refused(logits.to(at::kLong), target, {}, "tally: logits is Long of shape [4, 3]; expected floating point");
  expect_refused(at::randn({}), at::zeros({}, at::kLong), {}, "tally: logits is Float of shape []");
  expect_refused(at::randn({4, 0}), target, {}, "tally: logits is Float of shape [4, 0]");
  expect_refused(logits, target.to(at::kInt), {}, "tally: target is Int of shape [4]; expected int64 classes");
  expect_refused(logits, at::zeros({3}, at::kLong), {}, "tally: target is Long of shape [3]");
  expect_refused(logits, target, at::zeros({4, 1}, at::kLong), "tally: answers is Long of shape [4, 1]");
  expect_refused(logits, target, at::zeros({4}), "tally: answers is Float of shape [4]");
}

}  // namespace
}  // namespace gradus
