#include "augment.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "files/file.h"
#include "random.h"

namespace gradus {

namespace {

// Lanes of a row's random numbers. Noise has lane e / 4 for element e; a row has fewer than 2^32 elements.
constexpr uint32_t kGammaLane = 0xE0000000, kOtherGammaLane = 0xE8000000, kPartnerLane = 0xFFFFFFFD,
                   kEraseLane = 0xFFFFFFFE, kShiftLane = 0xFFFFFFFF;

[[noreturn]] void refuse(const std::string& where, const std::string& what, const std::string& expected,
                         const std::string& got) {
  throw data_error(where, what, expected, got);
}

void check_number(const char* name, double value, double high) {
  if (value >= 0 && value <= high) return;
  refuse("augment", std::string(name) + " out of range", high < 1e6 ? "a number from 0 to 1" : "a number >= 0",
         std::to_string(value));
}

double unit(uint32_t bits) { return (bits >> 8) * 0x1p-24; }
int64_t below(uint32_t bits, int64_t n) { return static_cast<int64_t>(unit(bits) * static_cast<double>(n)); }

// What every function here needs of its batch: float rows on the CPU, each with an index and a visit.
struct Rows {
  Rows(const char* where, const at::Tensor& x, const at::Tensor& index_, const at::Tensor& visit_) {
    if (x.dim() < 1) refuse(where, "x has no rows", "x [N, …]", show_shape(x.sizes()));
    if (!x.is_cpu()) refuse(where, "x is not on the CPU", "a tensor on the CPU", x.device().str());
    if (x.scalar_type() != at::kFloat && x.scalar_type() != at::kDouble)
      refuse(where, "x holds no floats", "a float type", at::toString(x.scalar_type()));
    count = x.size(0);
    width = count ? x.numel() / count : 0;
    for (const auto* t : {&index_, &visit_}) {
      if (t->dim() != 1 || t->size(0) != count || !at::isIntegralType(t->scalar_type(), false)) {
        refuse(where, std::string(t == &index_ ? "index" : "visit") + " does not match x " + show_shape(x.sizes()),
               "whole numbers [" + std::to_string(count) + "]",
               std::string(at::toString(t->scalar_type())) + " " + show_shape(t->sizes()));
      }
    }
    index = index_.to(at::kCPU, at::kLong).contiguous();
    visit = visit_.to(at::kCPU, at::kInt).contiguous();
  }
  RowRandom random(uint64_t seed, int64_t i) const {
    return {seed, index.const_data_ptr<int64_t>()[i], visit.const_data_ptr<int32_t>()[i]};
  }

