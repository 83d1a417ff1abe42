// Statistics of few numbers, such as one result over some seeds. Plain functions; nothing here knows the store. NaN
// must be left out by the caller. Checked against SciPy (tests/results/data/make_statistics_reference.py).
#pragma once

#include <cstdint>
#include <vector>

namespace gradus::results {

// Mean and sample standard deviation (n − 1) of the numbers that are not NaN; sd is NaN for n < 2.
struct Spread {
  int n = 0;
  double mean, sd;
};
Spread spread(const std::vector<double>& values);

struct Interval {
  double low, high;  // NaN where there is none
};

double normal_cdf(double z);
double normal_quantile(double p);
double t_cdf(double t, double degrees);
double t_quantile(double p, double degrees);

// Of the mean, by Student's t; no interval for n < 2.
Interval t_interval(const Spread& spread, double level);
// Of the mean, bias-corrected and accelerated bootstrap (Efron 1987). The same values and seed give the same interval
// on every machine. With a handful of values it is too narrow, as every bootstrap is: prefer t below about ten.
Interval bootstrap_interval(const std::vector<double>& values, double level, std::uint64_t seed = 0,
                            int resamples = 10'000);

struct TestResult {
  double statistic, p;  // two-sided; NaN where the test says nothing
};
// Whether the values are all one number, but for rounding: three accuracies that each differ by one example. They say
// nothing of how much values spread.
bool is_one_number(const Spread& spread);
// Is the mean of the differences zero? Two equal sides give p = 1. Where the differences are all one number there is no
// spread that t could be measured in; then p is that of their signs, 2 / 2^n.
TestResult paired_t(const std::vector<double>& differences);
// Are the differences within ± margin? Two one-sided t tests (TOST, Schuirmann 1987): the larger p. Differences that
// are all one number have no spread; then p is 2^-n where that number is within the margin.
double equivalence(const std::vector<double>& differences, double margin);
// The sign test: p of `plus` positive among plus + minus fair signs, two-sided; NaN without any.
double sign_test(int plus, int minus);
// Wilcoxon's signed-rank test: differences of zero are left out, ties share their mean rank. The p-value is exact (over
// all signs of these ranks) up to 50 differences, then the normal approximation with the correction for ties.
// statistic: the smaller of the two sums of ranks.
TestResult wilcoxon(const std::vector<double>& differences);

// Holm's step-down correction: p-values that may be compared with one level for the whole family. NaN stays and does
// not count.
std::vector<double> holm(const std::vector<double>& p);

// Power of the two-sided paired t test at `alpha`, for the standardised effect mean / sd and n pairs.
double paired_power(double effect, int n, double alpha = 0.05);
// Power of equivalence() where the differences have this mean and deviation.
double equivalence_power(double mean, double sd, double margin, int n, double alpha = 0.05);
// The fewest pairs with that power; 0 when no number up to 100000 will do.
int pairs_needed_equivalence(double mean, double sd, double margin, double power = 0.8, double alpha = 0.05);
// The fewest pairs with that power, 2 to 100000; 0 when no such number will do (no effect, or one pair).
int pairs_needed(double effect, double power = 0.8, double alpha = 0.05);

}  // namespace gradus::results
