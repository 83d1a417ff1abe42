#include "plot.h"

#include <algorithm>
#include <cmath>

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

std::string group_label(const Json& group) {
  std::string label;
  for (const auto& [key, value] : group["label"].items())
    label += (label.empty() ? "" : " · ") + (value.is_string() ? value.get<std::string>() : value.dump());
  return label.empty() ? "all" : label;
}

std::string run_label(Store& store, std::int64_t run) {
  const Rows rows = store.query("SELECT name, seed FROM runs WHERE id = ?1", {run});
  std::string label = std::to_string(run) + " " + std::get<std::string>(rows.rows.at(0)[0]);
  if (const auto* seed = std::get_if<std::int64_t>(&rows.rows[0][1])) label += " seed " + std::to_string(*seed);
  return label;
}

void add_groups(Store& store, const PlotOptions& options, const std::string& key, Figure& figure) {
  CompareOptions compared;
  compared.filter.children = compared.filter.archived = compared.unfinished = true;
  compared.by = options.by;
  for (const std::int64_t run : options.runs)
    compared.filter.where += (compared.filter.where.empty() ? "id in (" : ", ") + std::to_string(run);
  compared.filter.where += ")";
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
      for (const CurveRef& ref : refs) {
        const Points points = read_points(store, ref, range, options.columns);
        if (!points.steps.empty())
          figure.lines.push_back(line_of(points, run_label(store, ref.run), static_cast<int>(figure.lines.size())));
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
