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
Json to_json(const Rows& rows);  // array of objects

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
// archived, tags: {name: value}, params: {…}, last: {metric: value}}], oldest first.
Json list_runs(Store& store, const RunFilter& filter);
// {every column of runs, folder, tags: {…}, params: {…}, progress: {…} or null, summaries: [{key, last, …}], events:
// [{step, time, kind, name, detail}],
//  children: [{id, name, kind, status}], sources: [{path, sha256, bytes}], artifacts: [{kind, path, sha256, bytes}]}
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

struct CompareOptions {
  RunFilter filter = {};
  std::vector<std::string> by = {};  // parameters, or name; empty: every parameter but the seed, strategy first
  std::vector<std::string> metrics =
      {};  // empty: the runs' result/* keys, else val/acc, else every val/* key, else train/loss
  std::optional<Threshold> threshold = {};
  std::optional<Budget> at = {};
  bool auc = false;
  std::string ci = {};      // confidence intervals of the means: "t", "bootstrap", or none
  double level = 0.95;      // of intervals and verdicts
  std::string versus = {};  // the baseline group: a value of one of its columns, or COLUMN=VALUE
  bool unfinished = false;  // also runs that are not finished
};
// {by: [columns], metrics: [{key, better, source}], threshold: {key, op, value} or null, at: {axis, value} or null,
//  groups: [{label: {column: value}, n, runs: [id], seeds: [seed], repeated, mixed: [parameters that differ within],
//   metrics: {key: {last: SPREAD, best: SPREAD + {value, run}, curve[, at: SPREAD][, auc: SPREAD]}},
//   steps_to: SPREAD + {reached} or null[, samples_to, flops_to, seconds_to]}], versus: VERSUS or null}
// better: higher, lower or null; source of it: said, name (direction.h) or null. Where it is null, best has no values
// and a verdict is "open: which way is better?".
//
// SPREAD = {n, mean, sd[, low, high]}: sd is the sample standard deviation (n − 1), null for n < 2; NaN takes no part,
// n says how many did; low and high are the confidence interval of the mean, where `ci` asks for one.
//
// Without `by` runs are one group when they differ in nothing but the seed: code (config_hash), name and parameters. A
// repetition of one configuration and seed is counted once, the newest (`repeated` says how many were left out): it
// says nothing about spread.
//
// last: the value at the run's last step. best: its least or greatest value. at: the last value that was logged before
// the budget was spent; a run that ended earlier keeps its last. auc: functions.h. *_to: what the run had spent when it
// first reached the threshold, between two rows of `progress` in proportion.
//
// VERSUS = {column, value, level, comparisons: [{group, baseline, (indices into groups) metric, measure, pairs, seeds,
//  mean, sd, low, high, t, p, p_holm, wilcoxon_p, effect, seeds_needed, verdict}]}: differences group − baseline of the
// runs that share a seed, averaged where a seed has several; low and high by Student's t; p_holm is corrected over the
// groups of one measure; effect is mean / sd; seeds_needed is how many pairs find an effect of this size in 80 % of
// studies (null: none will); verdict is better, worse or open, by p_holm and 1 − level.
Json compare(Store& store, const CompareOptions& options);

}  // namespace gradus::results
