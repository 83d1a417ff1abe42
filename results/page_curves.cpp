// Curves for the page. /api/curves answers in binary, little-endian, because 200 curves of JSON take a browser longer
// to parse than to draw:
//   uint32 length of a JSON text, the text, zeros up to a multiple of 8, then for every curve its steps and then its
//   values, as float64. The text: {from, to, curves: [{run, key, points}]}
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "curves.h"
#include "downsample.h"
#include "error.h"
#include "page.h"

namespace gradus::results {
namespace {

constexpr std::size_t kMostRuns = 1000;
constexpr int kMostColumns = 4000;

void append(std::string& out, double value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }

std::string where_ids(const std::vector<std::int64_t>& ids) {
  std::string where;
  for (const std::int64_t id : ids) where += (where.empty() ? "id in (" : ", ") + std::to_string(id);
  return where.empty() ? where : where + ")";
}

CompareOptions compare_options(const PageQuery& query) {
  CompareOptions options;
  options.filter.where = where_ids(query.ids("runs", kMostRuns));
  options.filter.children = options.filter.archived = true;
  options.unfinished = true;
  options.by = query.list("by", 20);
  return options;
}

}  // namespace

std::string page_curves(Store& store, const PageQuery& query) {
  const std::vector<std::int64_t> runs = query.ids("runs", kMostRuns);
  const std::vector<std::string> keys = query.list("keys", 200);
  if (runs.size() * keys.size() > 2000) throw Error(Exit::usage, "curves: expected at most 2000; got more");
  const int columns = static_cast<int>(query.integer("columns", 800, 1, kMostColumns));
  const std::int64_t after = query.integer("after", INT64_MIN, INT64_MIN, INT64_MAX);
  std::vector<CurveRef> refs;
  for (const std::string& key : keys) {
    for (const std::int64_t run : runs) refs.push_back({run, key});
  }
  const StepRange all = step_range(store, refs);
  std::int64_t from = query.integer("from", all.from, INT64_MIN, INT64_MAX);
  const std::int64_t to = query.integer("to", all.to, INT64_MIN, INT64_MAX);
  if (query.has("after") && after < INT64_MAX) from = std::max(from, after + 1);

  Json head = {{"from", all.from}, {"to", all.to}, {"curves", Json::array()}};
  std::string body;
  for (const CurveRef& ref : refs) {
    Downsampler down(from, to, columns);
    // One point outside on either side, so that lines run through the edges.
    const std::int64_t begin = query.has("after") ? from : step_at_or_before(store, ref, from);
    read_curve(store, ref, begin, INT64_MAX, [&](std::int64_t step, double value) {
      down.add(step, value);
      return step <= to;
    });
    const Points points = down.take();
    if (points.steps.empty()) continue;
    head["curves"].push_back({{"run", ref.run}, {"key", ref.key}, {"points", points.steps.size()}});
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
  CompareOptions options = compare_options(query);
  if (options.filter.where.empty()) throw Error(Exit::usage, "runs: missing");
  const Json compared = compare(store, options);
  Json groups = Json::array();
  for (const Json& group : compared["groups"]) {
    const Band band = mean_band(store, group["runs"].get<std::vector<std::int64_t>>(), key, columns);
    Json mean = Json::array(), low = Json::array(), high = Json::array();
    for (std::size_t i = 0; i < band.steps.size(); ++i) {
      mean.push_back(to_json(band.mean[i]));
      low.push_back(to_json(band.low[i]));
      high.push_back(to_json(band.high[i]));
    }
    groups.push_back({{"label", group["label"]},
                      {"runs", group["runs"]},
                      {"n", band.runs},
                      {"steps", band.steps},
                      {"mean", mean},
                      {"low", low},
                      {"high", high}});
  }
  return {{"by", compared["by"]}, {"key", key}, {"groups", groups}};
}

Json page_compare(Store& store, const PageQuery& query) {
  CompareOptions options = compare_options(query);
  if (options.filter.where.empty()) throw Error(Exit::usage, "runs: missing");
  options.metrics = query.list("metrics", 100);
  options.versus = query.text("versus");
  return compare(store, options);
}

}  // namespace gradus::results
