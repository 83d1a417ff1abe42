#include "functions.h"

#include <regex.h>

#include <cmath>
#include <new>

namespace gradus::results {

void Area::add(double step, double value) {
  if (std::isnan(value)) return;
  if (count++ == 0) {
    first_step = step;
  } else {
    area += (step - last_step) * (value + last_value) / 2;
  }
  last_step = step;
  last_value = value;
}

double Area::mean_height() const {
  if (count == 0) return std::nan("");
  return last_step > first_step ? area / (last_step - first_step) : last_value;
}

namespace {

void free_pattern(void* pattern) {
  ::regfree(static_cast<regex_t*>(pattern));
  delete static_cast<regex_t*>(pattern);
}

void regexp(sqlite3_context* context, int, sqlite3_value** arguments) {
  if (sqlite3_value_type(arguments[1]) != SQLITE_TEXT) return sqlite3_result_null(context);
  auto* pattern = static_cast<regex_t*>(sqlite3_get_auxdata(context, 0));
  const bool fresh = pattern == nullptr;
  if (fresh) {  // compiled once for a statement whose pattern is constant
    const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(arguments[0]));
    pattern = new (std::nothrow) regex_t;  // no exception may cross SQLite
    if (pattern == nullptr) return sqlite3_result_error_nomem(context);
    const int code = ::regcomp(pattern, text != nullptr ? text : "", REG_EXTENDED | REG_NOSUB);
    if (code != 0) {
      char reason[100];
      ::regerror(code, pattern, reason, sizeof reason);
      delete pattern;
      char* message = sqlite3_mprintf("bad regular expression '%s'; got %s", text != nullptr ? text : "", reason);
      message != nullptr ? sqlite3_result_error(context, message, -1) : sqlite3_result_error_nomem(context);
      return sqlite3_free(message);
    }
  }
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(arguments[1]));
  sqlite3_result_int(context, ::regexec(pattern, text, 0, nullptr, 0) == 0);
  if (fresh) sqlite3_set_auxdata(context, 0, pattern, free_pattern);
}

void auc_step(sqlite3_context* context, int, sqlite3_value** arguments) {
  auto* area = static_cast<Area*>(sqlite3_aggregate_context(context, sizeof(Area)));  // zeroed at first
  if (area == nullptr || sqlite3_value_type(arguments[1]) == SQLITE_NULL) return;
  area->add(sqlite3_value_double(arguments[0]), sqlite3_value_double(arguments[1]));
}

void auc_final(sqlite3_context* context) {
  const auto* area = static_cast<const Area*>(sqlite3_aggregate_context(context, 0));
  if (area == nullptr || area->count == 0) return sqlite3_result_null(context);
  sqlite3_result_double(context, area->mean_height());
}

}  // namespace

void add_functions(sqlite3* database) {
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
  sqlite3_create_function_v2(database, "regexp", 2, kFlags, nullptr, regexp, nullptr, nullptr, nullptr);
  sqlite3_create_function_v2(database, "auc", 2, kFlags, nullptr, nullptr, auc_step, auc_final, nullptr);
}

}  // namespace gradus::results
