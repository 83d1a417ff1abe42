// Curves as SVG that stands alone: in a report, in a paper.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "plot_impl.h"
#include "query/words.h"

namespace gradus::results {
namespace {

constexpr const char* kColors[] = {"#3b6fb6", "#d9822b", "#3f9c6b", "#b3446c", "#7b61b0",
                                   "#2a9d9d", "#c9a227", "#8a5a44", "#5f7f9f", "#9aa53f"};
constexpr double kLeft = 58, kRight = 14, kTop = 44, kBottom = 36;

std::string n(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text, const char* more = "") {
  return "<text x=\"" + n(x) + "\" y=\"" + n(y) + "\" text-anchor=\"" + anchor + "\"" + more + ">" +
         escape_markup(text) + "</text>\n";
}

// The title, and from there on the key of each line, in as many rows as they take.
constexpr double kRow = 16;
struct Key {
  double x = 0, y = 0;  // from the figure's upper left
  const Line* line = nullptr;
};
std::vector<Key> keys(const Figure& figure, double width) {
  std::vector<Key> placed;
  double x = kLeft + 8 + 7.6 * static_cast<double>(figure.title.size()), y = 12;
  for (const Line& line : figure.lines) {
    if (line.faint || figure.lines.size() < 2) continue;
    const double room = 26 + 6.6 * static_cast<double>(line.label.size());
    if (x + room > width && x > kLeft) x = kLeft, y += kRow;
    placed.push_back({x, y, &line});
    x += room + 8;
  }
  return placed;
}

// What the figure is higher than asked for, so that its legend takes nothing from its curves.
double extra_rows(const Figure& figure, double width) {
  const auto placed = keys(figure, width);
  return placed.empty() ? 0 : placed.back().y - 12;
}

struct Frame {
  double top, width, height, extra;  // height: with `extra`, which the legend takes
  Box box;
  double x(double v) const { return kLeft + (v - box.x0) / (box.x1 - box.x0) * (width - kLeft - kRight); }
  double y(double v) const {
    return top + height - kBottom - (v - box.y0) / (box.y1 - box.y0) * (height - extra - kTop - kBottom);
  }
  double upper() const { return top + extra + kTop; }
  double lower() const { return top + height - kBottom; }
};

std::string rect(double x, double y, double w, double h, const char* fill) {
  return "<rect x=\"" + n(x) + "\" y=\"" + n(y) + "\" width=\"" + n(w) + "\" height=\"" + n(h) + "\" fill=\"" + fill +
         "\"/>\n";
}

std::string rule(double x0, double y0, double x1, double y1, const char* style) {
  return "<line x1=\"" + n(x0) + "\" y1=\"" + n(y0) + "\" x2=\"" + n(x1) + "\" y2=\"" + n(y1) + "\" " + style + "/>\n";
}

std::string wall(double x, const Frame& f, const std::string& color) {
  return rule(x, f.upper(), x, f.lower(), ("stroke-dasharray=\"5 4\" stroke=\"" + color + "\"").c_str());
}

// A line that does not break, with a ring: here the run left another one's way.
std::string fork_svg(double x, const Frame& f, const std::string& color, const std::string& label) {
  return "<g><title>" + escape_markup(label + ": forked here") + "</title>" +
         rule(x, f.upper(), x, f.lower(), ("stroke-opacity=\"0.8\" stroke=\"" + color + "\"").c_str()) +
         "<circle cx=\"" + n(x) + "\" cy=\"" + n(f.upper()) + "\" r=\"4\" fill=\"none\" stroke-width=\"2\" stroke=\"" +
         color + "\"/></g>\n";
}

// Where the stages of the lines begin, in their colours, once where several begin at one place; and where they were forked.
std::string walls_svg(const Figure& figure, const Frame& f) {
  std::string out;
  std::set<long> drawn;
  for (const Line& line : figure.lines) {
    for (const double v : line.walls) {
      if (v >= f.box.x0 && v <= f.box.x1 && drawn.insert(std::lround(f.x(v))).second)
        out += wall(f.x(v), f, kColors[line.color % 10]);
    }
    for (const double v : line.forks) {
      if (v >= f.box.x0 && v <= f.box.x1) out += fork_svg(f.x(v), f, kColors[line.color % 10], line.label);
    }
  }
  return out;
}

std::string stages_svg(const Figure& figure, const Frame& f) {
  std::string out;
  for (std::size_t i = 0; has_stages(figure, f.box) && i < figure.stages.size(); ++i) {
    const Figure::Span& stage = figure.stages[i];
    if (stage.from > f.box.x1) break;
    const double x0 = std::max(f.x(stage.from), kLeft);
    const double x1 = std::min(f.x(stage.to), f.width - kRight);
    if (i > 0) out += wall(x0, f, "#5c6470");
    if (i % 2 == 1) out += rect(x0, f.upper(), std::max(0.0, x1 - x0), f.lower() - f.upper(), "#3b6fb612");
    if (x1 - x0 > 6.5 * static_cast<double>(stage.name.size()))
      out += text_at(x0 + 4, f.upper() - 5, "start", stage.name);
  }
  for (const auto& [at, mark] : figure.marks) {
    const double x = f.x(at);
    if (x < kLeft - 0.5 || x > f.width - kRight + 0.5) continue;
    const std::string color = mark.kind == "decision" ? "#a86612" : mark.kind == "resume" ? "#5c6470" : "#b3393f";
    out += "<g><title>" +
           escape_markup("step " + std::to_string(mark.step) + ": " + mark.kind + " " + mark.name + " " +
                         in_words(Json::parse(mark.detail, nullptr, false))) +
           "</title>" +
           rule(x, f.upper(), x, f.lower(), ("stroke-dasharray=\"2 3\" stroke=\"" + color + "\"").c_str()) +
           "<path d=\"M" + n(x - 4) + " " + n(f.upper() - 1) + "h8l-4 6z\" fill=\"" + color + "\"/></g>\n";
  }
  return out;
}

std::string point_svg(double x, double y, const std::string& color) {
  return "<circle cx=\"" + n(x) + "\" cy=\"" + n(y) + "\" r=\"2\" fill=\"" + color + "\" fill-opacity=\"0.5\"/>\n";
}

std::string axes_svg(const Figure& figure, const Frame& f, const std::vector<double>& ys) {
  std::string out;
  for (const double v : ys) {
    out += rule(kLeft, f.y(v), f.width - kRight, f.y(v), "stroke=\"#e4e5e7\"");
    const std::string exact = tick_label(v, step_of(ys));
    out += text_at(kLeft - 7, f.y(v) + 4, "end", exact.size() <= 8 ? exact : tick_label(v));  // as wide as the margin
  }
  const std::vector<double> xs = ticks(f.box.x0, f.box.x1, static_cast<int>(f.width / 100));
  for (const double v : xs) {
    if (v < f.box.x0 || v > f.box.x1) continue;
    out += rule(f.x(v), f.lower(), f.x(v), f.lower() + 4, "stroke=\"#b9bdc4\"");
    const std::string label = tick_label(v, step_of(xs));
    const bool at_edge = f.x(v) + 3.4 * static_cast<double>(label.size()) > f.width;
    out += text_at(at_edge ? f.width - 1 : f.x(v), f.lower() + 17, at_edge ? "end" : "middle", label);
  }
  if (figure.axis != "step") out += text_at(f.width - kRight, f.lower() + 31, "end", figure.axis);
  out += text_at(kLeft, f.top + 16, "start", figure.title, " font-weight=\"600\" fill=\"#1d2330\"");
  for (const auto& [x, y, line] : keys(figure, f.width)) {
    const std::string color = kColors[line->color % 10];
    out += line->points
               ? point_svg(x + 9, f.top + y, color)
               : rule(x, f.top + y, x + 14, f.top + y, ("stroke-width=\"2.5\" stroke=\"" + color + "\"").c_str());
    out += text_at(x + 19, f.top + y + 4, "start", line->label);
  }
  return out;
}

std::string line_svg(const Line& line, const Frame& f) {
  const std::string color = kColors[line.color % 10];
  std::string out, path;
  for (std::size_t i = 0; line.points && i < line.x.size(); ++i) {
    if (drawable(line.y[i])) out += point_svg(f.x(line.x[i]) + line.shift, f.y(line.y[i]), color);
  }
  if (line.points) return out;
  bool pen = false;
  const auto inside = [&](double v) { return std::clamp(f.y(v), f.upper(), f.lower()); };
  if (!line.low.empty()) {
    std::string up, down;
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (!drawable(line.low[i])) continue;
      up += (up.empty() ? "M" : "L") + n(f.x(line.x[i])) + " " + n(inside(line.high[i]));
      down = "L" + n(f.x(line.x[i])) + " " + n(inside(line.low[i])) + down;
    }
    if (!up.empty()) out += "<path d=\"" + up + down + "Z\" fill=\"" + color + "\" fill-opacity=\"0.15\"/>\n";
  }
  for (std::size_t i = 0; i < line.x.size(); ++i) {
    if (!drawable(line.y[i])) {
      pen = false;
      continue;
    }
    const std::string at = n(f.x(line.x[i])) + " " + n(f.y(line.y[i]));
    const bool alone = !pen && (i + 1 == line.x.size() || !drawable(line.y[i + 1]));
    path += alone ? "M" + at + "h0.01" : (pen ? "L" : "M") + at;
    pen = true;
  }
  return out + "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + color +
         "\" stroke-width=\"1.6\" stroke-linejoin=\"round\" stroke-linecap=\"round\"" +
         (line.faint ? " stroke-opacity=\"0.3\"" : "") + "/>\n";
}

}  // namespace

std::string svg_plot(const std::vector<Figure>& figures, int width, int height) {
  double all = figures.empty() ? height : 0;
  for (const Figure& figure : figures) all += height + extra_rows(figure, width);
  const std::string high = std::to_string(std::lround(all));
  std::string out =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + std::to_string(width) + " " + high + "\" width=\"" +
      std::to_string(width) + "\" height=\"" + high +
      "\" font-family=\"Inter, 'Helvetica Neue', Arial, sans-serif\" font-size=\"11.5\" fill=\"#5c6470\">\n";
  double top = 0;
  for (const Figure& figure : figures) {
    const double extra = extra_rows(figure, width);
    Frame f{top, static_cast<double>(width), height + extra, extra, box_of(figure, true)};
    const std::vector<double> ys = ticks(f.box.y0, f.box.y1, 5);
    f.box.y0 = ys.front(), f.box.y1 = ys.back();
    out += stages_svg(figure, f) + axes_svg(figure, f, ys) + walls_svg(figure, f);
    for (auto line = figure.lines.rbegin(); line != figure.lines.rend(); ++line) out += line_svg(*line, f);
    top += f.height;
  }
  return out + "</svg>\n";
}

}  // namespace gradus::results
