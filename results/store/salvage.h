// What can be saved of a damaged store: `gradus doctor --salvage`.
#pragma once

#include <string>

#include "query/query.h"

namespace gradus::results {

// Every row of `path` that is whole, wherever its page lies, as a new store at `into`; `path` and its WAL are only
// read. Rows whose run or metric is lost keep the data under a name in their stead, and summaries that are lost are
// counted anew. {path, into, rows: {table: count}, runs: [names in their stead], keys: [likewise], curves, values,
// sources, strays}: curves that lack values (that many, by their summaries), texts that are not what their hash says,
// and rows of no run that there ever was. Error: data (no row of a store in it), usage (`into` is there), io (a run is
// at work, the disk).
Json salvage(const std::string& path, const std::string& into);

}  // namespace gradus::results
