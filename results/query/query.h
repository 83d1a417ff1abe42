// The reading commands as data: what `gradus runs`, `show` and `compare` print, without the printing. They read
// summaries, never scan metrics, except thresholds and areas, which walk a curve of each run.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "statistics.h"
#include "store/store.h"

namespace gradus::results {

using Json = nlohmann::ordered_json;

// NaN and NULL become null; infinities, which JSON does not know, become the texts "inf" and "-inf".
Json to_json(double value);
Json to_json(const Cell& cell);
Json to_json(const Rows& rows);       // array of objects
std::string dump(const Json& value);  // on one line, whatever bytes its texts have

struct RunFilter {
  std::string where = {};  // where.h; empty: all runs
  int limit = 0;           // the newest n; 0: all
  // Only these parameters, and last values of these metrics; unset: all.
  std::optional<std::vector<std::string>> params = {}, metrics = {};
  bool children = false;                      // also runs that other runs started (teachers)
  bool archived = false;                      // also archived runs; a `where` that speaks of them does the same
  std::vector<std::string>* notes = nullptr;  // borrowed: takes what `where` was taken to mean, for the reader
};

// [{id, uid, name, kind, status, seed, started, ended, seconds, parent, config_hash, device, step, error, note,
// archived, origin (whose fork it is), tags: {name: value}, params: {…}, last: {metric: value}}], oldest first.
Json list_runs(Store& store, const RunFilter& filter);
// {every column of runs, folder, tags: {…}, params: {…}, progress: {…} or null, summaries: [{key, last, …}], events:
// [{step, time, kind, name, detail}],
//  stages: stages.h, children: [{id, name, kind, status, from, to}], origin, forks: lineage.h, sources: [{path, sha256, bytes}], artifacts: [{kind, path, …}]}
Json show_run(Store& store, const std::string& run);

struct Threshold {
  std::string key;
  bool at_least = true;  // key>=value, else key<=value
  double value = 0;
};
Threshold parse_threshold(const std::string& text);  // "val/acc>=0.9"

// A budget that runs are compared at: "step=1000", "samples=50000", "flops=1e12", "seconds=60".
struct Budget {
  std::string axis;  // step, samples, flops or seconds
  double value = 0;
};
Budget parse_budget(const std::string& text);

// The largest difference of a metric that does not matter.
struct Margin {
  std::string key;  // empty: of every metric
  double value = 0;
};
Margin parse_margin(const std::string& text);  // "0.01" or "val/acc=0.01"

struct CompareOptions {
  RunFilter filter = {};
  // Parameters, params.NAME, tags.NAME, columns of runs; empty: every parameter but the seed, strategy first.
  std::vector<std::string> by = {};
  std::vector<std::string> metrics =
      {};  // empty: the runs' result/* keys, else val/acc, else every val/* key, else train/loss
  std::optional<Threshold> threshold = {};
  std::optional<Budget> at = {};
  bool auc = false;
  std::string ci = {};      // confidence intervals of the means: "t", "bootstrap", or none
  double level = 0.95;      // of intervals and verdicts
  std::string versus = {};  // the baseline group: a value of one of its columns, or COLUMN=VALUE[,COLUMN=VALUE…]
  std::vector<Margin> margins = {};  // the last that fits counts
  bool unfinished = false;           // also the values of runs that are not finished
  bool running = false;              // also those of runs that still run; where all were lost, what these came to
};
// {by: [columns], metrics: [{key, better, source}], threshold: {key, op, value} or null, at: {axis, value} or null,
//  groups: [{label: {column: value}, n, total, runs: [id], seeds: [seed], lost: [{run, seed, status, error}], repeated,
//   mixed: [parameters that differ within],
//   metrics: {key: {last: SPREAD, best: SPREAD + {value, run}, curve, diverged, missing[, at: SPREAD][, auc: SPREAD]}},
//   steps_to: SPREAD + {reached[, unknown]} or null[, samples_to, flops_to, seconds_to]}], outdated, versus: VERSUS or null}
// better: higher, lower or null; source of it: said, name (direction.h) or null. Where it is null, best has no values
// and a verdict is "open: which way is better?".
//
// A run that failed or was interrupted is an outcome without a value: it is among its group's `lost` and in `total`,
// not in `n`; so is its group where every run was lost. A value that is not finite diverged: it is in `diverged` and in
// no mean; `missing` are runs that never logged the metric. `outdated` counts lost runs of other code than that of the
// runs with their parameters, which are left out: what was mended since.
//
// SPREAD = {n, mean, sd[, low, high]}: sd is the sample standard deviation (n − 1), null for n < 2; n says how many
// values were finite; low and high are the confidence interval of the mean, where `ci` asks for one.
//
// Without `by` runs are one group when they differ in nothing but the seed: code (config_hash), name and parameters. A
// repetition of one configuration and seed is counted once, the newest (`repeated` says how many were left out): it
// says nothing about spread.
//
// last: the value at the run's last step. best: its least or greatest value. at: the last value that was logged before
// the budget was spent; a run that ended earlier keeps its last. auc: functions.h. *_to: what the run had spent when it
// first reached the threshold, between two rows of `progress` in proportion; unknown: of how many runs that got there
// no row tells it (imported ones).
//
// VERSUS = {column, value, level, comparisons: [{group, baseline, (indices into groups) metric, measure, pairs, seeds,
//  lost: {group, baseline, both}, mean, sd, low, high, t, test, p, p_holm, wilcoxon_p, effect, margin, p_equal,
//  seeds_needed, verdict}]}: differences group − baseline of the runs that share a seed, averaged where a seed has
// several; low and high by Student's t; effect is mean / sd. `lost` counts shared seeds where a side has no finite
// value. Where there are some, no t test holds: then p is that of the signs over all shared seeds, a loss being the
// worst outcome (test: signs, else t); wins and losses are those signs. p_equal is that of two one-sided t tests (TOST)
// for a difference within ± margin, null without one. p_holm is p corrected over the groups of one measure; so is
// p_equal. verdict, by these and 1 − level: "no difference" (within the margin), "better", "worse" or "open".
// seeds_needed is how many pairs will end that in 80 % of studies with such differences (null: no number will).
Json compare(Store& store, const CompareOptions& options);

}  // namespace gradus::results
