#include "flat.h"

#include <unordered_set>

namespace gradus {
namespace {

constexpr std::size_t kAlignment = 64;

// What a storage in a flat buffer owns: a reference to the buffer.
void release_flat(void* context) { delete static_cast<at::Tensor*>(context); }

c10::StorageImpl* storage_of(const at::Tensor& tensor) { return tensor.storage().unsafeGetStorageImpl(); }

bool in_flat(const at::Tensor& tensor) { return storage_of(tensor)->data_ptr().get_deleter() == &release_flat; }

bool joinable(const std::vector<at::Tensor>& tensors) {
  std::unordered_set<const void*> seen;
  for (const at::Tensor& t : tensors) {
    if (t.layout() != at::kStrided || t.device() != tensors[0].device()) return false;
    if (t.scalar_type() != tensors[0].scalar_type()) return false;
    if (!t.is_contiguous() || t.storage_offset() != 0 || t.numel() == 0 || storage_of(t)->nbytes() != t.nbytes())
      return false;
    if (!seen.insert(storage_of(t)).second) return false;
  }
  return !tensors.empty();
}

}  // namespace

std::vector<int64_t> flat_offsets(const std::vector<at::Tensor>& tensors, int64_t* total) {
  std::vector<int64_t> offsets;
  *total = 0;
  for (const at::Tensor& t : tensors) {
    const auto unit = static_cast<int64_t>(kAlignment / t.element_size());
    offsets.push_back(*total);
    *total += (t.numel() + unit - 1) / unit * unit;
  }
  return offsets;
}

bool holds(const at::Tensor& flat, const std::vector<at::Tensor>& tensors) {
  int64_t total;
  const auto offsets = flat_offsets(tensors, &total);
  if (flat.numel() != total) return false;
  const auto* base = static_cast<const char*>(flat.const_data_ptr());
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (tensors[i].scalar_type() != flat.scalar_type() ||
        tensors[i].const_data_ptr() != base + offsets[i] * flat.element_size())
      return false;
  return true;
}

std::optional<at::Tensor> flatten(const std::vector<at::Tensor>& tensors) {
  if (!joinable(tensors)) return std::nullopt;
  if (in_flat(tensors[0])) {
    const at::Tensor known = *static_cast<at::Tensor*>(storage_of(tensors[0])->data_ptr().get_context());
    return holds(known, tensors) ? std::optional(known) : std::nullopt;
  }
  for (const at::Tensor& t : tensors)
    if (in_flat(t)) return std::nullopt;
  const at::NoGradGuard no_grad;
  int64_t total;
  const auto offsets = flat_offsets(tensors, &total);
  const at::Tensor flat = at::zeros({total}, tensors[0].options().requires_grad(false));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    flat.narrow(0, offsets[i], tensors[i].numel()).view(tensors[i].sizes()).copy_(tensors[i]);
    auto* place = static_cast<char*>(flat.mutable_data_ptr()) + offsets[i] * flat.element_size();
    storage_of(tensors[i])->set_data_ptr_noswap({place, new at::Tensor(flat), &release_flat, flat.device()});
  }
  return flat;
}

std::vector<at::Tensor> parts(const at::Tensor& flat, const std::vector<at::Tensor>& like) {
  int64_t total;
  const auto offsets = flat_offsets(like, &total);
  std::vector<at::Tensor> views;
  for (std::size_t i = 0; i < like.size(); ++i)
    views.push_back(flat.narrow(0, offsets[i], like[i].numel()).view(like[i].sizes()));
  return views;
}

}  // namespace gradus
