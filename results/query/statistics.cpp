#include "statistics.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace gradus::results {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kRounding = 1e-9;  // relative, of differences of nearly equal numbers

// Answers outside of a distribution's domain are NaN or infinite, no exceptions.
using Quiet = boost::math::policies::policy<boost::math::policies::domain_error<boost::math::policies::ignore_error>,
                                            boost::math::policies::overflow_error<boost::math::policies::ignore_error>>;
using Normal = boost::math::normal_distribution<double, Quiet>;
using StudentsT = boost::math::students_t_distribution<double, Quiet>;

}  // namespace

Spread spread(const std::vector<double>& values) {
  Spread s{0, 0, kNan};
  for (const double v : values) {
    if (!std::isnan(v)) s.mean += v, ++s.n;
  }
  s.mean /= s.n;    // of none: NaN
  double rest = 0;  // of the rounding, so that equal values have no spread at all
  for (const double v : values) {
    if (!std::isnan(v)) rest += v - s.mean;
  }
  if (std::isfinite(rest)) s.mean += rest / s.n;
  if (s.n < 2) return s;
  double squares = 0;
  for (const double v : values) {
    if (!std::isnan(v)) squares += (v - s.mean) * (v - s.mean);
  }
  s.sd = std::sqrt(squares / (s.n - 1));
  return s;
}

// --- distributions

double normal_cdf(double z) { return boost::math::cdf(Normal(), z); }
double normal_quantile(double p) { return boost::math::quantile(Normal(), p); }
double t_cdf(double t, double degrees) { return boost::math::cdf(StudentsT(degrees), t); }
double t_quantile(double p, double degrees) { return boost::math::quantile(StudentsT(degrees), p); }

// --- intervals

Interval t_interval(const Spread& spread, double level) {
  if (spread.n < 2) return {kNan, kNan};
  const double half = t_quantile((1 + level) / 2, spread.n - 1) * spread.sd / std::sqrt(spread.n);
  return {spread.mean - half, spread.mean + half};
}

