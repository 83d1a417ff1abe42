#include "print.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "convert.h"

namespace gradus {
namespace {

constexpr int64_t kEdge = 3;         // values shown at each end of a summarised dimension
constexpr int64_t kThreshold = 1000;  // PyTorch's own threshold
constexpr std::size_t kColumns = 80;

struct Style {
  bool integer = false, boolean = false, whole = true, scientific = false;
  std::size_t width = 0;
};

std::string format(double value, const Style& style) {
  if (style.boolean) return value != 0 ? "true" : "false";
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[64];
  if (style.integer)
    std::snprintf(text, sizeof text, "%lld", static_cast<long long>(value));
  else if (style.scientific)
    std::snprintf(text, sizeof text, "%.4e", value);
  else
    std::snprintf(text, sizeof text, style.whole ? "%.0f." : "%.4f", value);
  return text;
}

// As PyTorch: whole numbers print as "2.", a wide range or tiny values as powers of ten.
Style choose_style(const at::Tensor& shown, at::ScalarType type) {
  Style style;
  style.boolean = type == at::kBool;
  style.integer = c10::isIntegralType(type, false);
  const at::Tensor flat = shown.reshape({-1}).to(at::kCPU, at::kDouble).contiguous();
  const double* data = flat.const_data_ptr<double>();
  double smallest = INFINITY, largest = 0;
  for (int64_t i = 0; i < flat.numel(); ++i) {
    if (!std::isfinite(data[i])) continue;
    if (data[i] != std::floor(data[i])) style.whole = false;
    if (data[i] != 0) smallest = std::min(smallest, std::fabs(data[i]));
    largest = std::max(largest, std::fabs(data[i]));
  }
  if (largest > 0) style.scientific = largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4;
  if (style.whole) style.scientific = largest > 1e8;
  for (int64_t i = 0; i < flat.numel(); ++i) style.width = std::max(style.width, format(data[i], style).size());
  return style;
}

// The values that will be shown: both edges of every long dimension.
at::Tensor edges(at::Tensor tensor, bool summarise) {
  if (!summarise) return tensor;
  for (int64_t dim = 0; dim < tensor.dim(); ++dim)
    if (tensor.size(dim) > 2 * kEdge)
      tensor = at::cat({tensor.narrow(dim, 0, kEdge), tensor.narrow(dim, tensor.size(dim) - kEdge, kEdge)}, dim);
  return tensor;
}

std::string print_vector(const at::Tensor& row, const Style& style, std::size_t indent, bool summarise) {
  const bool cut = summarise && row.size(0) > 2 * kEdge;
  const at::Tensor values = edges(row, summarise).to(at::kCPU, at::kDouble).contiguous();
  const double* data = values.const_data_ptr<double>();
  std::string text = "[";
  std::size_t column = indent + 1;
  for (int64_t i = 0; i < values.size(0); ++i) {
    std::string item = format(data[i], style);
    item.insert(0, style.width - std::min(style.width, item.size()), ' ');
    if (cut && i == kEdge) item = "..., " + item;
    if (i && column + item.size() + 2 > kColumns) {
      text += ",\n" + std::string(indent + 1, ' ');
      column = indent + 1;
    } else if (i) {
      text += ", ";
      column += 2;
    }
    text += item;
    column += item.size();
  }
  return text + "]";
}

std::string print_nested(const at::Tensor& tensor, const Style& style, std::size_t indent, bool summarise) {
  if (tensor.dim() == 0) return format(tensor.to(at::kDouble).item<double>(), style);
  if (tensor.dim() == 1) return print_vector(tensor, style, indent, summarise);
  const std::string separator = "," + std::string(tensor.dim() - 1, '\n') + std::string(indent + 1, ' ');
  const bool cut = summarise && tensor.size(0) > 2 * kEdge;
  std::string text = "[";
  for (int64_t i = 0; i < tensor.size(0); ++i) {
    if (cut && i == kEdge) {
      text += separator + "...";
      i = tensor.size(0) - kEdge;
    }
    if (i) text += separator;
    text += print_nested(tensor.select(0, i), style, indent + 1, summarise);
  }
  return text + "]";
}

}  // namespace

std::string print_tensor(const at::Tensor& given) {
  const at::NoGradGuard no_grad;
  const at::Tensor tensor = given.detach();
  const bool summarise = tensor.numel() > kThreshold;
  std::string text = "tensor(";
  if (tensor.numel() == 0)
    text += "[], size=" + c10::str(tensor.sizes());
  else
    text += print_nested(tensor, choose_style(edges(tensor, summarise), tensor.scalar_type()), 7, summarise);
  const auto type = tensor.scalar_type();
  if (type != at::kFloat && type != at::kBool && type != at::kLong) text += ", dtype=" + dtype_name(type);
  if (!tensor.device().is_cpu()) text += ", device='" + tensor.device().str() + "'";
  if (given.grad_fn())
    text += ", grad_fn=<" + given.grad_fn()->name() + ">";
  else if (given.requires_grad())
    text += ", requires_grad=true";
  return text + ")";
}

}  // namespace gradus
