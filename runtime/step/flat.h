// Parameters side by side in one buffer, so that an optimizer updates all of them in one call.
#pragma once

#include <optional>
#include <vector>

#include "torch.h"

namespace gradus {

// Where each tensor stands in a flat buffer, in values; each is padded to 64 bytes, so that products see aligned
// memory.
std::vector<int64_t> flat_offsets(const std::vector<at::Tensor>& tensors, int64_t* total);

// One buffer [total] with the tensors' values, padding zero; from here on the tensors' storages are parts of it: the
// tensors, their views and whoever else holds them see no difference. Tensors that already are such a buffer, in this
// order, give that one. None unless all are contiguous tensors of one dtype on one device, each with a storage of its
// own that is not part of another flat buffer.
std::optional<at::Tensor> flatten(const std::vector<at::Tensor>& tensors);

// Whether the tensors still are the parts of `flat`.
bool holds(const at::Tensor& flat, const std::vector<at::Tensor>& tensors);

// The parts of a flat buffer, with the shapes of `like`; new views.
std::vector<at::Tensor> parts(const at::Tensor& flat, const std::vector<at::Tensor>& like);

}  // namespace gradus
