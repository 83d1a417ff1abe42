#include "import.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "error.h"
#include "store/clock.h"
#include "store/database.h"
#include "store/run_rows.h"
#include "store/sha256.h"
#include "store/uid.h"
#include "utf8.h"

namespace gradus::results {

namespace {

constexpr std::size_t kMostMetrics = 20'000;  // of one run; more are a mistake

// A hash over texts of any total length, in pieces.
class Digest {
 public:
  void add(std::string_view bytes) {
    buffer_ += bytes;
    if (buffer_.size() > (1 << 16)) fold();
  }
  std::string text() {
    fold();
    return hash_;
  }

 private:
  void fold() {
    hash_ = sha256(hash_ + buffer_);
    buffer_.clear();
  }
  std::string hash_, buffer_;
};

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string fields_of(const ImportedRun& run) {
  Json params = Json::array(), tags = Json::array();
  for (const Param& param : run.params) {
    const ParamRow row = param_row(param);
    params.push_back({param.key, row.type, to_json(row.value)});
  }
  for (const auto& [name, value] : run.tags) tags.push_back({name, value});
  return dump(Json({run.name, run.status, run.script, run.git_commit, run.note, iso_time(run.started),
                    iso_time(run.ended), params, tags}));
}

// What the points of a run are, before one of them is written.
struct Found {
  Digest digest = {};
  Json renamed = Json::object();  // metrics whose key is another
  std::map<std::string, std::int64_t> numbered =
      {};                // metrics that were logged several times without a step: the next one's number
  bool stepped = false;  // there are others
  std::int64_t values = 0;
  double first = std::numeric_limits<double>::infinity(), last = -first;  // Unix seconds
};

Found look_through(const std::function<void(const PointSink&)>& points, KeyNames& names) {
  Found found;
  struct Steps {
    std::int64_t points = 0;
    bool zero = true;  // all of them: what other tools make of no step
  };
  std::map<std::string_view, Steps> keys;
  points([&](const std::string& metric, std::int64_t step, double time, double value) {
    const std::string& key = names.key(metric);
    if (key != metric) found.renamed[key] = utf8(metric);
    Steps& steps = keys[key];
    ++steps.points;
    steps.zero = steps.zero && step == 0;
    if (keys.size() > kMostMetrics)
      throw Error(Exit::data,
                  "import: expected at most " + std::to_string(kMostMetrics) + " metrics in a run; got more");
    found.digest.add(key);
    for (const std::string_view part : {bytes_of(step), bytes_of(time), bytes_of(value)}) found.digest.add(part);
    // Years 1970 to 9999: what the columns for times can say.
    if (time > 0 && time < 253402300800.0)
      found.first = std::min(found.first, time), found.last = std::max(found.last, time);
    ++found.values;
  });
  for (const auto& [key, steps] : keys) {
    if (steps.zero && steps.points > 1) found.numbered.emplace(key, 0);
    found.stepped = found.stepped || !steps.zero;
  }
  return found;
}

void fill_times(ImportedRun& run, const Found& found) {
  if (!std::isfinite(run.started)) run.started = std::isfinite(found.first) ? found.first : run.fallback;
  if (!std::isfinite(run.started)) run.started = std::isfinite(run.ended) ? run.ended : unix_seconds();
  if (!std::isfinite(run.ended))
    run.ended = std::max(std::isfinite(found.last) ? found.last : run.started, run.started);
}

}  // namespace

std::string Importer::uid_of(const std::string& identity) const {
  // One that was exported from this store has the uid that it has here.
  if (is_uid(identity) && !store_.query("SELECT 1 FROM runs WHERE uid = ?1", {identity}).rows.empty()) return identity;
  return sha256(tool_ + '\0' + identity).substr(0, 32);
}

void Importer::set_parent(const std::string& child, const std::string& parent) {
  const std::string below = uid_of(child), above = uid_of(parent);
  const Rows rows =
      store_.query("SELECT c.id, p.id, c.parent FROM runs c, runs p WHERE c.uid = ?1 AND p.uid = ?2", {below, above});
  if (rows.rows.empty() || below == above) return;
  ++done_.children;
  if (rows.rows[0][2] == rows.rows[0][1]) return;
  store_.write([&](Database& database) {
    database.prepare("UPDATE runs SET parent = ?2 WHERE id = ?1")
        .bind(1, rows.rows[0][0])
        .bind(2, rows.rows[0][1])
        .run();
  });
}

void Importer::add(ImportedRun& run, const std::function<void(const PointSink&)>& points) {
  // A run that was exported from this store.
  if (is_uid(run.uid) && !store_.query("SELECT 1 FROM runs WHERE uid = ?1", {run.uid}).rows.empty()) {
    ++done_.unchanged;
    return;
  }
  Found found = look_through(points, names_);
  fill_times(run, found);
  found.digest.add(fields_of(run));

  const std::string uid = uid_of(run.identity);
  std::int64_t old = 0;
  std::string was;
  for (const auto& row :
       store_
           .query("SELECT id, (SELECT json_extract(detail, '$.digest') FROM events WHERE run_id = r.id AND "
                  "kind = 'import' AND json_valid(detail)) FROM runs r WHERE uid = ?1",
                  {uid})
           .rows) {
    old = std::get<std::int64_t>(row[0]);
    if (const auto* text = std::get_if<std::string>(&row[1])) was = *text;
  }
  Json detail = {{"tool", tool_}, {"digest", found.digest.text()}, {"source", run.source}};
  if (!found.renamed.empty()) detail["renamed"] = found.renamed;
  if (old != 0 && was == detail["digest"]) {
    ++done_.unchanged;
    return;
  }
  for (const auto& [key, next] : found.numbered) detail["numbered"].push_back(key);
  done_.numbered += static_cast<std::int64_t>(found.numbered.size());
  ImportedRows rows(store_, run, uid);
  rows.begin(old);
  points([&](const std::string& metric, std::int64_t step, double time, double value) {
    const std::string& key = names_.key(metric);
    const auto numbered = found.numbered.find(key);
    if (numbered == found.numbered.end()) return rows.point(key, step, time, value);
    // Beside metrics with steps a number is none of theirs, and says nothing of when they were.
    rows.point(key, numbered->second++, found.stepped ? std::numeric_limits<double>::quiet_NaN() : time, value);
  });
  rows.end(tool_, detail);
  const Rows kept = store_.query(
      "SELECT coalesce(sum(count), 0) FROM summary_values WHERE run_id = (SELECT id FROM runs WHERE uid = ?1)", {uid});
  done_.replaced += found.values - std::get<std::int64_t>(kept.rows[0][0]);
  done_.values += found.values;
  ++(old != 0 ? done_.updated : done_.added);
}

double changed_at(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<double>(info.st_mtime)
                                          : std::numeric_limits<double>::quiet_NaN();
}

Param typed_param(std::string key, const std::string& text) {
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, integer);
      error == std::errc() && at == end && !text.empty())
    return {std::move(key), integer};
  double number = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, number);
      error == std::errc() && at == end && !text.empty() && std::isfinite(number))
    return {std::move(key), number};
  if (text == "True" || text == "true") return {std::move(key), true};
  if (text == "False" || text == "false") return {std::move(key), false};
  if (text == "None") return {std::move(key), std::monostate()};
  return {std::move(key), text};
}

}  // namespace gradus::results
