// The reading commands as data: what `gradus runs`, `show` and `compare` print, without the printing. They read
// summaries, never scan metrics, except steps-to-threshold, which walks a curve of each run that reached it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "store.h"

namespace gradus::results {

using Json = nlohmann::ordered_json;

// NaN and NULL become null; infinities, which JSON does not know, become the texts "inf" and "-inf".
Json to_json(double value);
Json to_json(const Cell& cell);
Json to_json(const Rows& rows);  // array of objects

struct RunFilter {
  std::string where = {};  // where.h; empty: all runs
  int limit = 0;           // the newest n; 0: all
  bool last = true;        // with the last value of every metric
  bool children = false;   // also runs that other runs started (teachers)
};

// [{id, uid, name, kind, status, seed, started, ended, seconds, parent, config_hash, device, step, error, params: {…},
// last: {metric: value}}], oldest first.
Json list_runs(Store& store, const RunFilter& filter);
// {every column of runs, folder, params: {…}, progress: {…} or null, summaries: [{key, last, …}], events: [{step, time,
// kind, name, detail}],
//  children: [{id, name, kind, status}], sources: [{path, sha256, bytes}], artifacts: [{kind, path, sha256, bytes}]}
Json show_run(Store& store, const std::string& run);

struct Threshold {
  std::string key;
  bool at_least = true;  // key>=value, else key<=value
  double value = 0;
};
Threshold parse_threshold(const std::string& text);  // "val/acc>=0.9"

struct CompareOptions {
  RunFilter filter = {};
  std::vector<std::string> by = {};  // parameters, or name; empty: every parameter but the seed, strategy first
  std::vector<std::string> metrics =
      {};  // empty: the runs' result/* keys, else val/acc, else every val/* key, else train/loss
  std::optional<Threshold> threshold = {};
  bool unfinished = false;  // also runs that are not finished
};
// {by: [columns], metrics: [{key, better}], threshold: {key, op, value} or null, groups: [{label: {column: value}, n,
// runs: [id], seeds: [seed],
//   repeated, mixed: [parameters that differ within], metrics: {key: {last: {n, mean, sd}, best: {n, mean, sd, value,
//   run}}}, steps_to: {n, reached, mean, sd}}]}
// Without `by` runs are one group when they differ in nothing but the seed: code (config_hash), name and parameters. A
// repetition of one configuration and seed is counted once, the newest (`repeated` says how many were left out): it
// says nothing about spread. sd is the sample standard deviation (n − 1), null for n < 2. NaN takes no part; n says how
// many did.
Json compare(Store& store, const CompareOptions& options);

// Mean and sample standard deviation of the numbers that are not NaN.
struct Spread {
  int n = 0;
  double mean, sd;
};
Spread spread(const std::vector<double>& values);
// Whether less of a metric is better, by its name (loss, kl, seconds, …).
bool lower_is_better(const std::string& key);

}  // namespace gradus::results
