// Several stores into one, such as those of a cluster's nodes.
#pragma once

#include "query/query.h"

namespace gradus::results {

// Copies every run of `from` that is over, with its rows, sources and folder, into `into` (opened to write). Runs are
// known by uid, so that merging twice changes nothing: {from, added, updated, present, running}. updated: a run that
// went on in `from` after it was merged (it ended later) replaces the copy; running: left for the next merge. Tags are
// united, `into` wins; a note or an archive mark is taken where `into` has none. One transaction a run; a merge that is
// cut short is finished by the next one. Run ids are new: they count runs within one store.
// Error (usage): both are one file.
Json merge(Store& into, Store& from);

}  // namespace gradus::results
