#include "curves.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error.h"
#include "statistics.h"
#include "store/database.h"
#include "utf8.h"

namespace gradus::results {
namespace {

constexpr double kSeconds = 1;
constexpr std::int64_t kPiece = 20'000;  // rows of one statement, some 4 ms: while it reads, the log cannot be cut
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Of two steps, wherever they are; from <= to.
double distance(std::int64_t from, std::int64_t to) {
  return static_cast<double>(static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from));
}

struct Curve {
  std::vector<std::int64_t> steps;
  std::vector<double> values;

  std::size_t next = 0;  // at() is asked for ascending steps

  double at(std::int64_t step) {  // NaN outside
    while (next < steps.size() && steps[next] < step) ++next;
    const std::size_t i = next;
    if (i == steps.size() || step < steps.front()) return kNaN;
    if (steps[i] == step) return values[i];
    const double part = distance(steps[i - 1], step) / distance(steps[i - 1], steps[i]);
    return values[i - 1] + part * (values[i] - values[i - 1]);
  }
};

std::vector<std::int64_t> common_steps(const std::vector<Curve>& curves, int columns) {
  const auto same = [&](const Curve& curve) { return curve.steps == curves[0].steps; };
  if (std::all_of(curves.begin(), curves.end(), same)) return curves[0].steps;
  std::vector<std::int64_t> shared = curves[0].steps;
  std::int64_t from = shared.front(), to = shared.back();
  for (const Curve& curve : curves) {
    std::vector<std::int64_t> both;
    std::set_intersection(shared.begin(), shared.end(), curve.steps.begin(), curve.steps.end(),
                          std::back_inserter(both));
    shared = std::move(both);
    from = std::min(from, curve.steps.front());
    to = std::max(to, curve.steps.back());
  }
  std::size_t longest = 0;
  for (const Curve& curve : curves) longest = std::max(longest, curve.steps.size());
  if (shared.size() * 4 > longest * 3) return shared;
  std::vector<std::int64_t> even;
  const __int128 span = static_cast<__int128>(to) - from, parts = std::min<__int128>(columns, span);
  for (int i = 0; i <= parts; ++i)
    even.push_back(static_cast<std::int64_t>(from + (span * i + parts / 2) / std::max<__int128>(parts, 1)));
  return even;
}

}  // namespace

StepRange step_range(Store& store, const std::vector<CurveRef>& curves) {
  StepRange range;
  bool any = false;
  for (const CurveRef& curve : curves) {
    // Two look-ups in the key, not a walk along the curve.
    store.read(
        "SELECT (SELECT min(step) FROM metric_values WHERE run_id = ?1 AND key_id = k.id), (SELECT max(step) FROM "
        "metric_values WHERE run_id = ?1 AND key_id = k.id) FROM keys k WHERE k.name = ?2",
        {curve.run, curve.key}, kSeconds, [&](Statement& row) {
          while (row.step()) {
            if (row.null(0)) continue;
            range.from = any ? std::min(range.from, row.integer(0)) : row.integer(0);
            range.to = any ? std::max(range.to, row.integer(1)) : row.integer(1);
            any = true;
          }
        });
  }
  return range;
}

std::int64_t step_at_or_before(Store& store, const CurveRef& curve, std::int64_t step) {
  std::int64_t found = step;
  store.read(
      "SELECT max(step) FROM metric_values WHERE run_id = ?1 AND key_id = (SELECT id FROM keys WHERE name = ?2) AND "
      "step "
      "<= ?3",
      {curve.run, curve.key, step}, kSeconds, [&](Statement& row) {
        while (row.step()) {
          if (!row.null(0)) found = row.integer(0);
        }
      });
  return found;
}