  int64_t count, width;
  at::Tensor index, visit;
};

// Moves an image [C, H, W] by (dy, dx) into `to`, which is zero.
template <typename T>
void shift_image(const T* from, T* to, at::IntArrayRef shape, int64_t dy, int64_t dx) {
  const int64_t height = shape[2], width = shape[3];
  for (int64_t c = 0; c < shape[1]; ++c) {
    for (int64_t y = std::max<int64_t>(0, dy); y < std::min(height, height + dy); ++y) {
      const T* source = from + (c * height + y - dy) * width;
      std::copy(source + std::max<int64_t>(0, -dx), source + std::min(width, width - dx),
                to + (c * height + y) * width + std::max<int64_t>(0, dx));
    }
  }
}

template <typename T>
void erase_rectangle(T* image, at::IntArrayRef shape, double share, const std::array<uint32_t, 4>& bits) {
  const int64_t height = shape[2], width = shape[3];
  const double area = share * unit(bits[0]) * static_cast<double>(height * width),
               aspect = std::exp2(2 * unit(bits[1]) - 1);
  const int64_t h = std::min(height, static_cast<int64_t>(std::lround(std::sqrt(area * aspect))));
  const int64_t w = std::min(width, static_cast<int64_t>(std::lround(std::sqrt(area / aspect))));
  const int64_t top = below(bits[2], height - h + 1), left = below(bits[3], width - w + 1);
  for (int64_t c = 0; c < shape[1]; ++c) {
    for (int64_t y = top; y < top + h; ++y) std::fill_n(image + (c * height + y) * width + left, w, T{0});
  }
}

template <typename T>
void add_noise(T* row, int64_t width, const RowRandom& random, double deviation) {
  constexpr int64_t kBlock = 1024;
  float z[kBlock];
  for (int64_t from = 0; from < width; from += kBlock) {
    const int64_t count = std::min(kBlock, width - from);
    random.normals(static_cast<uint32_t>(from / 4), count, z);
    for (int64_t e = 0; e < count; ++e) row[from + e] += static_cast<T>(deviation) * static_cast<T>(z[e]);
  }
}

template <typename T>
at::Tensor augment_rows(const at::Tensor& x, const Rows& rows, uint64_t seed, const Augment& o, double strength) {
  const int64_t reach = std::lround(static_cast<double>(o.shift) * strength);
  const double erased = o.erase * strength, deviation = o.noise * strength;
  const at::Tensor source = x.contiguous();
  at::Tensor result =
      reach ? at::zeros_like(source, at::MemoryFormat::Contiguous) : source.clone(at::MemoryFormat::Contiguous);
  for (int64_t i = 0; i < rows.count; ++i) {
    const RowRandom random = rows.random(seed, i);
    T* row = result.mutable_data_ptr<T>() + i * rows.width;
    if (reach) {
      const auto bits = random.bits(kShiftLane);
      shift_image(source.const_data_ptr<T>() + i * rows.width, row, x.sizes(), below(bits[0], 2 * reach + 1) - reach,
                  below(bits[1], 2 * reach + 1) - reach);
    }
    if (erased > 0) erase_rectangle(row, x.sizes(), erased, random.bits(kEraseLane));
    if (deviation > 0) add_noise(row, rows.width, random, deviation);
  }
  return result;
}

// The logarithm of a Gamma(shape) number: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
double log_gamma(const RowRandom& random, double shape, uint32_t lane) {
  const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  const double boost = shape < 1 ? std::log1p(-random.uniform(lane)) / shape : 0;
  while (true) {
    const double z = random.normal(++lane), u = 1 - random.uniform(++lane), v = std::pow(1 + c * z, 3);
    if (v > 0 && std::log(u) < z * z / 2 + d - d * v + d * std::log(v)) return std::log(d * v) + boost;
  }
}

double own_share(const RowRandom& random, double alpha, double strength) {
  const double lambda =
      1 / (1 + std::exp(log_gamma(random, alpha, kOtherGammaLane) - log_gamma(random, alpha, kGammaLane)));
  return 1 - strength * std::min(lambda, 1 - lambda);
}

// Labels that can be mixed: classes as one-hot rows; distributions and numbers, [N] too, as they are.
at::Tensor float_labels(const at::Tensor& y, int64_t classes, int64_t count) {
  if (y.defined() && (y.dim() == 1 || y.dim() == 2) && y.size(0) == count && at::isFloatingType(y.scalar_type()))
    return y.to(at::kCPU, at::kFloat).contiguous();
  if (!y.defined() || y.dim() != 1 || y.size(0) != count || !at::isIntegralType(y.scalar_type(), false)) {
    refuse("mixup", "labels do not match x",
           "whole numbers [" + std::to_string(count) + "], or floats [" + std::to_string(count) + "] or [" +
               std::to_string(count) + ", C]",
           y.defined() ? std::string(at::toString(y.scalar_type())) + " " + show_shape(y.sizes()) : "none");
  }
  if (classes < 2) refuse("mixup", "number of classes unknown", "classes = 2 or more", std::to_string(classes));
  const at::Tensor labels = y.to(at::kCPU, at::kLong).contiguous();
  at::Tensor result = at::zeros({count, classes}, at::kFloat);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t label = labels.const_data_ptr<int64_t>()[i];
    if (label < 0 || label >= classes)
      refuse("mixup", "label out of range", "0 to " + std::to_string(classes - 1), std::to_string(label));
    result.mutable_data_ptr<float>()[i * classes + label] = 1;
  }
  return result;
}

template <typename T>
at::Tensor mix(const at::Tensor& values, const std::vector<int64_t>& partner, const std::vector<float>& lambda) {
  at::Tensor result = at::empty_like(values);
  const int64_t count = values.size(0), width = count ? values.numel() / count : 0;
  const T* from = values.const_data_ptr<T>();
  T* to = result.mutable_data_ptr<T>();
  for (int64_t i = 0; i < count; ++i) {
    const T own = lambda[i], other = 1 - own;
    for (int64_t e = 0; e < width; ++e)
      to[i * width + e] = own * from[i * width + e] + other * from[partner[i] * width + e];
  }
  return result;
}

}  // namespace

