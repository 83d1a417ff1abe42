#include "kd_loss_narrow.h"

#include <limits>

#include "math.h"

namespace gradus::vectors::GRADUS_ISA {
namespace {

constexpr int64_t kMostClasses = 32;  // what the working arrays on the stack are made for
constexpr int64_t kRowCost = 6;       // vectors' worth of work that the other way adds to each row: sums, logarithms
constexpr float kLowest = std::numeric_limits<float>::lowest();

using Columns = V[kMostClasses];  // of each class, a value for each row of the block

// A block of up to kLanes rows from `row` on; lanes past `count` repeat the last row and are not written.
struct Block {
  int64_t row, count;
  int64_t row_of(int64_t lane) const { return row + (lane < count ? lane : count - 1); }
};

GRADUS_INLINE void gather(const float* from, int64_t classes, const Block& b, Columns to) {
  for (int64_t i = 0; i < kLanes; ++i) {
    const float* one = from + b.row_of(i) * classes;
    for (int64_t c = 0; c < classes; ++c) to[c][i] = one[c];
  }
}

GRADUS_INLINE void scatter(const Columns from, int64_t classes, const Block& b, float* to) {
  for (int64_t i = 0; i < b.count; ++i)
    for (int64_t c = 0; c < classes; ++c) to[(b.row + i) * classes + c] = from[c][i];
}

GRADUS_INLINE void write(const V& from, const Block& b, float* to) {
  if (b.count == kLanes) return store(to + b.row, from);
  for (int64_t i = 0; i < b.count; ++i) to[b.row + i] = from[i];
}

GRADUS_INLINE void write(const V& from, const Block& b, double* to) {
  for (int64_t i = 0; i < b.count; ++i) to[b.row + i] = from[i];
}

GRADUS_INLINE V read(const RowValues& values, int64_t rows, const Block& b) {
  if (values.rows_per_value >= rows) return V{} + static_cast<float>(values.values[0]);
  V v;
  for (int64_t i = 0; i < kLanes; ++i) v[i] = static_cast<float>(values[b.row_of(i)]);
  return v;
}

// 1/T, finite, so that a temperature of 1e-300 means "the argmax" and not NaN.
GRADUS_INLINE V inverse(const RowValues& temperature, int64_t rows, const Block& b) {
  const auto one = [](double t) __attribute__((always_inline)) {
    const double inverse = 1.0 / t, most = std::numeric_limits<float>::max();
    return static_cast<float>(inverse < most ? inverse : most);
  };
  if (temperature.rows_per_value >= rows) return V{} + one(temperature.values[0]);
  V v;
  for (int64_t i = 0; i < kLanes; ++i) v[i] = one(temperature[b.row_of(i)]);
  return v;
}

// Subtracts each row's maximum. -inf becomes the lowest number, so that 0 · log 0 is 0 and not NaN.
GRADUS_INLINE void centre(Columns z, int64_t classes) {
  V top = z[0];
  for (int64_t c = 1; c < classes; ++c) top = z[c] > top ? z[c] : top;
  for (int64_t c = 0; c < classes; ++c) z[c] = at_least(z[c] - top, kLowest);
}

// out = exp(logits · scale); returns its sum.
GRADUS_INLINE V exponentials(const Columns logits, const V& scale, int64_t classes, Columns out) {
  V total{};
  for (int64_t c = 0; c < classes; ++c) {
    out[c] = exp_of(at_least(logits[c] * scale, kLowest));
    total += out[c];
  }
  return total;
}

// The probabilities that the rows' targets stand for (smoothed), 0 in rows without one; and each label's own column.
struct Targets {
  Columns probability, is_label;
  V counted, has_label;  // 1 or 0
};

GRADUS_INLINE void read_targets(const KdRows<float>& p, const Block& b, Targets& t) {
  const float share = static_cast<float>(p.label_smoothing / static_cast<double>(p.classes));
  const float kept = static_cast<float>(1 - p.label_smoothing);
  t.counted = V{} + 1.f;
  t.has_label = V{};
  if (p.targets) {
    gather(p.targets, p.classes, b, t.probability);
    for (int64_t c = 0; c < p.classes; ++c) t.probability[c] = t.probability[c] * kept + share;
  } else if (p.labels) {
    Integers label;
    for (int64_t i = 0; i < kLanes; ++i) {
      const int64_t given = p.labels[b.row_of(i)];
      label[i] = given == p.ignore_index ? -1 : static_cast<int32_t>(given);
    }
    t.counted = t.has_label = label >= 0 ? V{} + 1.f : V{};
    for (int64_t c = 0; c < p.classes; ++c) {
      t.is_label[c] = label == static_cast<int32_t>(c) ? V{} + 1.f : V{};
      t.probability[c] = t.is_label[c] * kept + t.has_label * share;
    }
  }
}

// share · value, and 0 when the share is: an infinite term that does not count must not make NaN.
GRADUS_INLINE V term(const V& share, const V& value) { return share == 0 ? V{} : share * value; }

GRADUS_INLINE void block(const KdRows<float>& p, const Block& b) {
  const int64_t classes = p.classes;
  const bool has_target = p.labels || p.targets;
  Columns z, e;
  Targets t;

  // The student at T = 1: cross-entropy, confidence, entropy.
  gather(p.student, classes, b, z);
  centre(z, classes);
  const V total = exponentials(z, V{} + 1.f, classes, e), log_total = log_of(total);
  read_targets(p, b, t);
  V weighted{}, mass{}, along{}, likely{};
  for (int64_t c = 0; c < classes; ++c) {
    weighted += e[c] * z[c];
    if (!has_target) continue;
    mass += t.probability[c];
    along += term(t.probability[c], z[c]);
    likely += (p.targets ? t.probability[c] : t.is_label[c]) * e[c];
  }
  write(log_total - weighted / total, b, p.entropy);
  const V ce = has_target ? t.counted * (mass * log_total - along) : V{};
  V confidence = 1.f / total;  // the maximum's exponential is 1
  if (p.targets) confidence = likely / total;
  if (p.labels) confidence = t.has_label > 0 ? likely / total : confidence;
  write(confidence, b, p.confidence);

  // Student and teacher at their temperatures.
  Columns u, soft, teacher_soft;
  const V temperature = read(p.temperature, p.rows, b), student_beta = inverse(p.temperature, p.rows, b);
  const V alpha = !p.teacher ? V{} + 1.f : has_target ? read(p.alpha, p.rows, b) : V{};
  V kl{}, soft_total = V{} + 1.f, teacher_total = soft_total, log_ratio{}, teacher_beta{};
  if (p.teacher) {
    teacher_beta = inverse(p.teacher_temperature, p.rows, b);
    gather(p.teacher, classes, b, u);
    centre(u, classes);
    soft_total = exponentials(z, student_beta, classes, soft);
    teacher_total = exponentials(u, teacher_beta, classes, teacher_soft);
    log_ratio = log_of(teacher_total) - log_of(soft_total);
    for (int64_t c = 0; c < classes; ++c) {
      const V difference = at_least(u[c] * teacher_beta, kLowest) - at_least(z[c] * student_beta, kLowest);
      kl += p.reverse ? soft[c] * -difference : teacher_soft[c] * difference;
    }
    kl = p.reverse ? kl / soft_total + log_ratio : kl / teacher_total - log_ratio;
    kl = t.counted * kl;
  }
  const V scale = p.t2 ? temperature * temperature : V{} + 1.f;
  const V loss = t.counted > 0 ? term(alpha, ce) + term((1.f - alpha) * scale, kl) : V{};
  write(loss, b, p.loss);
  write(ce, b, p.ce);
  write(kl, b, p.kl);
  write(loss, b, p.per_sample);
  if (!p.gradient) return;

  // d loss/d logits = weight · [ce_scale · (Στ · softmax − τ) + kl_scale · ∂KL/∂(z/T)], τ the target's probabilities.
  V weight;
  for (int64_t i = 0; i < kLanes; ++i) weight[i] = static_cast<float>(p.weight[b.row_of(i)]);
  const V ce_scale = has_target ? weight * alpha : V{};
  const V kl_scale = p.teacher ? weight * (1.f - alpha) * (p.t2 ? temperature : 1.f / temperature) : V{};
  const V softmax_scale = ce_scale * mass / total, soft_scale = kl_scale / soft_total;
  const V teacher_scale = kl_scale / teacher_total;
  for (int64_t c = 0; c < classes; ++c) {
    V g = e[c] * softmax_scale;
    if (has_target) g -= t.probability[c] * ce_scale;
    if (p.teacher && p.reverse) {
      const V difference = at_least(z[c] * student_beta, kLowest) - at_least(u[c] * teacher_beta, kLowest);
      g += soft[c] * soft_scale * (difference + log_ratio - kl);
    } else if (p.teacher) {
      g += soft[c] * soft_scale - teacher_soft[c] * teacher_scale;
    }
    e[c] = (t.counted > 0) & (weight != 0) ? g : V{};
  }
  scatter(e, classes, b, p.gradient);
}

}  // namespace

bool is_narrow(const KdRows<float>& p) {
  const int64_t blocks = (p.rows + kLanes - 1) / kLanes, vectors = (p.classes + kLanes - 1) / kLanes;
  return p.classes <= kMostClasses && blocks * p.classes <= p.rows * (vectors + kRowCost);
}

void narrow_rows(const KdRows<float>& problem, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row += kLanes) block(problem, {row, end - row < kLanes ? end - row : kLanes});
}

}  // namespace gradus::vectors::GRADUS_ISA
