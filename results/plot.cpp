#include "plot.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "error.h"
#include "where.h"

namespace gradus::results {
namespace {

Line line_of(const Points& points, std::string label, int color) {
  Line line;
  line.label = std::move(label);
  line.x.assign(points.steps.begin(), points.steps.end());
  line.y = points.values;
  line.color = color;
  return line;
}

std::string setting(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

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
  compared.unfinished = true;
  compared.by = options.by;
  const Json groups = compare(store, compared)["groups"];
  int color = 0;
  for (const Json& group : groups) {
    const Band band = mean_band(store, group["runs"].get<std::vector<std::int64_t>>(), key, options.columns);
    if (!band.steps.empty()) {
      Line line = line_of({band.steps, band.mean}, group_label(group) + " (" + std::to_string(band.runs) + ")", color);
      if (band.runs > 1) line.low = band.low, line.high = band.high;
      figure.lines.push_back(std::move(line));
    }
    ++color;
  }
}

}  // namespace

std::vector<Figure> figures(Store& store, const PlotOptions& options) {
  std::vector<Figure> all;
  for (const std::string& name : options.metrics) {
    const std::string key = resolve_metric(store, name, "plot", nullptr);
    Figure figure;
    figure.title = key;
    if (options.grouped || !options.by.empty()) {
      add_groups(store, options, key, figure);
    } else {
      std::vector<CurveRef> refs;
      for (const std::int64_t run : options.runs) refs.push_back({run, key});
      const StepRange range = step_range(store, refs);
      const auto labels = run_labels(store, options.runs);
      for (const CurveRef& ref : refs) {
        const Points points = read_points(store, ref, range, options.columns);
        if (!points.steps.empty())
          figure.lines.push_back(line_of(points, labels.at(ref.run), static_cast<int>(figure.lines.size())));
      }
    }
    if (options.runs.size() == 1) {
      figure.stages = stages(store, options.runs[0]);
      figure.marks = marks(store, options.runs[0]);
    }
    if (!figure.lines.empty()) all.push_back(std::move(figure));
  }
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
