#include "query/where.h"

#include <cmath>

#include "query/query.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class WhereTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
    add("ramp", 1, 0.01, {0.5, 0.95, 0.9},
        {{"width", std::int64_t{8}}, {"note", std::string("10")}, {"told", std::string("1")}});
    add("ramp", 5, 1e-4, {0.2, 0.3}, {{"width", std::int64_t{16}}, {"augment", true}});
    add("stages", 2, 1e-3, {0.99}, {{"width", std::string("wide")}, {"optimizer.name", std::string("adamw")}});
  }
  void add(const std::string& strategy, std::int64_t seed, double lr, const std::vector<double>& accuracies,
           std::vector<Param> more) {
    RunStart start{.name = "digits", .seed = seed, .params = {{"strategy", strategy}, {"lr", lr}}};
    start.params.insert(start.params.end(), more.begin(), more.end());
    auto run = store_->begin(start);
    for (std::size_t i = 0; i < accuracies.size(); ++i) {
      run->log(run->key("val/acc"), static_cast<std::int64_t>(10 * (i + 1)), accuracies[i]);
      run->log(run->key("val/loss"), static_cast<std::int64_t>(10 * (i + 1)), 1 - accuracies[i]);
    }
    run->finish("finished");
  }
  std::string fits(const std::string& where) {
    std::string ids;
    notes_.clear();
    for (const Json& run : list_runs(*store_, {.where = where, .notes = &notes_})) ids += run["id"].dump();
    return ids;
  }
  std::shared_ptr<Store> store_;
  std::vector<std::string> notes_;
};

TEST_F(WhereTest, TheIssuesExpression) {
  EXPECT_EQ(fits("strategy == 'ramp' and (lr > 1e-3 or seed < 3) and best(val_acc) > 0.9"), "1");
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_EQ(notes_[0], "val_acc: read as the metric val/acc");
  EXPECT_EQ(fits("strategy == 'ramp' or lr == 0.001 and seed == 5"), "12") << "and binds tighter than or";
  EXPECT_EQ(fits("not strategy == 'ramp' or seed == 5"), "23") << "not binds tightest";
}

TEST_F(WhereTest, WhatIsMissingIsSaidAsItIsAsked) {
  const auto said = [&](const std::string& where) {
    try {
      return fits(where);
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Exit::usage);
      return std::string(error.what());
    }
  };
  EXPECT_NE(said("last(val/acc > 1").find("expected `)` after last(METRIC;"), std::string::npos)
      << said("last(val/acc > 1");
  EXPECT_NE(said("at(val/acc, 10 > 1").find("expected `)` after at(METRIC, STEP;"), std::string::npos)
      << said("at(val/acc, 10 > 1");
  auto run = store_->begin({.name = "digits"});
  run->log(run->key("knob/heat"), 1, 4);
  run->finish("finished");
  EXPECT_NE(
      said("heat > 1").find("'heat' is no parameter of a run, but what its steps were given: expected last(knob/heat)"),
      std::string::npos)
      << said("heat > 1");
}

// Whatever name a tag may have, without quotes.
TEST_F(WhereTest, TagsOfEveryName) {
  for (const char* name : {"paper", "paper-2", "fig/3.b", "-x", "7_a"}) {
    set_tag(*store_, 2, name, "yes");
    for (const std::string& form : {std::string("tags.") + name, "tags.'" + std::string(name) + "'"}) {
      EXPECT_EQ(fits(form + "=='yes'"), "2") << form;
      EXPECT_EQ(fits("(" + form + " == nil)"), "13") << form;
      EXPECT_TRUE(notes_.empty()) << form;
      EXPECT_EQ(parse_value(*store_, form).args.at(0), Cell(std::string(name)));
    }
  }
}

TEST_F(WhereTest, NumbersAreNumbers) {
  EXPECT_EQ(fits("lr < 0.002"), "23");
  EXPECT_EQ(fits("lr == 1e-2"), "1");
  EXPECT_EQ(fits("width > 9"), "2") << "no order between a number and a text";
  EXPECT_EQ(fits("width < 9"), "1");
  EXPECT_EQ(fits("width > 'a'"), "3");
  EXPECT_EQ(fits("width != 8"), "23") << "a text is not 8";
  EXPECT_EQ(fits("params.note == 10"), "") << "'10' is a text";
  EXPECT_EQ(fits("lr < width"), "12");
  EXPECT_EQ(fits("augment == true"), "2");
  EXPECT_EQ(fits("seed == 5.0"), "2");
  EXPECT_THROW(fits("seed == '5'"), Error);
  EXPECT_THROW(fits("name == 5"), Error);
}

