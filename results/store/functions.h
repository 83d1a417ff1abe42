// What Gradus adds to SQLite's functions on the connection that reads: `gradus sql` and --where may use them.
//
//   x REGEXP pattern      POSIX extended regular expression, found anywhere in the text; NULL when x is no text
//   auc(step, value)      aggregate: area under the curve by trapezoids, divided by the span of the steps, so that it
//   is
//                         in the value's unit. NULL values are left out; one point is its value
#pragma once

#include <sqlite3.h>

namespace gradus::results {

void add_functions(sqlite3* database);

// Running area under one curve; rows in the order of steps.
struct Area {
  double first_step = 0, last_step = 0, last_value = 0, area = 0;
  long long count = 0;
  void add(double step, double value);
  double mean_height() const;  // NaN without a point
};

}  // namespace gradus::results