namespace {

// The p-quantile of sorted values, between neighbours.
double sorted_quantile(const std::vector<double>& sorted, double p) {
  const double place = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  if (below + 1 >= sorted.size()) return sorted.back();
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

// Efron's acceleration of the mean: a sixth of the skewness of the leave-one-out means.
double acceleration(const std::vector<double>& values, double mean) {
  double cubes = 0, squares = 0;
  for (const double v : values) {
    const double d = v - mean;
    cubes += d * d * d;
    squares += d * d;
  }
  return squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0;
}

}  // namespace

Interval bootstrap_interval(const std::vector<double>& values, double level, std::uint64_t seed, int resamples) {
  const Spread s = spread(values);
  if (s.n < 2 || !std::isfinite(s.mean)) return {kNan, kNan};
  if (s.sd == 0) return {s.mean, s.mean};
  std::mt19937_64 random(seed);  // the standard fixes its numbers, but not those of its distributions
  std::vector<double> means(static_cast<std::size_t>(resamples));
  const double rounding = 1e-12 * (std::fabs(s.mean) + s.sd);  // the values' own mean, drawn in another order
  double below = 0;
  for (double& mean : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[random() % values.size()];
    mean = sum / static_cast<double>(values.size());
    below += mean < s.mean - rounding ? 1 : mean <= s.mean + rounding ? 0.5 : 0;
  }
  std::sort(means.begin(), means.end());
  const double bias = normal_quantile(std::clamp(below / resamples, 0.5 / resamples, 1 - 0.5 / resamples));
  const double a = acceleration(values, s.mean);
  const auto end = [&](double p) {
    const double z = bias + normal_quantile(p);
    return sorted_quantile(means, normal_cdf(bias + z / (1 - a * z)));
  };
  return {end((1 - level) / 2), end((1 + level) / 2)};
}

// --- tests

bool is_one_number(const Spread& s) { return s.n > 1 && s.sd <= kRounding * std::fabs(s.mean); }

TestResult paired_t(const std::vector<double>& differences) {
  const Spread s = spread(differences);
  if (s.n < 2) return {kNan, kNan};
  if (s.mean == 0 && s.sd == 0) return {0, 1};
  if (is_one_number(s)) return {std::copysign(HUGE_VAL, s.mean), std::ldexp(1, 1 - s.n)};
  const double t = s.mean / (s.sd / std::sqrt(s.n)), degrees = s.n - 1;
  return {t, 2 * t_cdf(-std::fabs(t), degrees)};
}

double equivalence(const std::vector<double>& differences, double margin) {
  const Spread s = spread(differences);
  if (s.n < 2) return kNan;
  if (s.sd == 0 || is_one_number(s)) return std::fabs(s.mean) < margin ? std::ldexp(1, -s.n) : 1;
  const double error = s.sd / std::sqrt(s.n), degrees = s.n - 1;
  return std::max(t_cdf((s.mean - margin) / error, degrees), t_cdf((-margin - s.mean) / error, degrees));
}

double sign_test(int plus, int minus) {
  const int n = plus + minus;
  if (n == 0) return kNan;
  double chance = std::ldexp(1, -n), tail = 0;  // of 0 signs, then of 1, …
  for (int k = 0; k <= std::min(plus, minus); ++k) {
    tail += chance;
    chance = chance * (n - k) / (k + 1);
  }
  return std::min(1.0, 2 * tail);
}

namespace {

struct Ranked {
  int twice_rank;  // ranks are halves where there are ties
  bool positive;
};

// Signed ranks of the differences that are not zero, and the sum of t³ − t over their ties. Of one size are those that
// differ by rounding alone: 0.93 − 0.91 and 0.95 − 0.93.
std::vector<Ranked> signed_ranks(std::vector<double> differences, double& ties) {
  std::erase(differences, 0.0);
  std::sort(differences.begin(), differences.end(), [](double a, double b) { return std::fabs(a) < std::fabs(b); });
  std::vector<Ranked> ranked;
  for (std::size_t begin = 0, end = 0; begin < differences.size(); begin = end) {
    const double largest = std::fabs(differences[begin]) * (1 + kRounding);
    while (end < differences.size() && std::fabs(differences[end]) <= largest) ++end;
    const double tied = static_cast<double>(end - begin);
    ties += tied * tied * tied - tied;
    for (std::size_t i = begin; i < end; ++i) ranked.push_back({static_cast<int>(begin + end + 1), differences[i] > 0});
  }
  return ranked;
}

// P(sum of the ranks that get a plus ≤ twice_sum / 2) when every sign is a fair coin.
double exact_tail(const std::vector<Ranked>& ranked, int twice_sum) {
  std::vector<double> chance = {1};
  for (const Ranked& r : ranked) {
    chance.resize(chance.size() + static_cast<std::size_t>(r.twice_rank));
    for (std::size_t sum = chance.size(); sum-- > 0;) {
      const auto without = static_cast<std::ptrdiff_t>(sum) - r.twice_rank;
      chance[sum] = (chance[sum] + (without >= 0 ? chance[static_cast<std::size_t>(without)] : 0)) / 2;
    }
  }
  return std::accumulate(chance.begin(), chance.begin() + twice_sum + 1, 0.0);
}

}  // namespace

TestResult wilcoxon(const std::vector<double>& differences) {
  double ties = 0;
  const std::vector<Ranked> ranked = signed_ranks(differences, ties);
  if (ranked.empty()) return differences.empty() ? TestResult{kNan, kNan} : TestResult{0, 1};
  int plus = 0, all = 0;  // twice the sums
  for (const Ranked& r : ranked) {
    all += r.twice_rank;
    if (r.positive) plus += r.twice_rank;
  }
  const int smaller = std::min(plus, all - plus);
  const double n = static_cast<double>(ranked.size());
  if (ranked.size() <= 50) return {smaller / 2.0, std::min(1.0, 2 * exact_tail(ranked, smaller))};
  const double deviation = std::sqrt((n * (n + 1) * (2 * n + 1) - ties / 2) / 24);
  return {smaller / 2.0, std::min(1.0, 2 * normal_cdf((smaller / 2.0 - n * (n + 1) / 4) / deviation))};
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (!std::isnan(p[i])) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> corrected(p.size(), kNan);
  double least = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    least = std::max(least, std::min(1.0, p[order[i]] * static_cast<double>(order.size() - i)));
    corrected[order[i]] = least;
  }
  return corrected;
}