TEST_F(WhereTest, ListsPatternsAndNil) {
  EXPECT_EQ(fits("strategy in ('ramp', 'confidence')"), "12");
  EXPECT_EQ(fits("seed in [1, 2] and strategy not in {'stages'}"), "1");
  EXPECT_EQ(fits("strategy like 'st%'"), "3");
  EXPECT_EQ(fits("strategy not like 'st%'"), "12");
  EXPECT_EQ(fits("strategy ~ '^(ramp|stages)$' and strategy ~ 'a[gm]'"), "123");
  EXPECT_EQ(fits("strategy !~ 'p$'"), "3");
  EXPECT_EQ(fits("strategy ~= 'ramp'"), "3") << "Lua's not equal";
  EXPECT_EQ(fits("augment == nil"), "13");
  EXPECT_EQ(fits("optimizer.name != nil"), "3");
  EXPECT_EQ(fits("params.\"optimizer.name\" == 'adamw'"), "3");
  EXPECT_EQ(fits("optimizer_name == 'adamw'"), "3");
  EXPECT_EQ(fits("augment != true"), "") << "a run without the parameter fails";
  expect_error(Exit::usage, "bad regular expression", [&] { fits("strategy ~ '('"); });
  EXPECT_EQ(fits("name == 'it''s'"), "");
}

TEST_F(WhereTest, ValuesOfMetrics) {
  EXPECT_EQ(fits("best(val/acc) >= 0.95"), "13");
  EXPECT_EQ(fits("best(val/loss) < 0.06"), "13") << "the best loss is the least";
  EXPECT_EQ(fits("last('val/acc') == 0.9"), "1");
  EXPECT_EQ(fits("first(val/acc) < 0.3"), "2");
  EXPECT_EQ(fits("min(val/acc) <= 0.5 and max(val/acc) > 0.5"), "1");
  EXPECT_EQ(fits("argmax(val/acc) == 20"), "12");
  EXPECT_EQ(fits("count(val/acc) > 1"), "12");
  EXPECT_EQ(fits("at(val/acc, 15) == 0.5"), "1") << "the last value by then";
  EXPECT_EQ(fits("at(val/acc, 9) != nil"), "");
  EXPECT_EQ(fits("auc(val/acc) == 0.825"), "1");
}

TEST_F(WhereTest, NotOfAMissingValueIsTrue) {
  EXPECT_EQ(fits("not width > 9"), "13") << "8, and a text that is no number";
  EXPECT_EQ(fits("not augment == true"), "13") << "two runs have no such parameter";
  EXPECT_EQ(fits("not (augment == true or width == 8)"), "3");
  EXPECT_EQ(fits("not not augment == true"), "2");
}

TEST_F(WhereTest, WhatRunsHaveComeTo) {
  auto run = store_->begin({.name = "x", .params = {{"samples", std::int64_t{3}}}});
  run->progress(100, 2, 6400, 1e9, 5);
  run->finish("finished");
  EXPECT_EQ(fits("step >= 100 and epoch == 2 and flops > 1e8"), "4");
  EXPECT_EQ(fits("step == nil"), "123");
  EXPECT_EQ(fits("samples == 3"), "4") << "a parameter of that name goes first";
  EXPECT_EQ(fits("origin != nil"), "") << "none is a fork";
}

TEST_F(WhereTest, WhatNeverFitsIsTold) {
  EXPECT_EQ(fits("augment == 'true'"), "");
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_EQ(notes_[0],
            "augment: a number or true or false in every run, which never equals a text; without quotes it is one");
  EXPECT_EQ(fits("optimizer.name in (3)"), "");
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_EQ(notes_[0], "optimizer.name: a text in every run, which never equals a number; in quotes it is a text");
  EXPECT_EQ(fits("width == 'wide'"), "3") << "both are there";
  EXPECT_TRUE(notes_.empty());
  set_tag(*store_, 2, "paper", "");
  EXPECT_EQ(fits("tags.paper != nil"), "2");
  EXPECT_TRUE(notes_.empty());
  EXPECT_EQ(fits("tags.papr != nil"), "");
  EXPECT_EQ(notes_, std::vector<std::string>{"tags.papr: no run has this tag; did you mean 'tags.paper'?"});
  EXPECT_EQ(fits("tags.'keep it' == nil"), "123");
  EXPECT_EQ(notes_, std::vector<std::string>{"tags.keep it: no run has this tag"});
  expect_error(Exit::usage, "--where: status: expected running, finished, failed or interrupted; got 'Failed'",
               [&] { fits("status = 'Failed'"); });
  expect_error(Exit::usage, "got 'done'", [&] { fits("status in ('finished', 'done')"); });
  expect_error(Exit::usage, "expected nans(METRIC) > 0", [&] { fits("last(val/acc) == nan"); });
  EXPECT_EQ(fits("last(val/acc) < inf and last(val/acc) > -inf"), "123");
  expect_error(Exit::usage, "did you mean 'lr'?", [&] { fits("LR > 1"); });
}

