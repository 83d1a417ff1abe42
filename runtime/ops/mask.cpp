#include "mask.h"

#include "error.h"
#include "files/file.h"
#include "random.h"

namespace gradus {

namespace {

double unit(uint32_t bits) { return bits * 0x1p-32; }

[[noreturn]] void refuse(const std::string& what, const std::string& expected, const std::string& got) {
  throw data_error("mask", what, expected, got);
}

std::string describe(const at::Tensor& t) {
  return std::string(at::toString(t.scalar_type())) + " " + show_shape(t.sizes());
}

}  // namespace

void check_masking(const Masking& m) {
  if (!(m.rate >= 0 && m.rate <= 1)) refuse("rate out of range", "a number from 0 to 1", std::to_string(m.rate));
  if (m.rate == 0) return;
  if (m.low < 0 || m.low >= m.high)
    refuse("no tokens to mask", "0 <= low < high", std::to_string(m.low) + " to " + std::to_string(m.high));
  if (m.mask < 0 || (m.mask >= m.low && m.mask < m.high))
    refuse("the mask is an ordinary token", "one outside of low … high - 1", std::to_string(m.mask));
}

Masked mask_tokens(const at::Tensor& x, const at::Tensor& index, const at::Tensor& visit, uint64_t seed,
                   const Masking& m) {
  check_masking(m);
  if (x.dim() != 2 || x.scalar_type() != at::kLong || !x.is_cpu())
    refuse("x holds no rows of tokens", "int64 [N, L] on the CPU", describe(x));
  const int64_t count = x.size(0), length = x.size(1);
  for (const at::Tensor* t : {&index, &visit}) {
    if (t->dim() != 1 || t->size(0) != count || !at::isIntegralType(t->scalar_type(), false))
      refuse(std::string(t == &index ? "index" : "visit") + " does not match x " + show_shape(x.sizes()),
             "whole numbers [" + std::to_string(count) + "]", describe(*t));
  }
  const at::Tensor rows = index.to(at::kCPU, at::kLong).contiguous(),
                   visits = visit.to(at::kCPU, at::kInt).contiguous();
  Masked out{x.clone(at::MemoryFormat::Contiguous), at::empty(x.sizes(), at::kLong)};
  int64_t *token = out.x.mutable_data_ptr<int64_t>(), *label = out.y.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    const RowRandom random(seed, rows.const_data_ptr<int64_t>()[i], visits.const_data_ptr<int32_t>()[i]);
    for (int64_t at = 0; at < length; ++at, ++token, ++label) {
      *label = kNoLabel;
      if (*token < m.low || *token >= m.high) continue;
      const auto bits = random.bits(static_cast<uint32_t>(at));
      if (unit(bits[0]) >= m.rate) continue;
      *label = *token;
      const double fate = unit(bits[1]);
      if (fate < .8) {
        *token = m.mask;
      } else if (fate < .9) {
        *token = m.low + static_cast<int64_t>(unit(bits[2]) * static_cast<double>(m.high - m.low));
      }
    }
  }
  return out;
}

}  // namespace gradus
