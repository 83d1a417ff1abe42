#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "error.h"
#include "plot_impl.h"
#include "query/lineage.h"
#include "query/names.h"
#include "query/stages.h"

namespace gradus::results {
namespace {

std::vector<double> scaled(const std::vector<std::int64_t>& positions, double unit) {
  std::vector<double> x;
  for (const std::int64_t one : positions) x.push_back(static_cast<double>(one) * unit);
  return x;
}

// Where the stages of these runs begin: the mean, as far as all of them went through the same ones.
std::vector<double> walls_of(Store& store, const std::vector<std::int64_t>& runs, const Axis& axis) {
  std::vector<std::vector<Stage>> all;
  std::vector<Positions> positions;
  for (const std::int64_t run : runs) all.push_back(stages(store, run)), positions.emplace_back(store, run, axis);
  std::vector<double> walls;
  for (std::size_t i = 1;; ++i) {
    double sum = 0;
    for (std::size_t run = 0; run < all.size(); ++run) {
      if (i >= all[run].size() || all[run][i].name != all[0][i].name) return walls;
      const auto at = positions[run].of(all[run][i].from);
      if (!at) return walls;
      sum += static_cast<double>(*at) * axis.unit;
    }
    walls.push_back(sum / static_cast<double>(all.size()));
  }
}

// Where these runs were forked off others, each place once.
std::vector<double> forks_of_runs(Store& store, const std::vector<std::int64_t>& runs, const Axis& axis) {
  std::set<double> places;
  for (const std::int64_t run : runs) {
    const Json origin = origin_of(store, run);
    if (origin.is_null() || !origin["step"].is_number_integer()) continue;
    const auto at = Positions(store, run, axis).of(origin["step"]);
    if (at) places.insert(static_cast<double>(*at) * axis.unit);
  }
  return {places.begin(), places.end()};
}

Line line_of_run(Store& store, const CurveRef& ref, const StepRange& range, const PlotOptions& options) {
  Line line;
  const Positions positions(store, ref.run, options.x);
  const Points points = read_points(store, ref, range, options.columns);
  for (std::size_t i = 0; i < points.steps.size(); ++i) {
    const auto at = positions.of(points.steps[i]);
    if (!at) continue;
    line.x.push_back(static_cast<double>(*at) * options.x.unit);
    line.y.push_back(points.values[i]);
  }
  if (options.runs.size() > 1)
    line.walls = walls_of(store, {ref.run}, options.x), line.forks = forks_of_runs(store, {ref.run}, options.x);
  return line;
}

std::string setting(const Json& value) {
  if (value.is_null()) return "–";  // a parameter that the run does not have
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string group_label(const Json& group) {
  std::string label;
  for (const auto& [key, value] : group["label"].items()) label += (label.empty() ? "" : " · ") + setting(value);
  return label.empty() ? "all" : label;
}

RunFilter only(const std::vector<std::int64_t>& runs) {
  RunFilter filter;
  filter.children = filter.archived = true;
  for (const std::int64_t run : runs) filter.where += (filter.where.empty() ? "id in (" : ", ") + std::to_string(run);
  filter.where += ")";
  return filter;
}

// By run: its number, what tells it from the others (its name where nothing else does), and its seed.
std::map<std::int64_t, std::string> run_labels(Store& store, const std::vector<std::int64_t>& ids) {
  RunFilter filter = only(ids);
  filter.metrics.emplace();
  const Json runs = list_runs(store, filter);
  std::map<std::string, std::set<std::string>> values;
  for (const Json& run : runs) {
    values["name"].insert(setting(run["name"]));
    for (const auto& [key, value] : run["params"].items()) values["params." + key].insert(setting(value));
  }
  std::map<std::int64_t, std::string> labels;
  for (const Json& run : runs) {
    std::string told;
    const auto tell = [&](const Json& value) { told += (told.empty() ? "" : " · ") + setting(value); };
    if (values["name"].size() > 1) tell(run["name"]);
    for (const auto& [key, value] : run["params"].items()) {
      if (values["params." + key].size() > 1) tell(value);
    }
    if (told.empty()) tell(run["name"]);
    std::string& label = labels[run["id"].get<std::int64_t>()];
    label = run["id"].dump() + " " + told;
    if (run["seed"].is_number()) label += " seed " + run["seed"].dump();
  }
  return labels;
}

void add_groups(Store& store, const PlotOptions& options, const std::string& key, Figure& figure) {
  CompareOptions compared;
  compared.filter = only(options.runs);
  compared.running = true;
  compared.by = options.by;
  const Json groups = compare(store, compared)["groups"];
  int color = 0;
  for (const Json& group : groups) {
    // In no mean is what was lost, as in compare's table; of a group that has nothing else, what it came to.
    auto runs = group["runs"].get<std::vector<std::int64_t>>();
    const std::size_t lost = group["lost"].size(), all = runs.size() + lost;
    const bool none = runs.empty();
    for (const Json& run : group["lost"]) {
      if (none) runs.push_back(run["run"]);
    }
    const Band band = mean_band(store, runs, key, options.columns, options.x);
    if (!band.steps.empty()) {
      Line line;
      line.label = group_label(group) + " (" + std::to_string(none ? 0 : band.runs) +
                   (lost > 0 ? " of " + std::to_string(all) : "") + ")";
      line.x = scaled(band.steps, options.x.unit);
      line.y = band.mean;
      line.color = color;
      line.low = band.low, line.high = band.high;  // of one run no numbers
      if (options.runs.size() > 1)
        line.walls = walls_of(store, runs, options.x), line.forks = forks_of_runs(store, runs, options.x);
      figure.lines.push_back(std::move(line));
    }
    ++color;
  }
}

void add_runs(Store& store, const PlotOptions& options, const std::string& key, Figure& figure) {
  std::vector<CurveRef> refs;
  for (const std::int64_t run : options.runs) refs.push_back({run, key});
  const StepRange range = step_range(store, refs);
  const auto labels = run_labels(store, options.runs);
  for (const CurveRef& ref : refs) {
    Line line = line_of_run(store, ref, range, options);
    if (line.x.empty()) continue;
    line.label = labels.at(ref.run);
    line.color = static_cast<int>(figure.lines.size());
    figure.lines.push_back(std::move(line));
  }
}

// The stages and marks of the one run that the figure is of.
void add_events(Store& store, std::int64_t run, const Axis& axis, Figure& figure) {
  const Positions positions(store, run, axis);
  const auto x = [&](std::int64_t step) {
    const auto at = positions.of(step);
    return at ? static_cast<double>(*at) * axis.unit : std::nan("");
  };
  for (const Stage& stage : stages(store, run)) {
    const double from = x(stage.from), to = x(stage.to);
    if (!std::isnan(from)) figure.stages.push_back({stage.name, from, std::isnan(to) ? HUGE_VAL : to});
  }
  for (Mark& mark : marks(store, run)) {
    const double at = x(mark.step);
    if (!std::isnan(at)) figure.marks.push_back({at, std::move(mark)});
  }
}

// FLOPs as GFLOPs, TFLOPs, …; `most` of them in all figures.
void use_prefix(Figure& figure, double most) {
  for (const auto& [factor, name] : {std::pair{1e15, "PFLOPs"}, {1e12, "TFLOPs"}, {1e9, "GFLOPs"}, {1e6, "MFLOPs"}}) {
    if (most < factor) continue;
    figure.axis = name;
    for (Line& line : figure.lines) {
      for (auto* values : {&line.x, &line.walls, &line.forks}) {
        for (double& v : *values) v /= factor;
      }
    }
    for (auto& stage : figure.stages) stage.from /= factor, stage.to /= factor;
    for (auto& event : figure.marks) event.x /= factor;
    figure.x0 /= factor, figure.x1 /= factor;
    return;
  }
}

// A figure in which nothing can be drawn says so.
void tell_blank(Figure& figure) {
  for (const Line& line : figure.lines) {
    if (std::any_of(line.y.begin(), line.y.end(), drawable)) return;
  }
  figure.title += figure.y ? ": no value from " + tick_label(figure.y->first) + " to " + tick_label(figure.y->second)
                           : ": no finite value";
}

// All lines in the first figure, each named by its metric too.
void put_together(std::vector<Figure>& figures) {
  if (figures.size() < 2) return;
  constexpr std::size_t kTitles = 3;  // more are told by the legend
  Figure all = figures.front();
  all.title = figures.size() > kTitles ? std::to_string(figures.size()) + " metrics" : "";
  all.lines.clear();
  for (Figure& figure : figures) {
    if (figures.size() <= kTitles) all.title += (all.title.empty() ? "" : ", ") + figure.title;
    for (Line& line : figure.lines) {
      line.label = figure.lines.size() == 1 ? figure.title : figure.title + " " + line.label;
      line.color = static_cast<int>(all.lines.size());
      all.lines.push_back(std::move(line));
    }
  }
  figures.assign(1, std::move(all));
}

}  // namespace

std::pair<double, double> parse_range(const std::string& text) {
  double low = 0, high = 0;
  char comma = 0, more = 0;
  if (std::sscanf(text.c_str(), "%lf %c %lf %c", &low, &comma, &high, &more) != 3 || comma != ',' || !(low < high) ||
      !std::isfinite(low) || !std::isfinite(high))
    throw Error(Exit::usage, "--y: expected LOW,HIGH such as 0.8,1; got '" + text + "'");
  return {low, high};
}

void keep_to(Figure& figure, const std::optional<std::pair<double, double>>& y) {
  figure.y = y;
  if (!y) return;
  for (Line& line : figure.lines) {
    for (double& v : line.y) v = v >= y->first && v <= y->second ? v : std::nan("");
    for (auto* side : {&line.low, &line.high}) {
      for (double& v : *side) v = std::isnan(v) ? v : std::clamp(v, y->first, y->second);
    }
  }
}

void share_x(std::vector<Figure>& figures) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const Figure& figure : figures) {
    for (const Line& line : figure.lines) {
      for (const double x : line.x) low = std::min(low, x), high = std::max(high, x);
    }
  }
  for (Figure& figure : figures) figure.x0 = low, figure.x1 = high;
}

std::vector<Figure> figures(Store& store, const PlotOptions& options) {
  std::vector<Figure> all;
  for (const std::string& name : options.metrics) {
    const std::string key = resolve_metric(store, name, "plot", nullptr);
    Figure figure;
    figure.title = key;
    figure.axis = options.x.name;
    if (options.grouped || !options.by.empty())
      add_groups(store, options, key, figure);
    else
      add_runs(store, options, key, figure);
    if (options.runs.size() == 1) add_events(store, options.runs[0], options.x, figure);
    keep_to(figure, options.y);
    tell_blank(figure);
    if (!figure.lines.empty()) all.push_back(std::move(figure));
  }
  share_x(all);
  if (options.x.name == "flops") {
    for (Figure& figure : all) use_prefix(figure, figure.x1);
  }
  if (options.together) put_together(all);
  return all;
}

std::vector<double> ticks(double low, double high, int count) {
  if (!(high > low)) high = low + 1;
  const double rough = (high - low) / std::max(count, 1);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double part = rough / power;
  const double step = power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
  std::vector<double> found;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last && found.size() < 100; ++i) found.push_back(i == 0 ? 0 : i * step);
  return found;
}

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // Control characters are not allowed in XML at all.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  }
  return out;
}

}  // namespace gradus::results
