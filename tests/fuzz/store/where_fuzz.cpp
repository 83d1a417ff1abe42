#include "../target.h"
#include "error.h"
#include "query/query.h"
#include "three_runs.h"

namespace results = gradus::results;

FUZZ(where) {
  static gradus::fuzz::ThreeRuns runs;
  results::RunFilter filter;
  filter.where = bytes;
  try {
    results::list_runs(*runs.store, filter);
  } catch (const results::Error& error) {
    if (error.code != results::Exit::usage) __builtin_trap();  // no condition is wrong only once it is SQL
  }
}