void read_curve(Store& store, const CurveRef& curve, std::int64_t from, std::int64_t to,
                const std::function<bool(std::int64_t, double)>& point) {
  for (bool more = true; more;) {
    std::int64_t rows = 0, last = from;
    store.read(
        "SELECT step, value FROM metric_values WHERE run_id = ?1 AND key_id = (SELECT id FROM keys WHERE name = ?2) "
        "AND "
        "step BETWEEN ?3 AND ?4 ORDER BY step LIMIT ?5",
        {curve.run, curve.key, from, to, kPiece}, kSeconds, [&](Statement& row) {
          while (row.step()) {
            ++rows;
            last = row.integer(0);
            if (!point(last, row.null(1) ? kNaN : row.real(1))) {
              rows = 0;
              break;
            }
          }
        });
    more = rows == kPiece && last < to;
    if (more) from = last + 1;
  }
}

bool read_glimpses(Store& store, const CurveRef& curve, std::int64_t from, std::int64_t to, int columns,
                   std::int64_t rows, const std::function<void(std::int64_t, double)>& point) {
  const __int128 steps = static_cast<__int128>(to) - from + 1;
  if (steps <= static_cast<__int128>(rows) * columns) {  // a step has one row at most
    read_curve(store, curve, from, to, [&](std::int64_t step, double value) {
      point(step, value);
      return true;
    });
    return true;
  }
  bool all = true;
  std::int64_t begin = from;
  for (int column = 1; column <= columns; ++column) {
    const auto end = static_cast<std::int64_t>(from + steps * column / columns - 1);
    std::int64_t left = rows;
    read_curve(store, curve, begin, end, [&](std::int64_t step, double value) {
      if (left == 0) return all = false;
      point(step, value);
      --left;
      return true;
    });
    if (end < to) begin = end + 1;
  }
  return all;
}

Points read_points(Store& store, const CurveRef& curve, const StepRange& range, int columns) {
  Downsampler down(range.from, range.to, columns);
  read_curve(store, curve, range.from, range.to, [&](std::int64_t step, double value) {
    down.add(step, value);
    return true;
  });
  return down.take();
}

Axis parse_axis(const std::string& name) {
  if (name == "step" || name == "samples" || name == "flops") return {name, 1};
  if (name == "epoch" || name == "seconds") return {name, 1e-3};
  throw Error(Exit::usage, "--x: expected step, epoch, samples, flops or seconds; got '" + name + "'");
}

Axis axis_of(Store& store, const std::vector<std::int64_t>& runs, const std::string& name) {
  Axis axis = parse_axis(name);
  if (name != "flops") return axis;
  double most = 0;
  for (const std::int64_t run : runs) {
    store.read("SELECT max(flops) FROM progress WHERE run_id = ?1", {run}, kSeconds, [&](Statement& row) {
      if (row.step() && !row.null(0)) most = std::max(most, row.real(0));
    });
  }
  constexpr double kWhole = 9007199254740992;  // up to which doubles tell whole numbers apart
  while (std::isfinite(most) && most / axis.unit > kWhole) axis.unit *= 10;
  return axis;
}

Positions::Positions(Store& store, std::int64_t run, const Axis& axis) : by_step_(axis.name == "step") {
  if (by_step_) return;
  rows_.push_back({0, 0});
  const std::string known = axis.name + " IS NOT NULL";  // an imported run's rows have seconds alone
  store.read(
      "SELECT step, " + axis.name + " FROM progress WHERE run_id = ?1 AND step > 0 AND " + known + " ORDER BY step",
      {run}, kSeconds, [&](Statement& row) {
        while (row.step()) rows_.push_back({row.integer(0), row.real(1) / axis.unit});
      });
  if (rows_.size() == 1) rows_.clear();
}

std::optional<std::int64_t> Positions::of(std::int64_t step) const {
  if (by_step_) return step;
  const auto after = std::lower_bound(rows_.begin(), rows_.end(), std::pair{step, -HUGE_VAL});
  if (step < 0 || after == rows_.end()) return std::nullopt;
  if (after->first == step) return std::llround(after->second);
  const auto& [from, low] = *(after - 1);
  const double share = distance(from, step) / distance(from, after->first);
  return std::llround(low + share * (after->second - low));
}

