// The names that a condition (where.h) may have, and what a wrong one may have been meant for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace gradus::results::where {

enum class Type { any, number, text, nil };

struct Column {
  const char* name;
  Type type;
  // SQL over `runs r`; "": the table's own. One that other tables tell gives way to a parameter or a metric of its name.
  const char* told = "";

  bool is_told() const { return *told != '\0'; }
  std::string sql() const { return is_told() ? told : std::string("r.") + name; }
};
const Column* find_column(const std::string& name);   // of runs; null: none
bool is_param(Store& store, const std::string& key);  // of any run
bool is_function(const std::string& word);            // FUNCTION(METRIC)
bool gives_value(const std::string& function);        // of the metric itself: not its steps or counts

// `word` where it is one of the metrics, else the only one that it fits loosely, or "".
std::string metric_meant(const std::string& word, const std::vector<std::string>& metrics);

// What is wrong with `key`, which is no column and no parameter, and what was expected instead. wide: the word as far as
// it could be a metric's name; rest: the text from there on; column: where a metric alone would do.
std::string unknown_name(Store& store, const std::string& key, const std::string& wide, std::string_view rest,
                         bool column);

}  // namespace gradus::results::where
