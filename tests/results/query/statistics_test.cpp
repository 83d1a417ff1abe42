// Against SciPy's answers: data/make_statistics_reference.py.
#include "query/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "store/functions.h"

namespace gradus::results {
namespace {

using Json = nlohmann::json;

const Json& reference() {
  static const Json json = Json::parse(std::ifstream(TESTS_DIR "/results/data/statistics_reference.json"));
  return json;
}

void near(double ours, const Json& theirs, double relative, const std::string& what) {
  const double expected = theirs.get<double>();
  EXPECT_NEAR(ours, expected, relative * std::max(1e-3, std::fabs(expected))) << what;
}

TEST(StatisticsTest, DistributionsAreSciPys) {
  for (const Json& one : reference()["t_cdf"]) near(t_cdf(one[0], one[1]), one[2], 1e-11, one.dump());
  for (const Json& one : reference()["t_quantile"]) near(t_quantile(one[0], one[1]), one[2], 1e-9, one.dump());
  for (const Json& one : reference()["normal_quantile"]) near(normal_quantile(one[0]), one[1], 1e-12, one.dump());
  EXPECT_EQ(t_cdf(HUGE_VAL, 3), 1);
  EXPECT_TRUE(std::isnan(t_quantile(1.5, 3)));
  EXPECT_TRUE(std::isnan(t_cdf(std::nan(""), 3)) && std::isnan(normal_quantile(-1)));
  EXPECT_EQ(normal_quantile(0), -HUGE_VAL);
  EXPECT_EQ(t_quantile(1, 3), HUGE_VAL);
  EXPECT_EQ(normal_cdf(-HUGE_VAL), 0);
}

TEST(StatisticsTest, IntervalsAndTestsAreSciPys) {
  for (const auto& [name, set] : reference()["sets"].items()) {
    const std::vector<double> values = set["values"];
    const Spread s = spread(values);
    near(s.mean, set["mean"], 1e-13, name);
    near(s.sd, set["sd"], 1e-13, name);
    const Interval wide = t_interval(s, 0.95), narrow = t_interval(s, 0.8);
    near(wide.low, set["t95"][0], 1e-10, name);
    near(wide.high, set["t95"][1], 1e-10, name);
    near(narrow.low, set["t80"][0], 1e-10, name);
    const TestResult t = paired_t(values), w = wilcoxon(values);
    near(t.statistic, set["t"], 1e-11, name);
    near(t.p, set["p"], 1e-9, name);
    EXPECT_DOUBLE_EQ(w.statistic, set["wilcoxon"]["statistic"].get<double>()) << name;
    near(w.p, set["wilcoxon"]["p"], 1e-10, name);
  }
}

TEST(StatisticsTest, BootstrapIsSciPysWithinItsNoise) {
  for (const auto& [name, set] : reference()["sets"].items()) {
    if (!set.contains("bca95")) continue;
    const std::vector<double> values = set["values"];
    const Interval ours = bootstrap_interval(values, 0.95, 3, 100'000);
    const double low = set["bca95"][0], high = set["bca95"][1];
    const double width = (values.size() < 10 ? 0.05 : 0.02) * (high - low);  // the means of few values are few
    EXPECT_NEAR(ours.low, low, width) << name;
    EXPECT_NEAR(ours.high, high, width) << name;
    const Interval again = bootstrap_interval(values, 0.95, 3, 100'000);
    EXPECT_EQ(again.low, ours.low) << "the same seed, the same interval";
  }
  int wide =
      0;  // of two means, both on one side of the values' own now and then: their interval lies between them all the same
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Interval two = bootstrap_interval({0, 1, 2, 3, 10.1, 11.7, 13.9}, 0.95, seed, 2);
    EXPECT_TRUE(two.low >= 0 && two.high <= 13.9);
    wide += two.low < two.high ? 1 : 0;
  }
  EXPECT_GE(wide, 39) << "only equal means have an interval without width";
  EXPECT_EQ(bootstrap_interval({0.5, 0.5, 0.5}, 0.95).low, 0.5);
  EXPECT_TRUE(std::isnan(bootstrap_interval({0.5}, 0.95).low));
}

// Of three accuracies a resample has the values' own mean in one of four cases; its sum is rounded by the order drawn.
TEST(StatisticsTest, BootstrapOfHundredthsIsThatOfWholeNumbers) {
  for (const auto& whole : {std::vector<double>{93, 88, 88}, {86, 97, 97}, {85, 96, 85}, {91, 92, 93, 95}}) {
    std::vector<double> hundredths = whole;
    for (double& value : hundredths) value /= 100;
    const Interval ours = bootstrap_interval(hundredths, 0.95), theirs = bootstrap_interval(whole, 0.95);
    EXPECT_NEAR(ours.low, theirs.low / 100, 1e-9) << whole[0];
    EXPECT_NEAR(ours.high, theirs.high / 100, 1e-9) << whole[0];
  }
}

TEST(StatisticsTest, PowerIsThatOfTheNoncentralT) {
  for (const Json& one : reference()["power"]) near(paired_power(one[0], one[1], one[2]), one[3], 1e-6, one.dump());
  for (const Json& one : reference()["needed"]) EXPECT_EQ(pairs_needed(one[0]), one[1].get<int>()) << one.dump();
  EXPECT_EQ(pairs_needed(0), 0);
  EXPECT_EQ(pairs_needed(1e-6), 0) << "nobody trains so many";
  EXPECT_EQ(pairs_needed(HUGE_VAL), 2);
}

TEST(StatisticsTest, EquivalenceIsTwoOneSidedTests) {
  for (const Json& one : reference()["tost"])
    near(equivalence(reference()["sets"][one[0].get<std::string>()]["values"], one[1]), one[2], 1e-9, one.dump());
  for (const Json& one : reference()["tost_power"])
    EXPECT_NEAR(equivalence_power(one[0], one[1], one[2], one[3]), one[4].get<double>(), 2e-4) << one.dump();
  for (const Json& one : reference()["tost_needed"])
    EXPECT_EQ(pairs_needed_equivalence(one[0], one[1], one[2]), one[3].get<int>()) << one.dump();
  EXPECT_EQ(equivalence({0, 0, 0}, 0.1), 0.125) << "no spread to measure: signs";
  EXPECT_EQ(equivalence({0.2, 0.2, 0.2}, 0.1), 1);
  EXPECT_TRUE(std::isnan(equivalence({0.2}, 1)));
  EXPECT_EQ(pairs_needed_equivalence(2, 1, 1), 0) << "outside of the margin no number will do";
  EXPECT_EQ(pairs_needed_equivalence(0, 0, 1), 5);
}

TEST(StatisticsTest, SignTest) {
  for (const Json& one : reference()["signs"]) {
    const int plus = one[0], n = one[1];
    near(sign_test(plus, n - plus), one[2], 1e-12, one.dump());
  }
  EXPECT_TRUE(std::isnan(sign_test(0, 0)));
}

TEST(StatisticsTest, Holm) {
  for (const Json& one : reference()["holm"]) {
    const std::vector<double> ours = holm(one[0].get<std::vector<double>>());
    for (std::size_t i = 0; i < ours.size(); ++i) near(ours[i], one[1][i], 1e-14, one.dump());
  }
  const std::vector<double> gap = holm({0.01, std::nan(""), 0.04});
  EXPECT_DOUBLE_EQ(gap[0], 0.02);
  EXPECT_TRUE(std::isnan(gap[1])) << "a comparison that could not be made corrects nothing";
  EXPECT_DOUBLE_EQ(gap[2], 0.04);
}

TEST(StatisticsTest, Degenerate) {
  EXPECT_EQ(paired_t({0, 0, 0}).p, 1);
  EXPECT_EQ(paired_t({0.1, 0.1, 0.1}).p, 0.25);  // three signs; of no spread
  EXPECT_EQ(paired_t({0.859 - 0.852, 0.844 - 0.837, 0.874 - 0.867}).p, 0.25) << "the same but for rounding";
  EXPECT_TRUE(std::isnan(paired_t({0.1}).p));
  EXPECT_TRUE(std::isnan(paired_t({}).p));
  EXPECT_EQ(wilcoxon({0, 0}).p, 1);
  EXPECT_TRUE(std::isnan(wilcoxon({}).p));
  EXPECT_EQ(wilcoxon({1}).p, 1);
  EXPECT_EQ(wilcoxon({0.93 - 0.91, 0.93 - 0.95, 0.99 - 0.9}).statistic, 1.5) << "a tie but for rounding";
  EXPECT_EQ(wilcoxon({1, -1 - 1e-6, 3}).statistic, 2) << "no tie";
  EXPECT_EQ(wilcoxon({1, -1 + 1e-6, 3}).statistic, 1);
}

// Of differences that are all above 0; zeros count for none of them.
TEST(StatisticsTest, SignedRanksAreCountedUpToFifty) {
  std::vector<double> differences = {0, 0};
  for (int n = 1; n <= 50; ++n) {
    differences.push_back(n);
    EXPECT_DOUBLE_EQ(wilcoxon(differences).p, std::ldexp(1, 1 - n)) << n;
  }
  differences.push_back(51);
  EXPECT_NEAR(wilcoxon(differences).p, 2 * normal_cdf(-663 / std::sqrt(51 * 52 * 103 / 24.)), 1e-15);
  std::vector<double> tied(26, 1);
  tied.insert(tied.end(), 26, 2);
  const double ties = 2 * (26. * 26 * 26 - 26);
  EXPECT_NEAR(wilcoxon(tied).p, 2 * normal_cdf(-689 / std::sqrt((52 * 53 * 105 - ties / 2) / 24)), 1e-15);
}

TEST(StatisticsTest, AreaIsTheTrapezoidsOverTheSpan) {
  const Json& auc = reference()["auc"];
  Area area;
  for (std::size_t i = 0; i < auc["steps"].size(); ++i) {
    area.add(auc["steps"][i], auc["values"][i]);
    area.add(auc["steps"][i].get<double>() + 0.5, std::nan(""));  // takes no part
  }
  near(area.mean_height(), auc["mean_height"], 1e-14, "auc");
  Area one;
  one.add(7, 0.25);
  EXPECT_EQ(one.mean_height(), 0.25);
  EXPECT_TRUE(std::isnan(Area().mean_height()));
}

}  // namespace
}  // namespace gradus::results
