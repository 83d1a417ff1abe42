// The rows of a run that it has from its beginning, and what is written to them at its end. Inside the caller's
// transaction.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "database.h"

namespace gradus::results {

// A running run with its parameters and sources; returns its id.
std::int64_t insert_run(Database& database, std::string_view uid, const RunStart& start);
// What the run has by the same name is replaced.
void put_params(Database& database, std::int64_t run, const std::vector<Param>& params);
void put_sources(Database& database, std::int64_t run, const std::vector<Source>& sources);
// seconds: monotonic. message: of its error; "": none.
void end_run(Database& database, std::int64_t id, std::string_view status, double unix_time, double seconds,
             std::string_view message);

// A parameter as params has it.
struct ParamRow {
  const char* type;
  Cell value;
};
ParamRow param_row(const Param& param);

}  // namespace gradus::results
