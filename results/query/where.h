// `--where EXPR` of the reading commands, of g.runs { where = … } in Lua, and of the page.
//
//   strategy == 'ramp' and (lr > 1e-3 or seed < 3) and best(val/acc) > 0.9
//   name in ('digits', 'letters') and status != 'failed' and not (note ~ 'wrong|broken')
//   at(val/acc, 1000) >= 0.8 and tags.paper == 'yes' and optimizer.beta == nil
//
//   expr    = expr or expr | expr and expr | not expr | ( expr ) | value OP value | value [not] in (literal, …)
//   OP      = == (or =), != (or ~=, <>), < <= > >=, like (SQL's % and _), ~ (POSIX extended regular expression), !~
//   value   = number | 'text' | "text" | true | false | nil | NAME | params.NAME | tags.NAME | FUNCTION(METRIC)
//   FUNCTION: last, best, min, max, argmin, argmax, count, nans, first, auc, at(METRIC, STEP)
//
// NAME is a column of runs (id, name, status, seed, seconds, note, archived, …), a parameter, or what a run has come to:
// step, epoch, samples, flops, and origin, the run that it is a fork of; params.NAME is always
// the parameter (params."NAME" where it has odd characters). Numbers compare as numbers: an order between a number and
// a text holds for no run. A run that lacks the value fails every comparison but `== nil`,
// and so passes `not` of one. NaN is a value as IEEE 754 has it: it is not nil, unequal to every number, and fails
// every other comparison; nans(METRIC) > 0 finds it. best is the least or the greatest value, as direction.h says, and
// an error where that is unknown; at is the last value logged up to that step; auc is divided by the span of steps
// (functions.h). A METRIC may be quoted; val_acc means val/acc where no metric has the first name and one only fits.
// Every literal is bound, none is ever SQL.
#pragma once

#include <string>
#include <vector>

#include "store/store.h"

namespace gradus::results {

struct Condition {
  std::string sql;                      // over `runs r`
  std::vector<Cell> args = {};          // of ?1, ?2, …
  std::vector<std::string> notes = {};  // what the reader was taken to mean: "val_acc: read as the metric val/acc"
  bool archived = false;                // it speaks of archived runs, so they are not left out
};

// Error (usage) with the place in the text; a name that no run has names the nearest one. Empty text: always true.
Condition parse_where(Store& store, const std::string& text);

// One value of that grammar, for a column: also METRIC alone, which is last(METRIC). Errors as above, with `text` as
// the place.
struct Value {
  std::string sql, present;     // over `runs r`; present: whether a run has it, where NULL may also be NaN
  std::string boolean = {};     // whether it is true or false, which SQL has as 1 and 0; "": it never is
  std::vector<Cell> args = {};  // of ?1, ?2, …
  std::string metric = {};      // whose value it is, where less or more may be better
};
Value parse_value(Store& store, const std::string& text);

}  // namespace gradus::results
