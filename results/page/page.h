// What the page of `gradus serve` asks, answered: assets, JSON and binary curves. Knows nothing of HTTP; the host puts
// sockets, token and headers around it. Reads only, in statements of at most a second each.
//
//   /api/runs?where=&runs=&children=&archived=&metrics=&facts=&since=&watch=   the table; since and watch: only rows
//                                                       that may have changed
//   /api/run?run=&event=                                one run; event: only events after that id
//   /api/source?sha256=   /api/log?run=&from=   /api/artifact?run=&path=
//   /api/curves?runs=&keys=&from=&to=&columns=&after=   page_curves.cpp; after: one step, or one for each key
//   /api/bands?key=&runs=&by=&columns=&axis=            mean and confidence over the runs of each group
//   /api/axis?axis=&runs=                               where steps lie: progress of each run; epoch, samples, …
//   /api/stages?runs=                                   where each run's stages begin, what was decided, where it was forked
//   /api/lineage?run=                                   the runs that began as one with it (lineage.h)
//   /api/compare?runs=&by=&metrics=&versus=   /api/diff?a=&b=
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "query/query.h"
#include "store/store.h"

namespace gradus::results {

struct Answer {
  int status = 200;
  std::string type = {};
  std::string body = {};
  int file = -1;  // when >= 0 the body is this open file, which the receiver takes and closes
  std::int64_t bytes = 0;
};

class Page {
 public:
  explicit Page(std::shared_ptr<Store> store) : store_(std::move(store)) {}
  // Never throws: what is asked wrongly is a 400 with {"error": text}, what is not there a 404, no memory a 503.
  Answer get(const std::string& path, const std::map<std::string, std::string>& query);

 private:
  std::shared_ptr<Store> store_;
};

// One request's parameters, checked. Errors (usage) name the parameter.
class PageQuery {
 public:
  explicit PageQuery(const std::map<std::string, std::string>& values) : values_(values) {}
  std::string text(const std::string& name) const;  // "" when absent
  std::string required(const std::string& name) const;
  std::int64_t integer(const std::string& name, std::int64_t fallback, std::int64_t low, std::int64_t high) const;
  bool has(const std::string& name) const { return !text(name).empty(); }
  std::vector<std::string> list(const std::string& name, std::size_t longest) const;  // a,b,c
  std::vector<std::int64_t> ids(const std::string& name, std::size_t longest, std::int64_t low = 0) const;

 private:
  const std::map<std::string, std::string>& values_;  // borrowed
};

// The parts. Each throws Error.
std::string page_runs(Store& store, const PageQuery& query);  // JSON
Json page_run(Store& store, const PageQuery& query);
Json page_log(Store& store, const PageQuery& query);
Answer page_artifact(Store& store, const PageQuery& query);
std::string page_curves(Store& store, const PageQuery& query);
Json page_bands(Store& store, const PageQuery& query);
Json page_compare(Store& store, const PageQuery& query);
Json page_axis(Store& store, const PageQuery& query);
Json page_stages(Store& store, const PageQuery& query);

// Opens a file below `folder` for reading; -1 when there is none, when it is no plain file, or when any part of `path`
// leads out of the folder or is a link (openat2). The caller closes it.
int open_beneath(const std::string& folder, const std::string& path);
// A file of results/page/ or D3, by name ("app.js", "d3.min.js"); empty when there is none.
std::string_view page_asset(const std::string& name);

}  // namespace gradus::results
