// The names of metrics and parameters that a store has, and which of them somebody means.
#pragma once

#include <string>
#include <vector>

#include "store/store.h"

namespace gradus::results {

// The metric that `name` means: itself, or the only one that differs in / . - and _. Error (usage, `where: …`) with
// the nearest name when there is none. A different name is told in `notes` (may be null).
std::string resolve_metric(Store& store, const std::string& name, const std::string& where,
                           std::vector<std::string>* notes);
std::vector<std::string> metric_names(Store& store);  // of all runs, sorted
std::vector<std::string> param_names(Store& store);

// The only one of `known` that is `name` but for its separators (val/acc, val.acc, val-acc, val_acc), or "".
std::string loosely(const std::string& name, const std::vector<std::string>& known);

// The word of `known` with the smallest edit distance to `word` in any case of letters, else one that begins with it or
// ends in it after a slash, or "" when none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace gradus::results
