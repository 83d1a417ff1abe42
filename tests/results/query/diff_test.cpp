#include "query/diff.h"

#include <cstdlib>
#include <fstream>
#include <random>

#include "query/text_diff.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class DiffTest : public StoreTest {
 protected:
  struct Given {
    double lr = 0.1;
    std::int64_t seed = 1;
    std::string script = "a\nb\nc\n";
    std::int64_t parts_at = 0;  // steps from which the loss is another
    double advance = 30;
    std::string stdlib = "s1", path = "x.lua";
  };
  void add(Store& store, const Given& given) {
    RunStart start{.name = "x", .seed = given.seed, .params = {{"lr", given.lr}, {"width", std::int64_t{8}}}};
    start.sources = {{given.path, given.script, given.script}};
    start.environment.script = given.path;
    start.environment.versions = R"({"torch":"2","stdlib":")" + given.stdlib + "\"}";
    auto run = store.begin(start);
    run->event(0, "stage", "easy", "{}");
    run->event(static_cast<std::int64_t>(given.advance), "decision", "advance", R"({"acc":0.8})");
    for (std::int64_t step = 10; step <= 100; step += 10) {
      run->log(run->key("train/loss"), step,
               1.0 / static_cast<double>(step) + (given.parts_at && step >= given.parts_at ? 1e-16 * 64 : 0));
      run->log(run->key("val/acc"), step, step == 50 ? kNan : 0.5);
      run->log(run->key("knob/lr"), step, given.lr);
      run->log(run->key("result/seconds"), step, std::rand());
    }
    run->finish("finished");
  }
};

TEST_F(DiffTest, FindsWhereTheCurvesPart) {
  auto store = create();
  add(*store, {});
  add(*store, {.seed = 2, .parts_at = 40});
  const Json diff = diff_runs(*store, "1", "2");
  EXPECT_EQ(diff["params"].dump(), R"([{"key":"seed","a":1,"b":2}])");
  EXPECT_TRUE(diff["same_code"].get<bool>());
  EXPECT_EQ(diff["parts"]["step"], 40) << "values that print alike are not the same";
  EXPECT_EQ(diff["parts"]["key"], "train/loss");
  EXPECT_EQ(diff["before"]["a"]["kind"], "decision");
  EXPECT_EQ(diff["before"]["a"]["step"], 30);
  EXPECT_EQ(diff["before"]["b"]["detail"]["acc"], 0.8);
  EXPECT_EQ(diff["identical"].dump(), R"(["knob/lr","val/acc"])") << "NaN is NaN, and time is no result";
  EXPECT_TRUE(diff["schedule"]["same"].get<bool>());
}

TEST_F(DiffTest, WhatHasNoStepInCommonIsNotTheSame) {
  auto store = create();
  for (const std::int64_t from : {0, 10}) {
    auto run = store->begin({.name = "x"});
    for (std::int64_t step = from; step < from + 10; ++step) run->log(run->key("val/acc"), step, 0.5);
    run->log(run->key("test"), 5, 1);
    run->finish("finished");
  }
  EXPECT_EQ(diff_runs(*store, "1", "2")["identical"].dump(), R"(["test"])");
}

// What was decided at the very step at which the curves part is what they part by.
TEST_F(DiffTest, ADecisionAtTheStepItselfCounts) {
  auto store = create();
  add(*store, {.advance = 30});
  add(*store, {.parts_at = 30, .advance = 31});
  const Json diff = diff_runs(*store, "1", "2");
  EXPECT_EQ(diff["parts"]["step"], 30);
  EXPECT_EQ(diff["before"]["a"]["kind"], "decision");
  EXPECT_EQ(diff["before"]["a"]["step"], 30);
  EXPECT_EQ(diff["before"]["b"]["kind"], "stage") << "a step later is too late";
}