// NaN as IEEE 754 has it; a metric that was never logged is nil.
TEST_F(WhereTest, NanIsAValueThatIsUnequalToAll) {
  const double nan = std::nan("");
  add("nan", 6, 1, {0.5, nan}, {});
  add("nans", 7, 1, {nan, nan}, {});
  auto run = store_->begin({.name = "nothing"});
  run->finish("finished");
  EXPECT_EQ(fits("last(val/acc) != 0.9"), "2345");
  EXPECT_EQ(fits("not last(val/acc) == 0.9"), "23456") << "a run without the metric passes `not`, and only that";
  for (const char* never : {"last(val/acc) == 0.5", "last(val/acc) < 0.1", "last(val/acc) > 1", "last(val/acc) >= 1",
                            "last(val/acc) in (0.5)"})
    EXPECT_EQ(fits(never), "") << never;
  EXPECT_EQ(fits("last(val/acc) <= 1"), "123");
  EXPECT_EQ(fits("last(val/acc) not in (0.9, 0.3)"), "345");
  EXPECT_EQ(fits("last(val/acc) == nil"), "6");
  EXPECT_EQ(fits("last(val/acc) != nil"), "12345");
  EXPECT_EQ(fits("last(val/acc) != last(val/acc)"), "45") << "unequal to itself";
  EXPECT_EQ(fits("0.9 != last(val/acc)"), "2345");
  EXPECT_EQ(fits("last(val/acc) != width"), "123") << "what nobody has is unequal to nothing";
  EXPECT_EQ(fits("nans(val/acc) > 0"), "45");
  EXPECT_EQ(fits("nans(val/acc) == 0"), "123");
  EXPECT_EQ(fits("max(val/acc) == 0.5"), "4") << "NaN takes no part in extremes";
  EXPECT_EQ(fits("max(val/acc) != 0.5 and seed > 5"), "5") << "but all of them are no number";
  EXPECT_EQ(fits("at(val/acc, 20) != 0.5"), "12345");
  EXPECT_EQ(fits("at(val/acc, 9) == nil"), "123456");
  EXPECT_EQ(fits("first(val/acc) != 0.5"), "235");
  EXPECT_EQ(fits("auc(val/acc) != nil and seed == 7"), "5");
  EXPECT_EQ(fits("best(val/acc) > 0.4 and last(val/acc) != last(val/acc)"), "4");
}

TEST_F(WhereTest, SaysWhatIsWrong) {
  expect_error(Exit::usage, "did you mean 'val/acc'?", [&] { fits("best(val/ac) > 1"); });
  expect_error(Exit::usage, "expected which of its values: last(val/acc)", [&] { fits("val/acc > 0.9"); });
  expect_error(Exit::usage, "expected which of its values: last(val/acc)", [&] { fits("val_acc > 0.9"); });
  expect_error(Exit::usage, "character 6", [&] { fits("last(nope) > 1"); });
  expect_error(Exit::usage, "expected == nil", [&] { fits("lr < nil"); });
  for (const char* bad :
       {"at(val/acc)", "at(val/acc, x) > 1", "seed in ()", "seed in (lr)", "seed in (1", "lr like 3", "lr not 3",
        "strategy == 'a' and", "params. == 3", "tags == 3", "last() > 1", "last(val/acc > 1"})
    EXPECT_THROW(fits(bad), Error) << bad;
}

TEST_F(WhereTest, AMetricsValueUnderOtherNames) {
  for (const char* name : {"best/val/acc", "best:val/acc", "best val/acc", "best.val/acc", "best_val_acc",
                           "val/acc/best", "val/acc-best", "best/val_acc"}) {
    expect_error(Exit::usage, "did you mean best(val/acc)?", [&] { parse_value(*store_, name); });
    expect_error(Exit::usage, "did you mean best(val/acc)?", [&] { fits(std::string(name) + " > .5"); });
  }
  expect_error(Exit::usage, "did you mean max(val/loss)?", [&] { parse_value(*store_, "max/val/loss"); });
  expect_error(Exit::usage, "'best' is no name; did you mean best(METRIC), such as best(val/",
               [&] { parse_value(*store_, "best"); });
  expect_error(Exit::usage, "did you mean best(METRIC)", [&] { parse_value(*store_, "best/nothing"); });
}

