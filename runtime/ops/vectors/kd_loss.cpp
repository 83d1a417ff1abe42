// Rows of many classes: one row's classes side by side in vectors. (Rows of few classes: kd_loss_narrow.cpp.)
#include "kd_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kd_loss_narrow.h"
#include "math.h"

namespace gradus::vectors::GRADUS_ISA {
namespace {

template <typename T>
struct Kernel {
  typedef T Vector __attribute__((vector_size(kBytes)));
  static constexpr int64_t kLanes = kBytes / sizeof(T);
  static constexpr T kLowest = std::numeric_limits<T>::lowest();

  GRADUS_INLINE Vector load(const T* from) {
    Vector v;
    std::memcpy(&v, from, sizeof(v));
    return v;
  }
  GRADUS_INLINE void store(T* to, const Vector& v) { std::memcpy(to, &v, sizeof(v)); }
  GRADUS_INLINE double sum(const Vector& lanes) {
    Vector v = lanes;
    for (int64_t half = kLanes / 2; half > 0; half /= 2)
      for (int64_t i = 0; i < half; ++i) v[i] += v[i + half];
    return v[0];
  }

  GRADUS_INLINE Vector exp_of(const Vector& x) {
    if constexpr (std::is_same_v<T, double>) {
      Vector e = x;
      for (int64_t i = 0; i < kLanes; ++i) e[i] = std::exp(e[i]);
      return e;
    } else {
      return GRADUS_ISA::exp_of(x);
    }
  }

  // Working arrays of one row, padded to whole vectors.
  struct Scratch {
    explicit Scratch(int64_t classes) : padded((classes + kLanes - 1) / kLanes * kLanes) {
      static thread_local Room<T> room;
      T* at = room.of(6 * padded);
      std::memset(at, 0, static_cast<std::size_t>(6 * padded) * sizeof(T));
      for (T** array : {&student, &teacher, &target, &softmax, &student_soft, &teacher_soft}) {
        *array = at;
        at += padded;
      }
    }
    int64_t padded;
    T *student, *teacher;  // logits minus their maximum; the padding is the lowest number, so its exp is 0
    T* target;             // probabilities, 0 in the padding
    T *softmax, *student_soft, *teacher_soft;  // unnormalised: at T = 1, at T, the teacher's
  };

  // Copies a row and subtracts its maximum. -inf becomes the lowest number, so that 0 · log 0 is 0 and not NaN.
  GRADUS_INLINE void centre(const T* row, int64_t classes, int64_t padded, T* out) {
    std::copy(row, row + classes, out);
    std::fill(out + classes, out + padded, -std::numeric_limits<T>::infinity());
    Vector top = load(out);
    for (int64_t j = kLanes; j < padded; j += kLanes) {
      const Vector v = load(out + j);
      top = v > top ? v : top;
    }
    T maximum = top[0];
    for (int64_t i = 1; i < kLanes; ++i) maximum = top[i] > maximum ? top[i] : maximum;
    for (int64_t j = 0; j < padded; j += kLanes) store(out + j, at_least(load(out + j) - maximum, kLowest));
  }

  // out = exp(logits · scale); returns its sum.
  GRADUS_INLINE double exponentials(const T* logits, T scale, int64_t padded, T* out) {
    Vector total{};
    for (int64_t j = 0; j < padded; j += kLanes) {
      const Vector e = exp_of(at_least(load(logits + j) * scale, kLowest));
      store(out + j, e);
      total += e;
    }
    return sum(total);
  }

  // Σ weights_j (a_j · a_scale − b_j · b_scale)
  GRADUS_INLINE double weighted_difference(const T* weights, const T* a, T a_scale, const T* b, T b_scale,
                                           int64_t padded) {
    Vector total{};
    for (int64_t j = 0; j < padded; j += kLanes)
      total +=
          load(weights + j) * (at_least(load(a + j) * a_scale, kLowest) - at_least(load(b + j) * b_scale, kLowest));
    return sum(total);
  }

  // Σ a_j b_j
  GRADUS_INLINE double dot(const T* a, const T* b, int64_t padded) {
    Vector total{};
    for (int64_t j = 0; j < padded; j += kLanes) total += load(a + j) * load(b + j);
    return sum(total);
  }

  // share · value, and 0 when the share is: an infinite term that does not count must not make NaN.
  GRADUS_INLINE double term(double share, double value) { return share == 0 ? 0 : share * value; }

  // 1/T, finite, so that a temperature of 1e-300 means "the argmax" and not NaN.
  GRADUS_INLINE T inverse(double temperature) {
    return static_cast<T>(std::min(1.0 / temperature, static_cast<double>(std::numeric_limits<T>::max())));
  }

  // The row's target as probabilities (smoothed) in scratch.target; false when the label alone says it all.
  GRADUS_INLINE bool dense_target(const KdRows<T>& p, int64_t row, int64_t label, Scratch& s) {
    const T share = static_cast<T>(p.label_smoothing / static_cast<double>(p.classes));
    const T kept = static_cast<T>(1 - p.label_smoothing);
    if (p.targets) {
      for (int64_t j = 0; j < p.classes; ++j) s.target[j] = p.targets[row * p.classes + j] * kept + share;
      return true;
    }
    if (label < 0 || p.label_smoothing == 0) return false;
    std::fill(s.target, s.target + p.classes, share);
    s.target[label] += kept;
    return true;
  }