void check_augment(const Augment& o, double strength) {
  check_number("noise", o.noise, 1e30);
  check_number("shift", static_cast<double>(o.shift), 1e9);
  check_number("erase", o.erase, 1);
  check_number("mixup", o.mixup, 1e6);
  check_number("strength", strength, 1);
}

at::Tensor augment(const at::Tensor& x, const at::Tensor& index, const at::Tensor& visit, uint64_t seed,
                   const Augment& o, double strength) {
  check_augment(o, strength);
  // float16 and bfloat16: computed as float32, rounded once.
  if (at::isReducedFloatingType(x.scalar_type()))
    return augment(x.to(at::kFloat), index, visit, seed, o, strength).to(x.scalar_type());
  const Rows rows("augment", x, index, visit);
  if ((o.shift > 0 || o.erase > 0) && x.dim() != 4) {
    refuse("augment", o.shift > 0 ? "shift needs images" : "erase needs images", "x [N, C, H, W]",
           "x " + show_shape(x.sizes()));
  }
  if (o.shift > 0 && o.shift >= std::min(x.size(2), x.size(3))) {
    refuse("augment", "shift moves everything out of the image", "less than its sides in x " + show_shape(x.sizes()),
           std::to_string(o.shift));
  }
  return x.scalar_type() == at::kFloat ? augment_rows<float>(x, rows, seed, o, strength)
                                       : augment_rows<double>(x, rows, seed, o, strength);
}

Mixed mixup(const at::Tensor& x, const at::Tensor& y, int64_t classes, const at::Tensor& index, const at::Tensor& visit,
            uint64_t seed, double alpha, double strength) {
  Augment options;
  options.mixup = alpha;
  check_augment(options, strength);
  if (alpha == 0) refuse("mixup", "mixup of zero has no effect", "a number above 0", "0");
  if (at::isReducedFloatingType(x.scalar_type())) {
    Mixed mixed = mixup(x.to(at::kFloat), y, classes, index, visit, seed, alpha, strength);
    mixed.x = mixed.x.to(x.scalar_type());
    return mixed;
  }
  const Rows rows("mixup", x, index, visit);
  const at::Tensor labels = float_labels(y, classes, rows.count);
  std::vector<int64_t> partner(rows.count);
  std::vector<float> lambda(rows.count);
  for (int64_t i = 0; i < rows.count; ++i) {
    const RowRandom random = rows.random(seed, i);
    partner[i] = static_cast<int64_t>(random.uniform(kPartnerLane) * static_cast<double>(rows.count));
    lambda[i] = static_cast<float>(own_share(random, alpha, strength));
  }
  const at::Tensor source = x.contiguous();
  Mixed mixed;
  mixed.x = x.scalar_type() == at::kFloat ? mix<float>(source, partner, lambda) : mix<double>(source, partner, lambda);
  mixed.y = mix<float>(labels, partner, lambda);
  mixed.lambda = at::empty({rows.count}, at::kFloat);
  std::copy(lambda.begin(), lambda.end(), mixed.lambda.mutable_data_ptr<float>());
  return mixed;
}

}  // namespace gradus
