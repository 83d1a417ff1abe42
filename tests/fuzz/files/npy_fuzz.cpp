#include "../target.h"
#include "error.h"
#include "files/npy.h"

FUZZ(npy) {
  const gradus::fuzz::MemoryFile file(bytes);
  gradus::fuzz::accept_or_refuse<gradus::Error>([&] {
    if (gradus::read_npy(file.path()).nbytes() > 2 * bytes.size()) __builtin_trap();  // unsigned numbers are widened
  });
}
