#include "statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace gradus::results {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The x in [low, high] where `rising` reaches `target`.
template <class F>
double bisect(F rising, double target, double low, double high) {
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle == low || middle == high) break;
    (rising(middle) < target ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

}  // namespace

Spread spread(const std::vector<double>& values) {
  Spread s{0, 0, kNan};
  for (const double v : values) {
    if (!std::isnan(v)) s.mean += v, ++s.n;
  }
  s.mean = s.n > 0 ? s.mean / s.n : kNan;
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

double incomplete_beta(double a, double b, double x) {
  if (!(x > 0)) return std::isnan(x) ? kNan : 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);  // where the fraction converges fast
  constexpr double kTiny = 1e-300;
  const auto away = [](double v) { return std::fabs(v) < kTiny ? kTiny : v; };
  double c = 1, d = 1 / away(1 - (a + b) * x / (a + 1)), fraction = d;
  for (int m = 1; m <= 10'000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    fraction *= d * c;
    if (std::fabs(d * c - 1) < 1e-16) break;
  }
  const double scale = std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  return std::exp(scale) * fraction / a;
}

double normal_cdf(double z) { return std::erfc(-z / std::sqrt(2.0)) / 2; }

double normal_quantile(double p) {
  if (p <= 0 || p >= 1) return p == 0 ? -HUGE_VAL : p == 1 ? HUGE_VAL : kNan;
  if (p > 0.5) return -normal_quantile(1 - p);  // the tail near 0 keeps its digits
  return bisect(normal_cdf, p, -40, 0);
}

double t_cdf(double t, double degrees) {
  if (std::isnan(t)) return kNan;
  const double tail = std::isinf(t) ? 0 : incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2;
  return t > 0 ? 1 - tail : tail;
}

double t_quantile(double p, double degrees) {
  if (!(p > 0 && p < 1)) return p == 0 ? -HUGE_VAL : p == 1 ? HUGE_VAL : kNan;
  if (p >= 0.5) return p == 0.5 ? 0 : -t_quantile(1 - p, degrees);
  double low = -1;
  while (t_cdf(low, degrees) > p) low *= 2;
  return bisect([&](double t) { return t_cdf(t, degrees); }, p, low, 0);
}

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
  double below = 0;
  for (double& mean : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[random() % values.size()];
    mean = sum / static_cast<double>(values.size());
    below += mean < s.mean ? 1 : mean == s.mean ? 0.5 : 0;
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

bool is_one_number(const Spread& s) { return s.n > 1 && s.sd <= 1e-9 * std::fabs(s.mean); }

TestResult paired_t(const std::vector<double>& differences) {
  const Spread s = spread(differences);
  if (s.n < 2) return {kNan, kNan};
  if (s.mean == 0 && s.sd == 0) return {0, 1};
  if (is_one_number(s)) return {std::copysign(HUGE_VAL, s.mean), std::ldexp(1, 1 - s.n)};
  const double t = s.mean / (s.sd / std::sqrt(s.n)), degrees = s.n - 1;
  return {t, incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))};
}

namespace {

struct Ranked {
  int twice_rank;  // ranks are halves where there are ties
  bool positive;
};

// Signed ranks of the differences that are not zero, and the sum of t³ − t over their ties.
std::vector<Ranked> signed_ranks(std::vector<double> differences, double& ties) {
  std::erase(differences, 0.0);
  std::sort(differences.begin(), differences.end(), [](double a, double b) { return std::fabs(a) < std::fabs(b); });
  std::vector<Ranked> ranked;
  for (std::size_t begin = 0, end = 0; begin < differences.size(); begin = end) {
    while (end < differences.size() && std::fabs(differences[end]) == std::fabs(differences[begin])) ++end;
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

double paired_power(double effect, int n, double alpha) {
  if (n < 2 || std::isnan(effect)) return kNan;
  const double degrees = n - 1, critical = t_quantile(1 - alpha / 2, degrees), shift = effect * std::sqrt(n);
  // T = (Z + shift) / S with S² = χ²/degrees: its tails over the density of S, by Simpson's rule where S lives.
  const double width = 12 / std::sqrt(2 * degrees), low = std::max(0.0, 1 - width), high = 1 + width;
  const double constant = std::log(2.0) + degrees / 2 * std::log(degrees / 2) - std::lgamma(degrees / 2);
  const int intervals = degrees < 4 ? 8000 : 400;  // few degrees: the tails turn on within a narrow part of S
  double sum = 0;
  for (int i = 0; i <= intervals; ++i) {
    const double s = low + (high - low) * i / intervals;
    const double log_density = constant + (degrees - 1) * std::log(s) - degrees * s * s / 2;
    const double density = s > 0 ? std::exp(log_density) : degrees == 1 ? std::exp(constant) : 0;
    const double tails = normal_cdf(shift - critical * s) + normal_cdf(-shift - critical * s);
    sum += tails * density * (i == 0 || i == intervals ? 1 : i % 2 == 1 ? 4 : 2);
  }
  return sum * (high - low) / intervals / 3;
}

int pairs_needed(double effect, double power, double alpha) {
  constexpr int kMost = 100'000;
  if (std::isnan(effect) || effect == 0) return 0;
  if (std::isinf(effect)) return 2;
  int low = 1, high = 2;  // low does not do, high will
  while (high < kMost && paired_power(effect, high, alpha) < power) low = high, high = std::min(2 * high, kMost);
  if (high == kMost && paired_power(effect, kMost, alpha) < power) return 0;
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    (paired_power(effect, middle, alpha) < power ? low : high) = middle;
  }
  return high;
}

}  // namespace gradus::results
