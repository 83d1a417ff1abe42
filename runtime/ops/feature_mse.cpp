// gradus::feature_mse(student, teacher, projection): mean((student − teacher · projection)²), the projection left out
// where the widths are equal, and its gradient in the same pass: of the projected teacher, the difference and the
// gradient one tensor is held, each taking the place of the one before.
#include <ATen/Parallel.h>

#include <vector>

#include "error.h"
#include "step/direct.h"
#include "torch.h"

namespace gradus {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

std::string shape(const at::Tensor& t) { return c10::str(t.sizes()); }

void check(const at::Tensor& student, const at::Tensor& teacher, const OptionalTensor& projection) {
  const auto misuse = [](const std::string& text) { throw Error(Exit::data, "feature_mse: " + text); };
  for (const at::Tensor* t : {&teacher, projection ? &*projection : &teacher}) {
    if (t->scalar_type() != student.scalar_type())
      misuse(std::string("teacher or projection is ") + at::toString(t->scalar_type()) + "; expected student's " +
             at::toString(student.scalar_type()));
    if (t->device() != student.device())
      misuse("teacher or projection is on " + t->device().str() + "; expected student's " + student.device().str());
  }
  if (!at::isFloatingType(student.scalar_type()) || student.dim() == 0 || student.numel() == 0)
    misuse(std::string("student is ") + at::toString(student.scalar_type()) + " of shape " + shape(student) +
           "; expected floating point [N, …, width], not empty");
  auto wanted = student.sizes().vec();
  if (projection) {
    if (projection->dim() != 2 || teacher.dim() == 0 || projection->size(0) != teacher.size(-1) ||
        projection->size(1) != student.size(-1))
      misuse("projection has shape " + shape(*projection) + "; expected teacher's width by student's, teacher " +
             shape(teacher) + ", student " + shape(student));
    wanted.back() = projection->size(0);
  }
  if (teacher.sizes() != at::IntArrayRef(wanted))
    misuse("teacher has shape " + shape(teacher) + "; expected " + c10::str(wanted));
}

at::Tensor rows_of(const at::Tensor& t) { return t.reshape({-1, t.size(-1)}); }

// Chunks do not depend on the number of threads, nor does the order of their sums.
template <typename T>
double differences(int64_t n, const T* student, const T* teacher, T scale, T* gradient) {
  constexpr int64_t kChunk = 4096, kLanes = 8;
  const int64_t chunks = (n + kChunk - 1) / kChunk;
  std::vector<double> sums(static_cast<std::size_t>(chunks));
  at::parallel_for(0, chunks, 8, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const int64_t begin = chunk * kChunk, end = std::min(n, begin + kChunk);
      double lanes[kLanes] = {};
      int64_t i = begin;
      for (; i + kLanes <= end; i += kLanes)
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const T difference = student[i + lane] - teacher[i + lane];
          lanes[lane] += static_cast<double>(difference) * static_cast<double>(difference);
          gradient[i + lane] = difference * scale;
        }
      for (; i < end; ++i) {
        const T difference = student[i] - teacher[i];
        lanes[0] += static_cast<double>(difference) * static_cast<double>(difference);
        gradient[i] = difference * scale;
      }
      double sum = 0;
      for (const double lane : lanes) sum += lane;
      sums[static_cast<std::size_t>(chunk)] = sum;
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total / static_cast<double>(n);
}

using Two = std::tuple<at::Tensor, at::Tensor>;

void forward_out(const at::Tensor& student, const at::Tensor& teacher, const OptionalTensor& projection,
                 const at::Tensor& loss, const at::Tensor& gradient) {
  check(student, teacher, projection);
  at::Tensor place = gradient;
  const int64_t n = student.numel();
  if (projection) {
    at::Tensor rows = gradient.view({-1, gradient.size(-1)});
    at::mm_out(rows, rows_of(teacher), *projection);
  }
  if (!student.is_cpu() || (student.scalar_type() != at::kFloat && student.scalar_type() != at::kDouble)) {
    at::sub_out(place, student, projection ? gradient : teacher);
    const at::Tensor mean =
        gradient.to(gradient.scalar_type() == at::kDouble ? at::kDouble : at::kFloat).square().mean();
    at::Tensor(loss).copy_(mean);
    place.mul_(2.0 / static_cast<double>(n));
    return;
  }
  const auto ours = c10::MaybeOwned<at::Tensor>(student.expect_contiguous());
  const auto theirs = c10::MaybeOwned<at::Tensor>((projection ? gradient : teacher).expect_contiguous());
  AT_DISPATCH_FLOATING_TYPES(student.scalar_type(), "feature_mse", [&] {
    *loss.mutable_data_ptr<scalar_t>() = static_cast<scalar_t>(differences<scalar_t>(
        n, ours->const_data_ptr<scalar_t>(), theirs->const_data_ptr<scalar_t>(),
        static_cast<scalar_t>(2.0 / static_cast<double>(n)), gradient.mutable_data_ptr<scalar_t>()));
  });
}

Two forward_own(const at::Tensor& student, const at::Tensor& teacher, const OptionalTensor& projection) {
  const at::Tensor loss = at::empty({}, student.options()), gradient = at::empty(student.sizes(), student.options());
  forward_out(student, teacher, projection, loss, gradient);
  return {loss, gradient};
}

Two call_forward(const at::Tensor& student, const at::Tensor& teacher, const OptionalTensor& projection) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("gradus::feature_mse_forward", "").typed<decltype(forward_own)>();
  return op.call(student, teacher, projection);
}

