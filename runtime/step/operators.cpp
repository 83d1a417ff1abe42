#include "operators.h"

#include <unordered_set>

namespace gradus {

std::string name_of(const c10::OperatorHandle& op) { return op.operator_name().name; }

bool tells_shapes(const std::string& name) {
  static const std::unordered_set<std::string> names = {
      "aten::is_same_size",       "aten::sym_size",      "aten::sym_numel", "aten::sym_stride",
      "aten::sym_storage_offset", "aten::size",          "aten::stride",    "aten::can_cast",
      "aten::result_type",        "aten::promote_types", "aten::_version",  "aten::is_complex",
      "aten::is_floating_point"};
  return names.count(name) > 0;
}

std::vector<int> hidden_writes(const std::string& name) {
  static const std::unordered_set<std::string> norms = {"aten::native_batch_norm",      "aten::batch_norm",
                                                        "aten::_batch_norm_impl_index", "aten::instance_norm",
                                                        "aten::cudnn_batch_norm",       "aten::miopen_batch_norm"};
  return norms.count(name) ? std::vector<int>{3, 4} : std::vector<int>{};
}

bool depends_on_shapes(const std::string& name) {
  static const std::unordered_set<std::string> names = {"aten::ones_like", "aten::zeros_like", "aten::full_like",
                                                        "aten::new_zeros", "aten::new_ones",   "aten::new_full"};
  return names.count(name) > 0;
}

bool starts_unwritten(const std::string& name) {
  return name.starts_with("aten::empty") || name.starts_with("aten::new_empty");
}

bool is_write(const c10::Argument& argument) { return argument.alias_info() && argument.alias_info()->isWrite(); }

bool has_dynamic_shape(const c10::OperatorHandle& op, const torch::jit::Stack& arguments) {
  if (!op.hasTag(at::Tag::dynamic_output_shape)) return false;
  if (name_of(op) != "aten::index") return true;
  for (const auto& index : arguments[1].toOptionalTensorVector())
    if (index && (index->scalar_type() == at::kBool || index->scalar_type() == at::kByte)) return true;
  return false;
}

}  // namespace gradus
