// Curves for the page. /api/curves answers in binary, little-endian, because 200 curves of JSON take a browser longer
// to parse than to draw:
//   uint32 length of a JSON text, the text, zeros up to a multiple of 8, then for every curve its steps and then its
//   values, as float64. The text: {from, to, curves: [{run, key, points}]}
// With `after` come only points past a step. That is what a page which stays open asks for again and again, and it must
// not cost the writers their time however fast they write: of a curve that has grown by more than 10,000 steps since,
// it sees glimpses, its head has "sampled": true, and the extremes are there when the whole is asked for again.
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "error.h"
#include "page.h"
#include "query/curves.h"
#include "query/downsample.h"
#include "query/lineage.h"
#include "query/stages.h"
#include "store/database.h"

namespace gradus::results {
namespace {

constexpr std::size_t kMostRuns = 1000;
constexpr double kSeconds = 1;  // of one statement
constexpr int kMostColumns = 4000;
constexpr int kGlimpses = 100;                // of a curve that grew, at most this many …
constexpr std::int64_t kGlimpsePoints = 100;  // … with so many points each: some 2 ms together

void append(std::string& out, double value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }

std::string where_ids(const std::vector<std::int64_t>& ids) {
  std::string where;
  for (const std::int64_t id : ids) where += (where.empty() ? "id in (" : ", ") + std::to_string(id);
  return where.empty() ? where : where + ")";
}

CompareOptions compare_options(Store& store, const PageQuery& query) {
  CompareOptions options;
  options.filter.where = where_ids(query.ids("runs", kMostRuns));
  options.filter.children = options.filter.archived = true;
  options.running = true;
  options.by = query.list("by", 20);
  return options;
}

// With one point outside on either side, so that lines run through the edges.
Points view(Store& store, const CurveRef& curve, const StepRange& range, int columns) {
  Downsampler down(range.from, range.to, columns);
  read_curve(store, curve, step_at_or_before(store, curve, range.from), INT64_MAX,
             [&](std::int64_t step, double value) {
               down.add(step, value);
               return step <= range.to;
             });
  return down.take();
}

bool grown(Store& store, const CurveRef& curve, const StepRange& range, int columns, Points& points) {
  Downsampler down(range.from, range.to, columns);
  const bool all = read_glimpses(store, curve, range.from, range.to, kGlimpses, kGlimpsePoints,
                                 [&](std::int64_t step, double value) { down.add(step, value); });
  points = down.take();
  return all;
}

}  // namespace

std::string page_curves(Store& store, const PageQuery& query) {
  const std::vector<std::int64_t> runs = query.ids("runs", kMostRuns);
  const std::vector<std::string> keys = query.list("keys", 200);
  if (runs.size() * keys.size() > 2000) throw Error(Exit::usage, "curves: expected at most 2000; got more");
  const int columns = static_cast<int>(query.integer("columns", 800, 1, kMostColumns));
  const std::vector<std::int64_t> after = query.ids("after", keys.size(), INT64_MIN);
  if (after.size() > 1 && after.size() != keys.size())
    throw Error(Exit::usage, "after: expected one step, or one for each key; got " + std::to_string(after.size()));
  std::vector<CurveRef> refs;
  for (const std::string& key : keys) {
    for (const std::int64_t run : runs) refs.push_back({run, key});
  }
  const StepRange all = step_range(store, refs);
  const std::int64_t from = query.integer("from", all.from, INT64_MIN, INT64_MAX);
  const std::int64_t to = query.integer("to", all.to, INT64_MIN, INT64_MAX);

  Json head = {{"from", all.from}, {"to", all.to}, {"curves", Json::array()}};
  std::string body;
  for (std::size_t i = 0; i < refs.size(); ++i) {
    Points points;
    if (after.empty()) {
      points = view(store, refs[i], {from, to}, columns);
    } else {
      const std::int64_t end = after[after.size() == 1 ? 0 : i / runs.size()];
      if (end < to && !grown(store, refs[i], {std::max(from, end + 1), to}, columns, points)) head["sampled"] = true;
    }
    if (points.steps.empty()) continue;
    head["curves"].push_back({{"run", refs[i].run}, {"key", refs[i].key}, {"points", points.steps.size()}});
    for (const std::int64_t step : points.steps) append(body, static_cast<double>(step));
    for (const double value : points.values) append(body, value);
  }
  const std::string text = head.dump();
  const auto length = static_cast<std::uint32_t>(text.size());
  std::string out(reinterpret_cast<const char*>(&length), sizeof length);
  out += text;
  out.append((8 - out.size() % 8) % 8, '\0');
  return out + body;
}

Json page_bands(Store& store, const PageQuery& query) {
  const std::string key = query.required("key");
  const int columns = static_cast<int>(query.integer("columns", 400, 1, kMostColumns));
  const Axis axis = axis_of(store, query.ids("runs", kMostRuns), query.has("axis") ? query.text("axis") : "step");
  CompareOptions options = compare_options(store, query);
  if (options.filter.where.empty()) throw Error(Exit::usage, "runs: missing");
  const Json compared = compare(store, options);
  Json groups = Json::array();
  for (const Json& group : compared["groups"]) {
    const Band band = mean_band(store, group["runs"].get<std::vector<std::int64_t>>(), key, columns, axis);
    Json places = Json::array();
    for (const std::int64_t place : band.steps) {
      axis.unit == 1 ? places.push_back(place) : places.push_back(static_cast<double>(place) * axis.unit);
    }
    Json mean = Json::array(), low = Json::array(), high = Json::array();
    for (std::size_t i = 0; i < band.steps.size(); ++i) {
      mean.push_back(to_json(band.mean[i]));
      low.push_back(to_json(band.low[i]));
      high.push_back(to_json(band.high[i]));
    }
    groups.push_back({{"label", group["label"]},
                      {"runs", group["runs"]},
                      {"n", band.runs},
                      {"steps", places},
                      {"mean", mean},
                      {"low", low},
                      {"high", high}});
  }
  return {{"by", compared["by"]}, {"key", key}, {"groups", groups}};
}

Json page_axis(Store& store, const PageQuery& query) {
  constexpr std::size_t kMostRows = 2000;  // of one run: more than a screen has columns
  const Axis axis = parse_axis(query.required("axis"));
  Json runs = Json::array();
  for (const std::int64_t run : query.ids("runs", kMostRuns)) {
    std::vector<std::pair<std::int64_t, double>> rows;
    if (axis.name != "step") {
      store.read("SELECT step, " + axis.name + " FROM progress WHERE run_id = ?1 AND " + axis.name +
                     " IS NOT NULL ORDER BY step",
                 {run}, kSeconds, [&](Statement& row) {
                   while (row.step()) rows.emplace_back(row.integer(0), row.real(1));
                 });
    }
    Json steps = Json::array(), at = Json::array();
    const std::size_t stride = rows.size() / kMostRows + 1;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i % stride != 0 && i + 1 != rows.size()) continue;
      steps.push_back(rows[i].first);
      at.push_back(to_json(rows[i].second));
    }
    runs.push_back({{"run", run}, {"steps", steps}, {"at", at}});
  }
  return {{"axis", axis.name}, {"runs", runs}};
}

Json page_stages(Store& store, const PageQuery& query) {
  Json runs = Json::array();
  for (const std::int64_t run : query.ids("runs", kMostRuns)) {
    Json begun = Json::array(), decided = Json::array();
    for (const Stage& stage : stages(store, run)) begun.push_back({{"name", stage.name}, {"from", stage.from}});
    for (const Mark& mark : marks(store, run))
      decided.push_back({{"step", mark.step}, {"kind", mark.kind}, {"name", mark.name}});
    const Json origin = origin_of(store, run);
    runs.push_back(
        {{"run", run},
         {"stages", begun},
         {"marks", decided},
         {"fork", origin.is_null() ? Json() : Json({{"step", origin["step"]}, {"text", fork_text(origin)}})}});
  }
  return runs;
}

Json page_compare(Store& store, const PageQuery& query) {
  CompareOptions options = compare_options(store, query);
  if (options.filter.where.empty()) throw Error(Exit::usage, "runs: missing");
  options.metrics = query.list("metrics", 100);
  options.versus = query.text("versus");
  return compare(store, options);
}

}  // namespace gradus::results