class FeatureMse : public torch::autograd::Function<FeatureMse> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& student,
                            const at::Tensor& teacher, const OptionalTensor& projection) {
    at::AutoDispatchBelowADInplaceOrView below;
    auto [loss, gradient] = call_forward(student, teacher, projection);
    // What the gradients of the others need: a projection may be learned.
    const bool learned = projection && projection->requires_grad(), passed = teacher.requires_grad();
    context->save_for_backward(
        {gradient, learned ? teacher : at::Tensor(), passed && projection ? *projection : at::Tensor()});
    return loss;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    if (at::GradMode::is_enabled())
      throw Error(Exit::data, "feature_mse: has no second derivative; expected a gradient without create_graph");
    const auto saved = context->get_saved_variables();
    const at::Tensor &teacher = saved[1], &projection = saved[2];
    const at::Tensor student = grads[0] * saved[0];
    at::Tensor of_teacher, of_projection;
    if (context->needs_input_grad(1))
      of_teacher = (projection.defined() ? at::matmul(student, projection.t()) : student).neg();
    if (teacher.defined()) of_projection = at::mm(rows_of(teacher).t(), rows_of(student)).neg_();
    return {context->needs_input_grad(0) ? student : at::Tensor(), of_teacher, of_projection};
  }
};

at::Tensor below_autograd(const at::Tensor& student, const at::Tensor& teacher, const OptionalTensor& projection) {
  return std::get<0>(call_forward(student, teacher, projection));
}

at::Tensor with_autograd(const at::Tensor& student, const at::Tensor& teacher, const OptionalTensor& projection) {
  if (at::GradMode::is_enabled() &&
      (student.requires_grad() || teacher.requires_grad() || (projection && projection->requires_grad())))
    return FeatureMse::apply(student, teacher, projection);
  at::AutoDispatchBelowADInplaceOrView below;
  return below_autograd(student, teacher, projection);
}

TORCH_LIBRARY_FRAGMENT(gradus, m) {
  m.def("feature_mse(Tensor student, Tensor teacher, Tensor? projection=None) -> Tensor");
  m.def("feature_mse_forward(Tensor student, Tensor teacher, Tensor? projection) -> (Tensor loss, Tensor gradient)");
  m.def(
      "feature_mse_forward.out(Tensor student, Tensor teacher, Tensor? projection, *, Tensor(a!) loss, "
      "Tensor(b!) gradient) -> ()");
}
TORCH_LIBRARY_IMPL(gradus, CPU, m) { m.impl("feature_mse_forward.out", &forward_out); }
TORCH_LIBRARY_IMPL(gradus, CompositeExplicitAutograd, m) {
  m.impl("feature_mse", &below_autograd);
  m.impl("feature_mse_forward", &forward_own);
}
TORCH_LIBRARY_IMPL(gradus, Autograd, m) { m.impl("feature_mse", &with_autograd); }

const bool registered = [] {
  register_direct("gradus::feature_mse_forward", "out", &direct::prepare<&forward_out>);
  return true;
}();

}  // namespace
}  // namespace gradus
