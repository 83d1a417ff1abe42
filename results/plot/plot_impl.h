// What both ways of drawing share. Inside results/ only.
#pragma once

#include <algorithm>
#include <cmath>

#include "plot.h"

namespace gradus::results {

struct Box {
  double x0 = 0, x1 = 1, y0 = 0, y1 = 1;
};
// Beyond it a figure's height would overflow.
inline bool drawable(double v) { return std::abs(v) < 1e300; }

// The finite points of all lines, never empty in either direction; with `bands` also these, as far as they reach no
// more than a quarter of the height beyond: an interval of two runs may be a hundred times as wide as they are apart.
inline Box box_of(const Figure& figure, bool bands) {
  Box box{1e308, -1e308, 1e308, -1e308};
  const auto widen = [&](const std::vector<double>& values, double low, double high) {
    for (const double v : values) {
      if (!drawable(v)) continue;
      box.y0 = std::min(box.y0, std::max(v, low));
      box.y1 = std::max(box.y1, std::min(v, high));
    }
  };
  for (const Line& line : figure.lines) {
    for (const double v : line.x) box.x0 = std::min(box.x0, v), box.x1 = std::max(box.x1, v);
    widen(line.y, -1e308, 1e308);
  }
  box.x0 = std::min(box.x0, figure.x0), box.x1 = std::max(box.x1, figure.x1);
  if (box.x0 > box.x1) box.x0 = 0, box.x1 = 1;
  if (box.x0 == box.x1) box.x1 += 1;
  if (box.y0 > box.y1) box.y0 = 0, box.y1 = 1;
  if (box.y0 == box.y1) {
    const double room = box.y0 == 0 ? 1 : std::abs(box.y0) * 0.1;
    box.y0 -= room, box.y1 += room;
  }
  const double room = (box.y1 - box.y0) / 4, low = box.y0 - room, high = box.y1 + room;
  for (const Line& line : figure.lines) {
    if (bands) widen(line.low, low, high), widen(line.high, low, high);
  }
  if (figure.y) box.y0 = figure.y->first, box.y1 = figure.y->second;
  return box;
}

// Whether the stages are worth a banner: one of them begins within the figure. Else x may be anything, such as the
// coordinates that a probe has values of.
inline bool has_stages(const Figure& figure, const Box& box) {
  return std::any_of(figure.stages.begin(), figure.stages.end(),
                     [&](const Figure::Span& stage) { return stage.from > box.x0 && stage.from <= box.x1; });
}

void keep_to(Figure& figure, const std::optional<std::pair<double, double>>& y);  // what lies outside becomes gaps
void share_x(std::vector<Figure>& figures);  // figures that are drawn below each other cover the same x
// As short as it is exact enough; step: from one tick to the next, which their labels tell apart.
std::string tick_label(double value, double step = 0);
inline double step_of(const std::vector<double>& ticks) { return ticks.size() > 1 ? ticks[1] - ticks[0] : 0; }

}  // namespace gradus::results
