#include "../target.h"
#include "error.h"
#include "files/snapshot.h"

FUZZ(snapshot) {
  const gradus::fuzz::MemoryFile file(bytes);
  gradus::fuzz::accept_or_refuse<gradus::Error>([&] { gradus::read_snapshot(file.path()); });
}
