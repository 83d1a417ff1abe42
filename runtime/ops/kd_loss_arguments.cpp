#include "kd_loss_arguments.h"

#include <sstream>

#include "error.h"

namespace gradus::kd {
namespace {

std::string shape(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes();
  return text.str();
}

void check_device(const OptionalTensor& given, const char* name, const at::Tensor& student) {
  if (given && given->device() != student.device())
    misuse(std::string(name) + " is on " + given->device().str() + "; expected student's " + student.device().str());
}

}  // namespace

void misuse(const std::string& text) { throw Error(Exit::data, "kd_loss: " + text); }

bool has_labels(const KdArguments& a) { return a.target && !at::isFloatingType(a.target->scalar_type()); }

at::ScalarType compute_type(const at::Tensor& student) {
  return student.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

int64_t rows_per_value(const at::Tensor& value, const char* name, const KdArguments& a, int64_t rows) {
  if (value.numel() == 1 && value.dim() <= 1) return rows;
  const auto row_shape = a.student.sizes().slice(0, a.student.dim() - 1);
  if (value.sizes() == row_shape) return 1;
  if (value.dim() == 1 && value.size(0) == a.student.size(0)) return rows / value.size(0);
  misuse(std::string(name) + " has shape " + shape(value) + "; expected a number or one value for each of the " +
         std::to_string(a.student.size(0)) + " samples of student " + shape(a.student));
}

void check(const KdArguments& a) {
  const at::Tensor& s = a.student;
  if (!at::isFloatingType(s.scalar_type()))
    misuse(std::string("student is ") + at::toString(s.scalar_type()) + "; expected floating-point logits");
  if ((s.dim() != 2 && s.dim() != 3) || s.numel() == 0)
    misuse("student has shape " + shape(s) + "; expected [N, C] or [N, L, C], not empty");
  if (!a.teacher && !a.target) misuse("neither teacher nor target is given; expected at least one");
  if (a.teacher && a.teacher->sizes() != s.sizes())
    misuse("teacher has shape " + shape(*a.teacher) + "; expected student's " + shape(s));
  check_device(a.teacher, "teacher", s);
  check_device(a.target, "target", s);
  check_device(a.weight, "weight", s);
  if (a.target) {
    const auto expected = has_labels(a) ? s.sizes().slice(0, s.dim() - 1) : s.sizes();
    if (a.target->sizes() != expected)
      misuse("target has shape " + shape(*a.target) +
             "; expected classes (int64) of student's shape without the last " +
             "dimension or probabilities of its whole shape, " + shape(s));
    if (has_labels(a) && a.target->scalar_type() != at::kLong)
      misuse(std::string("target is ") + at::toString(a.target->scalar_type()) +
             "; expected int64 classes or floating-point probabilities");
  }
  if (!(a.label_smoothing >= 0 && a.label_smoothing <= 1))
    misuse("label_smoothing is " + std::to_string(a.label_smoothing) + "; expected 0 to 1");
}

}  // namespace gradus::kd
