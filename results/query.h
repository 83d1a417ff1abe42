// The reading commands as data: what `gradus runs`, `show` and `compare` print, without the printing. They read summaries,
// never scan metrics, except steps-to-threshold, which walks one curve per run.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "store.h"

namespace gradus::results {

using Json = nlohmann::ordered_json;

// NaN and NULL become null; infinities, which JSON does not know, become the strings "inf" and "-inf".
Json to_json(const Cell& cell);
Json to_json(const Rows& rows);  // array of objects

struct RunFilter {
  std::string where;  // expression of where.h; empty: all runs
  int limit = 0;      // newest n; 0: all
  bool children = false;  // also runs that other runs started (teachers)
};

// [{id, uid, name, status, strategy?, seed, started, seconds, step, params: {…}, result: {key: value}}], newest last.
Json list_runs(Store& store, const RunFilter& filter);
// {run columns…, params, summaries: [{key,last,min,…}], events: […], sources: […], artifacts: […], progress}
Json show_run(Store& store, const std::string& run);

struct Threshold {
  std::string key;
  bool at_least = true;  // key>=value, else key<=value
  double value = 0;
};
Threshold parse_threshold(const std::string& text);  // "val/acc>=0.9"

struct CompareOptions {
  RunFilter filter;
  std::string by;                    // parameter; empty: strategy if any run has it, else name
  std::vector<std::string> metrics;  // empty: the runs' result/* keys, else val/acc, else every val/* key
  std::optional<Threshold> threshold;
};
// {by, metrics, threshold?, groups: [{group, params, n, seeds, runs, metrics: {key: {n, mean, sd, last…, best…}}, steps_to: {n, reached, mean, sd}}]}
// sd is the sample standard deviation (n − 1), null for n = 1. Runs group by every parameter but the seed; finished runs only.
Json compare(Store& store, const CompareOptions& options);

}  // namespace gradus::results
