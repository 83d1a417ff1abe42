#include "../target.h"
#include "error.h"
#include "files/safetensors.h"

FUZZ(safetensors) {
  const gradus::fuzz::MemoryFile file(bytes);
  gradus::fuzz::accept_or_refuse<gradus::Error>([&] {
    std::size_t sum = 0;
    for (const auto& [name, tensor] : gradus::read_safetensors(file.path()).tensors) sum += tensor.nbytes();
    if (sum > bytes.size()) __builtin_trap();  // what a file holds is not more than it is
  });
}