namespace {

// No accuracy is below 0 or above 1, however few the runs. (One that is counted in percent has means above 1.)
void keep_to_shares(const std::string& key, Band& band) {
  const std::string name = key.substr(key.find_last_of("/.") + 1);
  const bool share =
      name.starts_with("acc") || name.ends_with("_acc") || name == "agreement" || name == "forgotten" || name == "f1";
  if (!share || std::any_of(band.mean.begin(), band.mean.end(), [](double v) { return v < 0 || v > 1; })) return;
  for (double& v : band.low) v = std::isnan(v) ? v : std::max(v, 0.0);
  for (double& v : band.high) v = std::isnan(v) ? v : std::min(v, 1.0);
}

}  // namespace

Band mean_band(Store& store, const std::vector<std::int64_t>& runs, const std::string& key, int columns,
               const Axis& axis) {
  std::vector<Curve> curves;
  for (const std::int64_t run : runs) {
    Curve curve;
    const Positions positions(store, run, axis);
    read_curve(store, {run, key}, INT64_MIN, INT64_MAX, [&](std::int64_t step, double value) {
      const auto at = positions.of(step);
      if (!at || (!curve.steps.empty() && *at <= curve.steps.back())) return true;
      curve.steps.push_back(*at);
      curve.values.push_back(value);
      return true;
    });
    if (!curve.steps.empty()) curves.push_back(std::move(curve));
  }
  Band band;
  band.runs = static_cast<int>(curves.size());
  if (curves.empty()) return band;
  const std::vector<std::int64_t> steps = common_steps(curves, columns);
  std::vector<double> means, deviations, here;
  std::vector<double> t = {kNaN, kNaN};  // by the number of runs: the quantile costs more than the rest
  for (std::size_t n = 2; n <= curves.size(); ++n) t.push_back(t_quantile(0.975, static_cast<double>(n - 1)));
  Downsampler down(steps.front(), steps.back(), columns);
  for (const std::int64_t step : steps) {
    double sum = 0, squares = 0;
    here.clear();
    for (Curve& curve : curves) {
      const double value = curve.at(step);
      if (!std::isnan(value)) sum += value, here.push_back(value);
    }
    const int n = static_cast<int>(here.size());
    const double mean = n > 0 ? sum / n : kNaN;
    for (const double value : here) squares += (value - mean) * (value - mean);
    means.push_back(mean);
    deviations.push_back(n > 1 ? t[static_cast<std::size_t>(n)] * std::sqrt(squares / (n - 1) / n) : kNaN);
    down.add(step, mean);
  }
  const Points kept = down.take();
  std::size_t at = 0;
  for (const std::int64_t step : kept.steps) {
    while (steps[at] != step) ++at;
    band.steps.push_back(step);
    band.mean.push_back(means[at]);
    band.low.push_back(means[at] - deviations[at]);
    band.high.push_back(means[at] + deviations[at]);
  }
  keep_to_shares(key, band);
  return band;
}

std::vector<Mark> marks(Store& store, std::int64_t run) {
  std::vector<Mark> found;
  store.read(
      "SELECT CASE WHEN kind = 'resume' AND json_valid(detail) THEN coalesce(json_extract(detail, '$.at'), "
      "json_extract(detail, "
      "'$.from'), step) ELSE step END, kind, name, detail FROM events WHERE run_id = ?1 AND kind IN ('decision', "
      "'warning', "
      "'health', 'error', 'edit', 'resume') AND step IS NOT NULL ORDER BY id",
      {run}, kSeconds, [&](Statement& row) {
        while (row.step()) found.push_back({row.integer(0), utf8(row.text(1)), utf8(row.text(2)), utf8(row.text(3))});
      });
  return found;
}

std::vector<Mark> events_of(Store& store, std::int64_t run, const std::string& kind) {
  std::vector<Mark> found;
  store.read(
      "SELECT step, kind, name, detail FROM events WHERE run_id = ?1 AND kind = ?2 AND step IS NOT NULL ORDER BY id",
      {run, kind}, kSeconds, [&](Statement& row) {
        while (row.step()) found.push_back({row.integer(0), row.text(1), row.text(2), row.text(3)});
      });
  return found;
}

}  // namespace gradus::results
