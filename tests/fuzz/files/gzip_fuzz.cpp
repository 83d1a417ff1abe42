#include "../target.h"
#include "error.h"
#include "files/file.h"

FUZZ(gzip) {
  gradus::fuzz::accept_or_refuse<gradus::Error>([&] {
    if (gradus::gunzip(bytes, "fuzz", 1 << 20).size() > 1 << 20) __builtin_trap();
  });
}
