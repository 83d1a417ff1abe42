// safetensors (huggingface.co/docs/safetensors): named tensors in one file, without code in it.
//
// Layout: 8 bytes little-endian header length, a JSON header, the data. Types read and written: F64 F32 F16 BF16 I64
// I32 I16 I8 U8 BOOL; read alone: U16 (as int32), U32 and U64 (as int64), F8_E4M3 and F8_E5M2 (as float32). Everything
// that the header claims is checked against the file before anything is allocated for it; a header that lies is an
// Error with Exit::data that names the byte or the tensor.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "torch.h"

namespace gradus {

struct SafeTensors {
  std::map<std::string, at::Tensor> tensors;    // contiguous, on the CPU; sorted by name
  std::map<std::string, std::string> metadata;  // "__metadata__"
  int64_t non_finite = 0;                       // NaN and infinities among all values
};

// strict: values that are not finite are an Error instead of a count. names: only these tensors, each of which must be
// there; others may be of types that cannot be read.
SafeTensors read_safetensors(const std::string& path, bool strict = false, const std::vector<std::string>& names = {});

// The same without reading the values: the tensors are the mapped file, and what is written to them stays in this
// process. Only for files of this program's own, which nobody shortens (file.h).
SafeTensors map_safetensors(const std::string& path);

struct TensorLayout {
  at::ScalarType type;
  std::vector<int64_t> shape;
};
// Makes the file, or makes it anew, with room for these tensors, and maps it: what is written to them is in the file.
// They begin as zeros. The room is taken now, so that a full disk is an Error(io) here and not the end of the process
// later.
std::map<std::string, at::Tensor> create_safetensors(const std::string& path,
                                                     const std::map<std::string, TensorLayout>& tensors,
                                                     const std::map<std::string, std::string>& metadata = {});

// Atomic: after a crash the path holds the old file or the new one. Tensors of any device and layout; the data is laid
// out by item size (largest first), then name, so that each tensor is aligned in the file: PyTorch's reader needs that.
void write_safetensors(const std::string& path, const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace gradus
