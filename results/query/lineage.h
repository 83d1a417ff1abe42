// Where runs come from: `gradus fork` makes a run that was another one until a step. The store's view `forks` has who of
// whom; this tells what was changed there, and what two runs share.
#pragma once

#include <cstdint>
#include <string>

#include "query.h"

namespace gradus::results {

// FORK: {run, origin, uid, step, set: {parameter: value}, scripts: [path]}
// run was `origin` up to and with `step`; origin: null where the store has it no more, uid: its uid; set: what --set
// said; scripts: sources that differ from what the origin had at that step.

// How the run began as a fork: FORK, or null.
Json origin_of(Store& store, std::int64_t run);
// What was forked off the run: [FORK with name and status], by id.
Json forks_of(Store& store, std::int64_t run);
// The nearest run whose past both are: {run, uid, step, a: [FORK], b: [FORK]}, the forks that lead from each of the two
// to it, their own first (none for the run itself); null: they share none. Up to `step` both have the same rows.
Json common_past(Store& store, std::int64_t a, std::int64_t b);

// All runs that began as one: [{run, name, status, kind, origin, depth, from, to, text}], each before its forks. From the
// oldest that the store has; kind: "attempt" for what a resumed run did twice, whose origin is that run. from, to: the
// steps that are its own (of a fork: after its origin's); null: none. text: change_text(). At most `most`, this run among them.
Json family_of(Store& store, std::int64_t run, std::size_t most = 60);

// "T=8 and another script, other.lua"; "" where nothing was changed.
std::string change_text(const Json& fork);
// "a fork of run 1 at step 300, with T=8 and another script, other.lua"
std::string fork_text(const Json& fork);
// "run 3 is a fork of run 1 at step 300, with T=8; until then the same"
std::string common_past_text(const Json& common);

}  // namespace gradus::results
