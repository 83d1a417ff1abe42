#include "query/direction.h"

#include "exchange/merge.h"
#include "query/query.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

TEST(WellKnown, Names) {
  for (const char* key : {"val/acc",
                          "Accuracy/val",
                          "result/top1_acc",
                          "acc5",
                          "val_acc_at_5",
                          "mAP",
                          "mAP_50",
                          "mIoU",
                          "F1",
                          "macro_f1",
                          "r2",
                          "R2_score",
                          "ROUGE-L",
                          "BLEU4",
                          "rougeLsum",
                          "val/agreement",
                          "loss/acc",
                          "recall_at_precision_90",
                          "samples_per_second",
                          "exact_match",
                          "valAcc"})
    EXPECT_EQ(well_known(key), Better::higher) << key;
  for (const char* key : {"train/loss",
                          "Loss/train",
                          "valLoss",
                          "MSELoss",
                          "MSELossHard",
                          "RMSE",
                          "result/hard_rmse",
                          "val.mae",
                          "nll",
                          "ce",
                          "train/kl",
                          "PPL",
                          "perplexity",
                          "WER",
                          "word_error_rate",
                          "top1_error",
                          "latency_ms",
                          "result/seconds",
                          "result/steps_to_90",
                          "steps_to_acc",
                          "seconds_per_step",
                          "loss_per_token",
                          "cross_entropy",
                          "CrossEntropy",
                          "brier_score",
                          "ECE",
                          "forgetting",
                          "gflops",
                          "peak_memory",
                          "loss2"})
    EXPECT_EQ(well_known(key), Better::lower) << key;
  for (const char* key : {"result/hard", "lossless", "knob/lr", "knob/loss_weight", "score", "acc_gap", "loss_acc",
                          "accord", "x", "12", "val/", "/", "", "train/temperature", "reported", "map_loss"})
    EXPECT_EQ(well_known(key), Better::unknown) << key;
}

class DirectionTest : public StoreTest {
 protected:
  // Two groups of three seeds: the new one lies 0.5 above the base, with a little noise.
  void add(Store& store, const std::vector<std::string>& keys) {
    for (const char* way : {"base", "new"}) {
      for (int seed = 1; seed <= 3; ++seed) {
        const std::string name = way;
        auto run = store.begin({.name = "d", .seed = seed, .config_hash = name, .params = {{"way", name}}});
        const double noise = name == "new" ? 0.5 + 0.001 * (seed % 2) : 0;
        for (const std::string& key : keys) {
          run->log(run->key(key), 1, seed + noise + 1);
          run->log(run->key(key), 2, seed + noise);
        }
        run->finish("finished");
      }
    }
  }
  static Json compared(Store& store, const std::string& key) {
    CompareOptions options;
    options.metrics = {key};
    options.versus = "base";
    return compare(store, options);
  }
  static std::string verdict(Store& store, const std::string& key) {
    return compared(store, key)["versus"]["comparisons"][0]["verdict"];
  }
};

TEST_F(DirectionTest, WhatWasSaidCountsBeforeTheName) {
  auto store = create();
  add(*store, {"val/score", "val/rmse"});
  EXPECT_EQ(verdict(*store, "val/rmse"), "worse");
  EXPECT_EQ(verdict(*store, "val/score"), "open: which way is better?");
  const Json open = compared(*store, "val/score");
  EXPECT_EQ(open["metrics"].dump(), R"([{"key":"val/score","better":null,"source":null}])");
  EXPECT_TRUE(open["groups"][0]["metrics"]["val/score"]["best"]["mean"].is_null()) << "no best without a way";
  EXPECT_EQ(open["versus"]["comparisons"].size(), 1U) << "and no line for it";
  expect_error(Exit::usage, "`gradus better val/score higher` (or lower)",
               [&] { list_runs(*store, {.where = "best(val/score) > 2"}); });
  auto run = store->begin({.name = "says"});
  run->better("val/score", "higher");
  run->better("val/score", "higher");
  EXPECT_EQ(verdict(*store, "val/score"), "better");
  EXPECT_EQ(list_runs(*store, {.where = "best(val/score) > 3.9"}).size(), 2U);
  run->better("val/rmse", "higher");  // against its name
  EXPECT_EQ(verdict(*store, "val/rmse"), "better");
  EXPECT_EQ(compared(*store, "val/rmse")["metrics"].dump(),
            R"([{"key":"val/rmse","better":"higher","source":"said"}])");
  run->finish("finished");
}

TEST_F(DirectionTest, AContradictionNamesBoth) {
  auto store = create();
  auto run = store->begin({.name = "says"});
  run->better("score", "higher");
  expect_error(Exit::usage, "better: score: expected higher, as was said before in",
               [&] { run->better("score", "lower"); });
  expect_error(Exit::usage, "got lower", [&] { run->better("score", "lower"); });
  EXPECT_EQ(direction(*store, "score").better, Better::higher) << "an error changes nothing";
  expect_error(Exit::usage, "expected higher or lower; got 'up'", [&] { run->better("score", "up"); });
  expect_error(Exit::usage, "bad metric name", [&] { run->better("a b", "lower"); });
  expect_error(Exit::usage, "bad metric name", [&] { run->better("", "lower"); });
  EXPECT_EQ(set_better(*store, "score", "lower"), "higher");  // a person may change their mind
  EXPECT_EQ(direction(*store, "score").better, Better::lower);
  EXPECT_EQ(set_better(*store, "score", ""), "lower");
  EXPECT_EQ(direction(*store, "score").better, Better::unknown);
  run->finish("finished");
  expect_error(Exit::usage, "is over", [&] { run->better("score", "lower"); });
}

TEST_F(DirectionTest, AKeyThatIsSaidBeforeItIsLoggedIsOne) {
  auto store = create();
  auto run = store->begin({.name = "says"});
  run->better("score", "lower");
  run->log(run->key("score"), 1, 2);
  run->flush();
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM keys"), "1");
  run->better("other", "lower");  // while the drain knows keys already
  run->log(run->key("other"), 1, 2);
  run->finish("finished");
  EXPECT_EQ(ask(*store, "SELECT group_concat(key || last) FROM summaries"), "score2.0,other2.0");
}

TEST_F(DirectionTest, MergingKeepsWhatIsSaidHere) {
  {
    auto theirs = Store::open(folder_ + "/other/gradus.db", Store::Mode::create);
    auto run = theirs->begin({.name = "says"});
    for (const char* key : {"one", "both"}) {
      run->better(key, "lower");
      run->log(run->key(key), 1, 1);
    }
    run->log(run->key("none"), 1, 1);
    run->finish("finished");
  }
  auto store = create();
  auto run = store->begin({.name = "says"});
  run->better("both", "higher");
  run->better("none", "higher");
  run->finish("finished");
  merge(*store, *Store::open(folder_ + "/other/gradus.db", Store::Mode::read));
  EXPECT_EQ(ask(*store, "SELECT group_concat(name || ' ' || better) FROM (SELECT * FROM keys ORDER BY name)"),
            "both higher,none higher,one lower");
}

}  // namespace
}  // namespace gradus::results
