// gradus::tally(logits, target, answers, ignore_index): what an evaluation of classes counts, in one pass over the
// logits: which rows are right, how often each class is the likeliest, and how many count, are right, and are as the
// teacher answers. The likeliest class is at::argmax's: the first of several, and NaN before all.
#include <ATen/Parallel.h>

#include <tuple>

#include "error.h"
#include "torch.h"

namespace gradus {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
using Tally = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

void check(const at::Tensor& logits, const at::Tensor& target, const OptionalTensor& answers) {
  const auto misuse = [](const std::string& text) { throw Error(Exit::data, "tally: " + text); };
  if (!at::isFloatingType(logits.scalar_type()) || logits.dim() == 0 || logits.size(-1) == 0)
    misuse(std::string("logits is ") + at::toString(logits.scalar_type()) + " of shape " + c10::str(logits.sizes()) +
           "; expected floating point [N, …, C]");
  for (const at::Tensor* t : {&target, answers ? &*answers : &target}) {
    const char* name = t == &target ? "target" : "answers";
    if (t->scalar_type() != at::kLong || t->sizes() != logits.sizes().slice(0, logits.dim() - 1))
      misuse(std::string(name) + " is " + at::toString(t->scalar_type()) + " of shape " + c10::str(t->sizes()) +
             "; expected int64 classes, one for each row of logits " + c10::str(logits.sizes()));
    if (t->device() != logits.device())
      misuse(std::string(name) + " is on " + t->device().str() + "; expected logits' " + logits.device().str());
  }
}

Tally composed(const at::Tensor& logits, const at::Tensor& target, const OptionalTensor& answers, int64_t ignore) {
  check(logits, target, answers);
  const at::Tensor counts = target.ne(ignore), likeliest = logits.argmax(-1);
  const at::Tensor right = likeliest.eq(target).logical_and_(counts);
  const at::Tensor same = answers ? likeliest.eq(*answers).logical_and_(counts) : at::zeros_like(counts);
  return {right, likeliest.masked_select(counts).bincount({}, logits.size(-1)),
          at::stack({counts.sum(), right.sum(), same.sum()})};
}

template <typename T>
int64_t likeliest_of(const T* row, int64_t classes) {
  int64_t best = 0;
  for (int64_t c = 1; c < classes && row[best] == row[best]; ++c)
    if (!(row[c] <= row[best])) best = c;  // greater, or NaN
  return best;
}

template <typename T>
at::Tensor likeliest_rows(const at::Tensor& logits, at::IntArrayRef shape) {
  const int64_t classes = logits.size(-1), rows = logits.numel() / classes;
  at::Tensor likeliest = at::empty(shape, at::kLong);
  const T* row = logits.const_data_ptr<T>();
  int64_t* out = likeliest.mutable_data_ptr<int64_t>();
  constexpr int64_t kNumbersEach = 1 << 16;  // so many are worth a thread
  at::parallel_for(0, rows, kNumbersEach / classes + 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) out[i] = likeliest_of(row + i * classes, classes);
  });
  return likeliest;
}

Tally own(const at::Tensor& given, const at::Tensor& given_target, const OptionalTensor& given_answers,
          int64_t ignore) {
  const at::ScalarType type = given.scalar_type();
  if (type != at::kFloat && type != at::kDouble) return composed(given, given_target, given_answers, ignore);
  check(given, given_target, given_answers);
  const at::Tensor logits = given.contiguous(), target = given_target.contiguous();
  const at::Tensor answers = given_answers ? given_answers->contiguous() : at::Tensor();
  const at::Tensor likeliest = type == at::kFloat ? likeliest_rows<float>(logits, target.sizes())
                                                  : likeliest_rows<double>(logits, target.sizes());
  at::Tensor right = at::empty(target.sizes(), at::kBool), often = at::zeros({logits.size(-1)}, at::kLong),
             counts = at::zeros({3}, at::kLong);
  const int64_t *best = likeliest.const_data_ptr<int64_t>(), *wanted = target.const_data_ptr<int64_t>();
  const int64_t* said = answers.defined() ? answers.const_data_ptr<int64_t>() : nullptr;
  bool* is_right = right.mutable_data_ptr<bool>();
  int64_t *of_class = often.mutable_data_ptr<int64_t>(), *count = counts.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < target.numel(); ++i) {
    const bool counted = wanted[i] != ignore;
    is_right[i] = counted && best[i] == wanted[i];
    of_class[best[i]] += counted;
    count[0] += counted;
    count[1] += is_right[i];
    count[2] += counted && said && best[i] == said[i];
  }
  return {right, often, counts};
}

TORCH_LIBRARY_FRAGMENT(gradus, m) {
  m.def(
      "tally(Tensor logits, Tensor target, Tensor? answers=None, int ignore_index=-100) -> "
      "(Tensor right, Tensor often, Tensor counts)");
}
TORCH_LIBRARY_IMPL(gradus, CPU, m) { m.impl("tally", &own); }
TORCH_LIBRARY_IMPL(gradus, CompositeExplicitAutograd, m) { m.impl("tally", &composed); }

}  // namespace
}  // namespace gradus
