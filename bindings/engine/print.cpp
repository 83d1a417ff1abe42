#include "print.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "convert.h"

namespace gradus {
namespace {

constexpr int64_t kEdge = 3;          // values shown at each end of a summarised dimension
constexpr int64_t kThreshold = 1000;  // PyTorch's own threshold
constexpr std::size_t kColumns = 80;

struct Style {
  bool integer = false, boolean = false, whole = true, scientific = false;
  std::size_t width = 1;
};

std::string format(double value, const Style& style) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[64];
  if (style.scientific)
    std::snprintf(text, sizeof text, "%.4e", value);
  else
    std::snprintf(text, sizeof text, style.whole ? "%.0f." : "%.4f", value);
  return text;
}

// The tensor's values as text, in order. Whole types are not read as doubles, which would round large ones.
std::vector<std::string> format_all(const at::Tensor& tensor, const Style& style) {
  std::vector<std::string> texts;
  if (style.integer || style.boolean) {
    const at::Tensor flat = tensor.reshape({-1}).to(at::kCPU, at::kLong).contiguous();
    const int64_t* data = flat.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < flat.numel(); ++i)
      texts.push_back(style.integer ? std::to_string(data[i]) : data[i] ? "true" : "false");
    return texts;
  }
  const at::Tensor flat = tensor.reshape({-1}).to(at::kCPU, at::kDouble).contiguous();
  const double* data = flat.const_data_ptr<double>();
  for (int64_t i = 0; i < flat.numel(); ++i) texts.push_back(format(data[i], style));
  return texts;
}

// PyTorch's rules (torch/_tensor_str.py): zeros and what is not finite decide neither form nor width; a wide range,
// very large or very small values are written as powers of ten; whole numbers as "2.".
Style choose_style(const at::Tensor& shown, at::ScalarType type) {
  Style style;
  style.boolean = type == at::kBool;
  style.integer = c10::isIntegralType(type, false);
  at::Tensor counted = shown.reshape({-1});
  if (!style.boolean && !style.integer) {
    const at::Tensor values = counted.to(at::kCPU, at::kDouble);
    counted = values.masked_select(values.isfinite().logical_and(values.ne(0)));
    if (counted.numel() == 0) return style;
    const at::Tensor sizes = counted.abs();
    const double smallest = sizes.min().item<double>(), largest = sizes.max().item<double>();
    style.whole = counted.eq(counted.ceil()).all().item<bool>();
    style.scientific = largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4;
  }
  for (const std::string& text : format_all(counted, style)) style.width = std::max(style.width, text.size());
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
  std::vector<std::string> items = format_all(edges(row, summarise), style);
  for (std::string& item : items) item.insert(0, style.width - std::min(style.width, item.size()), ' ');
  if (summarise && row.size(0) > 2 * kEdge) items.insert(items.begin() + kEdge, " ...");
  const std::size_t per_line = std::max<std::size_t>(1, (kColumns - std::min(kColumns, indent)) / (style.width + 2));
  std::string text = "[";
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i) text += i % per_line ? ", " : ",\n" + std::string(indent + 1, ' ');
    text += items[i];
  }
  return text + "]";
}

std::string print_nested(const at::Tensor& tensor, const Style& style, std::size_t indent, bool summarise) {
  if (tensor.dim() == 0) return format_all(tensor, style).front();
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
  const auto type = tensor.scalar_type();
  std::string text = "tensor(";
  std::vector<std::string> notes;
  if (tensor.numel() > 0) {
    text += print_nested(tensor, choose_style(edges(tensor, summarise), type), text.size(), summarise);
  } else {
    text += "[]";
    if (tensor.dim() != 1) notes.push_back("size=" + c10::str(tensor.sizes()));
  }
  const bool told = tensor.numel() > 0 && (type == at::kBool || type == at::kLong);  // by the values
  if (type != at::kFloat && !told) notes.push_back("dtype=" + dtype_name(type));
  if (!tensor.device().is_cpu()) notes.push_back("device='" + tensor.device().str() + "'");
  if (given.grad_fn())
    notes.push_back("grad_fn=<" + given.grad_fn()->name() + ">");
  else if (given.requires_grad())
    notes.push_back("requires_grad=true");
  std::size_t column = text.size() - (text.rfind('\n') + 1) + 2;  // npos + 1 is 0
  for (const std::string& note : notes) {
    const bool fits = column + note.size() + 2 <= kColumns;
    column = fits ? column + note.size() + 2 : 7 + note.size();
    text += (fits ? ", " : ",\n       ") + note;
  }
  return text + ")";
}

}  // namespace gradus
