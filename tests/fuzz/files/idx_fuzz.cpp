#include "../target.h"
#include "error.h"
#include "files/idx.h"

FUZZ(idx) {
  const gradus::fuzz::MemoryFile file(bytes);
  gradus::fuzz::accept_or_refuse<gradus::Error>([&] {
    const bool packed = bytes.substr(0, 2) == "\x1f\x8b";
    if (gradus::read_idx(file.path()).nbytes() > bytes.size() && !packed) __builtin_trap();
  });
}