TEST_F(DiffTest, TellsSourcesVersionsAndScheduleApart) {
  auto store = create();
  add(*store, {});
  add(*store, {.lr = 0.2, .script = "a\nB\nc\n", .advance = 20, .stdlib = "s2"});
  const Json diff = diff_runs(*store, "1", "@last");
  EXPECT_EQ(diff["params"][0]["key"], "lr");
  EXPECT_EQ(diff["environment"].dump(), R"([{"key":"versions.stdlib","a":"s1","b":"s2"}])");
  EXPECT_FALSE(diff["same_code"].get<bool>());
  EXPECT_EQ(diff["sources"][0]["diff"], "--- run 1/x.lua\n+++ run 2/x.lua\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
  EXPECT_FALSE(diff["schedule"]["same"].get<bool>());
  EXPECT_EQ(diff["schedule"]["decisions"]["b"][0]["step"], 20);
  EXPECT_EQ(diff["schedule"]["knobs"][0]["key"], "knob/lr");
  EXPECT_EQ(diff["parts"]["step"], 10);
  EXPECT_EQ(diff["before"]["a"]["kind"], "stage") << "the decision came later";
  EXPECT_TRUE(diff_runs(*store, "1", "1")["parts"].is_null());
}

TEST_F(DiffTest, AScriptAtTwoPathsIsOne) {
  auto store = create();
  add(*store, {});
  add(*store, {.path = "there/y.lua"});
  add(*store, {.script = "a\nb\nd\n", .path = "there/y.lua"});
  EXPECT_TRUE(diff_runs(*store, "1", "2")["sources"].empty());
  const Json sources = diff_runs(*store, "1", "3")["sources"];
  ASSERT_EQ(sources.size(), 1u);
  EXPECT_EQ(sources[0]["path"], "x.lua");
  EXPECT_NE(sources[0]["diff"].get<std::string>().find("\n-c\n+d\n"), std::string::npos);
}

TEST(TextDiffTest, Small) {
  EXPECT_EQ(unified_diff("a\n", "a\n", "x", "y"), "");
  EXPECT_EQ(unified_diff("", "a\n", "x", "y"), "--- x\n+++ y\n@@ -0,0 +1 @@\n+a\n");
  EXPECT_EQ(unified_diff("a\nb", "a\n", "x", "y"),
            "--- x\n+++ y\n@@ -1,2 +1 @@\n a\n-b\n\\ No newline at end of file\n");
  const std::string far = unified_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "0\n2\n3\n4\n5\n6\n7\n8\n0\n", "x", "y");
  EXPECT_NE(far.find("@@ -1,4 +1,4 @@"), std::string::npos) << far;
  EXPECT_NE(far.find("@@ -6,4 +6,4 @@"), std::string::npos) << far;
}

// Texts that share no line, and would take more edits than are looked for.
TEST(TextDiffTest, WhatIsWhollyReplacedBeginsWithTheFirstLine) {
  std::string a, b;
  for (int i = 0; i < kMostEdits; ++i) a += "a" + std::to_string(i) + "\n", b += "b" + std::to_string(i) + "\n";
  const std::string text = unified_diff(a, b + "c\n", "x", "y"), count = std::to_string(kMostEdits);
  EXPECT_EQ(text.substr(0, text.find("-a1\n")),
            "--- x\n+++ y\n@@ -1," + count + " +1," + std::to_string(kMostEdits + 1) + " @@\n-a0\n");
}

// What `patch` makes of our difference is the other text, and no edit script is longer than that of `diff`.
TEST_F(DiffTest, PatchAppliesIt) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    std::string a, b;
    for (int i = 0, n = static_cast<int>(random() % 40); i < n; ++i) {
      const std::string line = std::string(1, static_cast<char>('a' + random() % 4)) + "\n";
      if (random() % 5 != 0) a += line;
      if (random() % 5 != 0) b += line;
    }
    std::ofstream(folder_ + "/a") << a;
    std::ofstream(folder_ + "/b") << b;
    const std::string text = unified_diff(a, b, "a", "a");
    std::ofstream(folder_ + "/p") << text;
    const std::string cd = "cd " + folder_ + " && ";
    if (!text.empty()) {
      ASSERT_EQ(std::system((cd + "patch -s a p").c_str()), 0) << text;
    }
    ASSERT_EQ(std::system((cd + "touch a && cmp -s a b").c_str()), 0) << text;
    std::ofstream(folder_ + "/a") << a;
    const auto changes = [&](const char* file) {
      std::ifstream lines(folder_ + "/" + file);
      int n = 0;
      for (std::string line; std::getline(lines, line);)
        n += line[0] == '<' || line[0] == '>' ||
             ((line[0] == '-' || line[0] == '+') && line.size() < 4 && line != "---");
      return n;
    };
    ASSERT_NE(std::system((cd + "diff -d a b > d").c_str()), 2);
    EXPECT_LE(changes("p"), changes("d")) << text;
  }
}

}  // namespace
}  // namespace gradus::results
