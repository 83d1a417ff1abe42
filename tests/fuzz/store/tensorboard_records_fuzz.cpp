#include "../target.h"
#include "error.h"
#include "exchange/tensorboard_records.h"

using gradus::fuzz::accept_or_refuse;
using gradus::fuzz::MemoryFile;
using gradus::results::Error;
namespace results = gradus::results;

// A file of records. Their sums rarely fit what is random, so that the messages have a target of their own.
FUZZ(tensorboard_records) {
  const MemoryFile file(bytes);
  accept_or_refuse<Error>([&] {
    results::RecordReader reader(file.path());
    for (std::string record; reader.next(record);)
      if (record.size() > bytes.size()) __builtin_trap();
  });
}
