// What both ways of drawing share. Inside results/ only.
#pragma once

#include <algorithm>
#include <cmath>

#include "plot.h"

namespace gradus::results {

struct Box {
  double x0 = 0, x1 = 1, y0 = 0, y1 = 1;
};
// The finite points of all lines and bands, never empty in either direction.
inline Box box_of(const Figure& figure) {
  Box box{1e308, -1e308, 1e308, -1e308};
  const auto y = [&](double v) {
    if (!(v > -1e308 && v < 1e308)) return;
    box.y0 = std::min(box.y0, v);
    box.y1 = std::max(box.y1, v);
  };
  for (const Line& line : figure.lines) {
    for (const double v : line.x) box.x0 = std::min(box.x0, v), box.x1 = std::max(box.x1, v);
    for (const auto* values : {&line.y, &line.low, &line.high}) {
      for (const double v : *values) y(v);
    }
  }
  if (box.x0 > box.x1) box.x0 = 0, box.x1 = 1;
  if (box.x0 == box.x1) box.x1 += 1;
  if (box.y0 > box.y1) box.y0 = 0, box.y1 = 1;
  if (box.y0 == box.y1) {
    const double room = box.y0 == 0 ? 1 : std::abs(box.y0) * 0.1;
    box.y0 -= room, box.y1 += room;
  }
  return box;
}

std::string tick_label(double value);  // as short as it is exact enough

}  // namespace gradus::results
