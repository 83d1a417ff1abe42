#include "columns.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "direction.h"
#include "where.h"

namespace gradus::results {

void add_columns(Store& store, Json& runs, const std::vector<std::string>& columns) {
  Json ids = Json::array();
  std::unordered_map<std::int64_t, Json*> place;
  for (Json& run : runs) {
    ids.push_back(run["id"]);
    place[run["id"].get<std::int64_t>()] = &run;
    run["columns"] = Json::object();
  }
  for (const std::string& column : columns) {
    Value value = parse_value(store, column);
    value.args.emplace_back(ids.dump());
    const std::string here = "?" + std::to_string(value.args.size());
    const Rows rows = store.query("SELECT r.id, " + value.sql + ", " + value.present + ", " +
                                      (value.boolean.empty() ? "0" : value.boolean) +
                                      " FROM runs r WHERE r.id IN (SELECT " + "value FROM json_each(" + here + "))",
                                  value.args);
    for (const auto& row : rows.rows) {
      if (row[2] != Cell(std::int64_t{1})) continue;
      Json one = to_json(row[1]);
      if (row[3] == Cell(std::int64_t{1})) one = one != 0;
      (*place.at(std::get<std::int64_t>(row[0])))["columns"][column] = std::move(one);
    }
  }
}

namespace {

// Infinities are texts in JSON.
Json order_of(const Json& value) {
  if (value == "inf") return HUGE_VAL;
  return value == "-inf" ? Json(-HUGE_VAL) : value;
}

}  // namespace

void sort_runs(Store& store, Json& runs, const std::string& column, bool reverse) {
  const Value value = parse_value(store, column);
  const bool best_is_high = !value.metric.empty() && direction(store, value.metric).better == Better::higher;
  const bool descending = best_is_high != reverse;
  const auto of = [&](const Json& run) {
    return run["columns"].contains(column) ? order_of(run["columns"][column]) : Json();
  };
  std::stable_sort(runs.begin(), runs.end(), [&](const Json& a, const Json& b) {
    const Json x = of(a), y = of(b);
    if (x.is_null() || y.is_null()) return !x.is_null() && y.is_null();  // last, either way
    if (x.is_number() != y.is_number()) return x.is_number();
    return descending ? y < x : x < y;
  });
}

Json list_sorted(Store& store, RunFilter filter, const std::string& column, bool reverse) {
  const auto limit =
      static_cast<std::size_t>(std::exchange(filter.limit, 0));  // the first of the order, not the newest
  Json runs = list_runs(store, filter);
  add_columns(store, runs, {column});
  sort_runs(store, runs, column, reverse);
  if (limit > 0 && runs.size() > limit) runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(limit), runs.end());
  return runs;
}

}  // namespace gradus::results
