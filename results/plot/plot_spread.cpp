// Numbers that belong together at a step, such as a probe's correlations: a cloud of points over the training.
#include <map>

#include "error.h"
#include "plot_impl.h"
#include "query/names.h"

namespace gradus::results {
namespace {

// The lists of one event, at x.
void add_points(const Json& detail, double x, std::map<std::string, Line>& lists) {
  if (!detail.is_object()) return;
  for (const auto& [name, values] : detail.items()) {
    if (!values.is_array()) continue;
    Line& line = lists[name];
    for (const Json& value : values) {
      if (!value.is_number()) continue;
      line.x.push_back(x);
      line.y.push_back(value.get<double>());
    }
  }
}

[[noreturn]] void no_spread(const std::string& name, const std::vector<Mark>& events) {
  std::vector<std::string> known;
  for (const Mark& event : events) known.push_back(event.name);
  const std::string near = nearest(name, known);
  throw Error(Exit::usage, "plot: none of these runs has the spread '" + name + "'" +
                               (near.empty() ? "; expected the name of an event of kind 'spread'"
                                             : " (did you mean '" + near + "'?)"));
}

}  // namespace

std::vector<Figure> spreads(Store& store, const PlotOptions& options) {
  constexpr int kOrder[] = {3, 0, 2, 1, 4};  // as published: red inside of the support, blue outside
  std::vector<Mark> events;
  for (const std::int64_t run : options.runs) {
    for (Mark& event : events_of(store, run, "spread")) events.push_back(std::move(event));
  }
  std::vector<Figure> all;
  for (const std::string& name : options.metrics) {
    std::map<std::string, Line> lists;
    bool known = false;
    for (const Mark& event : events) {
      if (event.name != name) continue;
      known = true;
      add_points(Json::parse(event.detail, nullptr, false), static_cast<double>(event.step), lists);
    }
    if (!known) no_spread(name, events);
    Figure figure;
    figure.title = name;
    figure.axis = "step";
    for (auto& [list, line] : lists) {
      line.label = list;
      line.shift = 6 * (static_cast<double>(figure.lines.size()) - static_cast<double>(lists.size() - 1) / 2);
      line.points = true;
      line.color = kOrder[figure.lines.size() % 5];
      figure.lines.push_back(std::move(line));
    }
    keep_to(figure, options.y);
    if (!figure.lines.empty()) all.push_back(std::move(figure));
  }
  share_x(all);
  for (Figure& figure : all) {  // no cloud on the edge
    const double room = (figure.x1 - figure.x0) / 40;
    figure.x0 -= room, figure.x1 += room;
  }
  return all;
}

}  // namespace gradus::results
