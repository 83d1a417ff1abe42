// A run of another tool, and its rows in the store.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "query/query.h"
#include "store/store.h"

namespace gradus::results {

struct ImportedRun {
  std::string identity;     // what makes it the same run the next time
  std::string parent = {};  // identity of the run that it is a part of
  std::string uid = {};  // 32 hex digits when the source has them: a run of this store that was exported is not doubled
  std::string name = {};
  std::string status = "finished";
  double started = std::numeric_limits<double>::quiet_NaN(), ended = started;  // Unix seconds; NaN: from the points
  double fallback = std::numeric_limits<double>::quiet_NaN();                  // `started` where these say nothing
  std::string script = {}, git_commit = {}, note = {};
  std::vector<Param> params = {};
  std::vector<std::pair<std::string, std::string>> tags = {};
  Json source = Json::object();  // for the detail of the event
};

// Between the first and the last transaction the run is there as an interrupted one without its event, so a run whose
// import was killed is written again the next time.
class ImportedRows {
 public:
  ImportedRows(Store& store, const ImportedRun& run, std::string uid)
      : store_(store), run_(run), uid_(std::move(uid)) {}

  void begin(std::int64_t old);  // old: its id from an import before, whose rows go; 0: none
  void point(const std::string& key, std::int64_t step, double time, double value);
  void end(const std::string& tool, const Json& detail);  // detail: of the run's event

 private:
  struct Point {
    std::int64_t key, step;
    double time, value;
  };
  std::int64_t key_id(const std::string& key);
  void flush();
  void summarize(Database& database, std::int64_t key);

  Store& store_;            // borrowed
  const ImportedRun& run_;  // borrowed
  std::string uid_;
  std::int64_t id_ = 0;
  std::map<std::string, std::int64_t> ids_;
  std::vector<Point> points_;
};

}  // namespace gradus::results