  // d loss/d logits = weight · [ce_scale · (Στ · softmax − τ) + kl_scale · ∂KL/∂(z/T)], τ the target's probabilities.
  GRADUS_INLINE void row_gradient(const KdRows<T>& p, const Scratch& s, int64_t row, bool dense, double softmax_scale,
                                  double target_scale, double soft_scale, double teacher_scale, double kl,
                                  T student_beta, T teacher_beta, double log_ratio, T* padded_out) {
    const T softmax = static_cast<T>(softmax_scale), target = static_cast<T>(target_scale);
    const T soft = static_cast<T>(soft_scale), teacher = static_cast<T>(teacher_scale);
    const T offset = static_cast<T>(log_ratio - kl);  // reverse: log q − log p = (a − b) + log_ratio
    for (int64_t j = 0; j < s.padded; j += kLanes) {
      Vector g = load(s.softmax + j) * softmax;
      if (dense) g -= load(s.target + j) * target;
      if (p.teacher && p.reverse) {
        const Vector difference = at_least(load(s.student + j) * student_beta, kLowest) -
                                  at_least(load(s.teacher + j) * teacher_beta, kLowest);
        g += load(s.student_soft + j) * soft * (difference + offset);
      } else if (p.teacher) {
        g += load(s.student_soft + j) * soft - load(s.teacher_soft + j) * teacher;
      }
      store(padded_out + j, g);
    }
    std::copy(padded_out, padded_out + p.classes, p.gradient + row * p.classes);
  }

  GRADUS_INLINE void one_row(const KdRows<T>& p, int64_t row, Scratch& s) {
    const int64_t c = p.classes, padded = s.padded;
    const int64_t label = p.labels && p.labels[row] != p.ignore_index ? p.labels[row] : -1;
    const bool counted = !p.labels || label >= 0;
    const bool has_target = p.labels || p.targets;

    // The student at T = 1: cross-entropy, confidence, entropy.
    centre(p.student + row * c, c, padded, s.student);
    const double total = exponentials(s.student, T(1), padded, s.softmax);
    const double log_total = std::log(total);
    p.entropy[row] = static_cast<T>(log_total - dot(s.softmax, s.student, padded) / total);
    const bool dense = dense_target(p, row, label, s);
    double ce = 0, mass = 1;  // mass: Σ of the target's probabilities
    if (dense) {
      mass = 0;
      for (int64_t j = 0; j < c; ++j) mass += s.target[j];
      ce = mass * log_total - dot(s.target, s.student, padded);
    } else if (label >= 0) {
      ce = log_total - s.student[label];
    }
    p.confidence[row] = static_cast<T>(label >= 0  ? s.softmax[label] / total
                                       : p.targets ? dot(s.target, s.softmax, padded) / total
                                                   : 1 / total);  // the maximum's exponential is 1

    // Student and teacher at their temperatures.
    const double t = p.temperature[row];
    const double alpha = !p.teacher ? 1 : has_target ? p.alpha[row] : 0;
    const T student_beta = inverse(t), teacher_beta = p.teacher ? inverse(p.teacher_temperature[row]) : T(1);
    double kl = 0, soft_total = 1, teacher_total = 1, log_ratio = 0;
    if (p.teacher) {
      centre(p.teacher + row * c, c, padded, s.teacher);
      soft_total = exponentials(s.student, student_beta, padded, s.student_soft);
      teacher_total = exponentials(s.teacher, teacher_beta, padded, s.teacher_soft);
      log_ratio = std::log(teacher_total) - std::log(soft_total);
      kl = p.reverse ? weighted_difference(s.student_soft, s.student, student_beta, s.teacher, teacher_beta, padded) /
                               soft_total +
                           log_ratio
                     : weighted_difference(s.teacher_soft, s.teacher, teacher_beta, s.student, student_beta, padded) /
                               teacher_total -
                           log_ratio;
    }
    const double scale = p.t2 ? t * t : 1;
    const double loss = counted ? term(alpha, ce) + term((1 - alpha) * scale, kl) : 0;
    p.loss[row] = loss;
    p.ce[row] = counted ? ce : 0;
    p.kl[row] = counted ? kl : 0;
    p.per_sample[row] = static_cast<T>(loss);
    if (!p.gradient) return;

    T* gradient = p.gradient + row * c;
    const double weight = p.weight[row];
    if (!counted || weight == 0) {
      std::fill(gradient, gradient + c, T(0));
      return;
    }
    const double ce_scale = has_target ? weight * alpha : 0;
    const double kl_scale = p.teacher ? weight * (1 - alpha) * (p.t2 ? t : 1 / t) : 0;
    row_gradient(p, s, row, dense, ce_scale * mass / total, ce_scale, kl_scale / soft_total, kl_scale / teacher_total,
                 kl, student_beta, teacher_beta, log_ratio, s.softmax);
    if (label >= 0 && !dense) gradient[label] -= static_cast<T>(ce_scale);
  }

  GRADUS_INLINE void rows(const KdRows<T>& problem, int64_t begin, int64_t end) {
    Scratch scratch(problem.classes);
    for (int64_t row = begin; row < end; ++row) one_row(problem, row, scratch);
  }
};

void floats(const KdRows<float>& problem, int64_t begin, int64_t end) {
  if (is_narrow(problem)) return narrow_rows(problem, begin, end);
  Kernel<float>::rows(problem, begin, end);
}

void doubles(const KdRows<double>& problem, int64_t begin, int64_t end) { Kernel<double>::rows(problem, begin, end); }

}  // namespace

extern const KdKernels kd_loss;
const KdKernels kd_loss = {floats, doubles};

}  // namespace gradus::vectors::GRADUS_ISA
