// Curves for a terminal (braille dots) and for a paper (SVG).
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "query/curves.h"
#include "query/query.h"
#include "store/store.h"

namespace gradus::results {

struct Line {
  std::string label;
  std::vector<double> x, y;       // NaN: a gap
  std::vector<double> low, high;  // a band around it, or empty
  std::vector<double> walls;      // where its stages begin, when the figure has several lines
  std::vector<double> forks;      // where its runs were forked, then too
  bool faint = false;             // a single run behind the mean of its group
  bool points = false;            // not joined
  double shift = 0;               // of points: pixels to the right, so that two clouds stand side by side
  int color = 0;                  // of the palette, which repeats after ten
};

struct Figure {
  std::string title;
  std::string axis;  // of x
  std::vector<Line> lines;
  double x0 = HUGE_VAL, x1 = -HUGE_VAL;        // what x covers at least: that of the figures drawn along
  std::optional<std::pair<double, double>> y;  // what y covers, whatever the lines do
  // Of the run, when the figure is of one: x instead of steps.
  struct Span {
    std::string name;
    double from = 0, to = 0;
  };
  struct Event {
    double x = 0;
    Mark mark;
  };
  std::vector<Span> stages;
  std::vector<Event> marks;
};

struct PlotOptions {
  std::vector<std::string> metrics;
  std::vector<std::int64_t> runs;              // oldest first
  std::vector<std::string> by;                 // one line per group, with the 95 % confidence interval of its mean
  bool grouped = false;                        // the same by everything but the seed
  bool together = false;                       // all metrics in one figure
  std::optional<std::pair<double, double>> y;  // only what lies between
  Axis x;
  int columns = 600;
};
// One figure per metric, all over the same x; those that no run has are left out. Error (usage) for a metric that the
// store does not know, with the nearest name.
std::vector<Figure> figures(Store& store, const PlotOptions& options);
// The same of events of kind "spread", whose name stands for a metric and whose detail is lists of numbers by name,
// {"inside": [0.1, -0.2], "outside": […]}: a point for each number, at the event's step, in the colour of its list.
std::vector<Figure> spreads(Store& store, const PlotOptions& options);
// "0.8,1": two numbers, the lower first. Error (usage) otherwise.
std::pair<double, double> parse_range(const std::string& text);

// Lines of `width` columns, one figure below the other. styled: in colour.
std::string terminal_plot(const std::vector<Figure>& figures, int width, int height, bool styled);
std::string svg_plot(const std::vector<Figure>& figures, int width, int height);  // one below the other

// Round numbers from below `low` to above `high`, about `count` steps.
std::vector<double> ticks(double low, double high, int count);
std::string escape_markup(std::string_view text);  // for the text and the attributes of XML and HTML

}  // namespace gradus::results