// Every kind of operand against every other, by each sign: numbers and texts are unequal, and without order between them.
TEST_F(WhereTest, EveryComparison) {
  using Values = std::vector<Cell>;  // of the three runs; monostate: the run has none
  const Cell none, wide = std::string("wide"), ramp = std::string("ramp"), stages = std::string("stages"),
                   ten = std::string("10");
  const auto number = [](double value) { return Cell(value); };
  struct Side {
    const char* text;
    Values values;
    char type;  // number, text or any
    bool literal;
  };
  const Side sides[] = {
      {"seed", {number(1), number(5), number(2)}, 'n', false},
      {"id", {number(1), number(2), number(3)}, 'n', false},
      {"status", {std::string("finished"), std::string("finished"), std::string("finished")}, 't', false},
      {"strategy", {ramp, ramp, stages}, 'a', false},
      {"width", {number(8), number(16), wide}, 'a', false},
      {"params.note", {ten, none, none}, 'a', false},
      {"told", {std::string("1"), none, none}, 'a', false},
      {"augment", {none, number(1), none}, 'a', false},
      {"last(val/acc)", {number(.9), number(.3), number(.99)}, 'n', false},
      {"2", {number(2), number(2), number(2)}, 'n', true},
      {"+8", {number(8), number(8), number(8)}, 'n', true},
      {"-.5e1", {number(-5), number(-5), number(-5)}, 'n', true},
      {"true", {number(1), number(1), number(1)}, 'n', true},
      {"false", {number(0), number(0), number(0)}, 'n', true},
      {"inf", {number(HUGE_VAL), number(HUGE_VAL), number(HUGE_VAL)}, 'n', true},
      {"'finished'", {std::string("finished"), std::string("finished"), std::string("finished")}, 't', true},
      {"\"ramp\"", {ramp, ramp, ramp}, 't', true},
      {"'1'", {std::string("1"), std::string("1"), std::string("1")}, 't', true},
      {"'10'", {ten, ten, ten}, 't', true},
  };
  for (const Side& left : sides) {
    for (const Side& right : sides) {
      for (const std::string op : {"==", "=", "!=", "~=", "<>", "<", "<=", ">", ">="}) {
        const std::string text = std::string(left.text) + op + right.text;
        SCOPED_TRACE(text);
        const bool said = right.literal && std::string(left.text) == "status" && right.type == 't' &&
                          std::string(right.text) != "'finished'";
        if (said || (left.type != right.type && left.type != 'a' && right.type != 'a')) {
          EXPECT_THROW(fits(text), Error);
          continue;
        }
        std::string wanted;
        for (std::size_t run = 0; run < 3; ++run) {
          const Cell &a = left.values[run], &b = right.values[run];
          if (a.index() == 0 || b.index() == 0) continue;
          const bool alike = a.index() == b.index(), equal = alike && a == b, less = alike && a < b;
          const bool fits = op[0] == '!' || op[0] == '~' || op == "<>" ? !equal
                            : op[0] == '='                             ? equal
                            : !alike                                   ? false
                            : op[0] == '<'                             ? less || (equal && op == "<=")
                                                                       : !less && (!equal || op == ">=");
          if (fits) wanted += std::to_string(run + 1);
        }
        EXPECT_EQ(fits(text), wanted);
      }
    }
  }
}

TEST_F(WhereTest, HowDeepAndHowLong) {
  struct {
    const char *open, *close, *fits;
    int most;
  } const cases[] = {{"(", ")", "2", 15},
                     {"(seed == 7 or id == 3 and strategy == 'x' or ", ")", "2", 15},
                     {"not not ", "", "2", 7},
                     {"not (seed == 1 or not (", "))", "2", 3},
                     {"(seed != 1 and ", ")", "2", 15}};
  for (const auto& [open, close, which, most] : cases) {
    SCOPED_TRACE(open);
    std::string text = "seed == 5";
    for (int depth = 1; depth <= most; ++depth) {
      text = open + text + close;
      EXPECT_EQ(fits(text), which) << depth;
    }
    expect_error(Exit::usage, "expected at most 15 parentheses", [&] { fits(open + text + close); });
  }
  std::string either = "seed == 5", both = either;
  for (int i = 0; i < 150; ++i) either += " or (seed == 1)", both += " and (seed == 5)";
  EXPECT_EQ(fits(either), "12");
  EXPECT_EQ(fits(both), "2");
  EXPECT_EQ(fits("seed == 9007199254740993"), "");
  EXPECT_EQ(fits("seed != 9007199254740993 and seed < 1e400"), "123");
  auto run = store_->begin({.name = "x", .seed = 9007199254740993});
  run->finish("finished");
  EXPECT_EQ(fits("seed == 9007199254740993"), "4") << "more than a double holds";
  EXPECT_EQ(fits("seed == 9007199254740992"), "");
}

TEST_F(WhereTest, NothingIsSql) {
  for (const char* evil :
       {"name == \"x' OR 1=1 --\"", "strategy ~ 'x'' OR 1=1'", "tags.a == 'b\"); DROP TABLE runs; --'",
        "params.\"x' OR '1'='1\" == 3", "last('x'') > 1 OR (1') > 0"}) {
    try {
      EXPECT_EQ(fits(evil), "") << evil;
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Exit::usage);
    }
  }
  EXPECT_EQ(fits(""), "123");
}

}  // namespace
}  // namespace gradus::results