// --- power

namespace {

// The mean of f(S) where S² = χ²/degrees is a sample's variance over the true one: Simpson's rule where S lives.
template <class F>
double over_deviation(double degrees, F f) {
  const double width = 12 / std::sqrt(2 * degrees), low = std::max(0.0, 1 - width), high = 1 + width;
  const double constant = std::log(2.0) + degrees / 2 * std::log(degrees / 2) - std::lgamma(degrees / 2);
  const int intervals = degrees < 4 ? 8000 : 400;  // few degrees: the tails turn on within a narrow part of S
  double sum = 0;
  for (int i = 0; i <= intervals; ++i) {
    const double s = low + (high - low) * i / intervals;
    const double log_density = constant + (degrees - 1) * std::log(s) - degrees * s * s / 2;
    const double density = s > 0 ? std::exp(log_density) : degrees == 1 ? std::exp(constant) : 0;
    sum += f(s) * density * (i == 0 || i == intervals ? 1 : i % 2 == 1 ? 4 : 2);
  }
  return sum * (high - low) / intervals / 3;
}

// The fewest pairs, 2 to 100000, with that power; 0 when none will do.
template <class F>
int fewest_pairs(F power_of, double power) {
  constexpr int kMost = 100'000;
  int low = 1, high = 2;  // low does not do, high will
  while (high < kMost && power_of(high) < power) low = high, high = std::min(2 * high, kMost);
  if (high == kMost && power_of(kMost) < power) return 0;
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    (power_of(middle) < power ? low : high) = middle;
  }
  return high;
}

}  // namespace

double paired_power(double effect, int n, double alpha) {
  if (n < 2 || std::isnan(effect)) return kNan;
  const double critical = t_quantile(1 - alpha / 2, n - 1), shift = effect * std::sqrt(n);
  return over_deviation(n - 1, [&](double s) {  // T = (Z + shift) / S
    return normal_cdf(shift - critical * s) + normal_cdf(-shift - critical * s);
  });
}

int pairs_needed(double effect, double power, double alpha) {
  if (std::isnan(effect) || effect == 0) return 0;
  if (std::isinf(effect)) return 2;
  return fewest_pairs([&](int n) { return paired_power(effect, n, alpha); }, power);
}

double equivalence_power(double mean, double sd, double margin, int n, double alpha) {
  if (n < 2 || !(sd > 0)) return kNan;
  const double root = std::sqrt(n) / sd, critical = t_quantile(1 - alpha, n - 1);
  return over_deviation(n - 1, [&](double s) {  // both tests reject: the mean is that far inside of both ends
    const double high = (margin - mean) * root - critical * s, low = (-margin - mean) * root + critical * s;
    return high > low ? normal_cdf(high) - normal_cdf(low) : 0;
  });
}

int pairs_needed_equivalence(double mean, double sd, double margin, double power, double alpha) {
  if (!(std::fabs(mean) < margin)) return 0;
  if (sd == 0) return static_cast<int>(std::ceil(-std::log2(alpha)));
  return fewest_pairs([&](int n) { return equivalence_power(mean, sd, margin, n, alpha); }, power);
}

}  // namespace gradus::results
