// What is different between two runs, and where their curves part.
#pragma once

#include "query.h"

namespace gradus::results {

// {a: {id, uid, name}, b: {…}, same_code, lineage: what common_past() says (lineage.h), or null,
//  params: [{key, a, b}], environment: [{key, a, b}] (script, command, device, threads, host, git commit, versions.*),
//  data: [{key, a, b}] (fingerprints of the data sets, from events of the kind "data"),
//  sources: [{path, a: sha256 or null, b, diff: unified text}] (script, user modules, and the uncommitted git diff),
//  schedule: {stages: {a: [{step, name}], b}, decisions: {a: [{step, name}], b}, same, knobs: [{key, step, a, b}]},
//  metrics: [{key, step, a, b, last_a, last_b}] (shared metrics that part, earliest first), identical: [key],
//  parts: {step, key, a, b} or null, before: {a: event or null, b: …}}
// Only what differs is listed. A null in a pair: this run has no such thing. Curves part at the first step that both
// logged with values that are not exactly equal (NaN equals NaN). Metrics of wall-clock time never agree and are left
// out. before: the last stage or decision of each run at or before the step where they part: {step, kind, name,
// detail}. a, b: RUN of the command line (store.h).
Json diff_runs(Store& store, const std::string& a, const std::string& b);

}  // namespace gradus::results
