// Curves of braille dots: two by four in a cell, so that a terminal of 100 columns shows 200 steps.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "plot_impl.h"
#include "query/table.h"

namespace gradus::results {

std::string tick_label(double value, double step) {
  char text[32];
  const double size = std::abs(value),
               digits = size > 0 && step > 0 ? std::floor(std::log10(size)) - std::floor(std::log10(step)) + 1 : 0;
  const bool short_form = size >= 1e5 || (size > 0 && size < 1e-3);
  // A large number that needs more than three digits is written in full: 1000010, not 1.00001e+06.
  const double least = !short_form ? 6 : size >= 1e5 && digits > 3 ? std::floor(std::log10(size)) + 1 : 3;
  std::snprintf(text, sizeof text, "%.*g", static_cast<int>(std::min(17.0, std::max(least, digits))), value);
  return text;
}

namespace {

constexpr int kAnsi[] = {34, 33, 32, 35, 36, 31, 94, 93, 92, 95};

class Canvas {
 public:
  Canvas(int columns, int rows) : columns_(columns), rows_(rows), cells_(static_cast<std::size_t>(columns * rows)) {}

  void dot(int x, int y, int color) {
    if (x < 0 || y < 0 || x >= columns_ * 2 || y >= rows_ * 4) return;
    static constexpr unsigned char kBits[][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    Cell& cell = cells_[y / 4 * columns_ + x / 2];
    cell.dots |= kBits[y % 4][x % 2];
    cell.color = color;
  }

  void line(int x0, int y0, int x1, int y1, int color) {
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    for (int i = 0; i <= steps; ++i) {
      const double part = static_cast<double>(i) / steps;
      dot(static_cast<int>(std::lround(x0 + part * (x1 - x0))), static_cast<int>(std::lround(y0 + part * (y1 - y0))),
          color);
    }
  }

  // `walls`: columns that an empty cell marks, where a stage begins, and their ANSI colour; `forks`: where a run was forked.
  std::string row(int y, const std::map<int, int>& walls, const std::map<int, int>& forks, bool styled) const {
    std::string text;
    int now = -1;
    const auto paint = [&](int color) {
      if (!styled || color == now) return;
      text += color < 0 ? "\033[0m" : "\033[" + std::to_string(color) + "m";
      now = color;
    };
    for (int x = 0; x < columns_; ++x) {
      const Cell& cell = cells_[y * columns_ + x];
      if (cell.dots != 0) {
        paint(kAnsi[cell.color % 10]);
        text += {'\xe2', static_cast<char>(0xa0 | cell.dots >> 6), static_cast<char>(0x80 | (cell.dots & 0x3f))};
      } else if (const auto fork = forks.find(x); fork != forks.end()) {
        paint(fork->second);
        text += y == 0 ? "⑂" : "│";
      } else if (const auto wall = walls.find(x); wall != walls.end()) {
        paint(wall->second);
        text += "┊";
      } else {
        paint(-1);
        text += ' ';
      }
    }
    paint(-1);
    return text;
  }

 private:
  struct Cell {
    unsigned char dots = 0;
    int color = 0;
  };
  int columns_, rows_;
  std::vector<Cell> cells_;
};

// Puts `text` into a row of spaces where there is room for it.
void place(std::string& row, int at, const std::string& text) {
  const int width = static_cast<int>(row.size()), length = static_cast<int>(text.size());
  at = std::clamp(at, 0, std::max(0, width - length));
  if (length > width || row.find_first_not_of(' ', static_cast<std::size_t>(std::max(0, at - 1))) <
                            static_cast<std::size_t>(at) + static_cast<std::size_t>(length) + 1)
    return;
  row.replace(static_cast<std::size_t>(at), static_cast<std::size_t>(length), text);
}

std::string legend(const Figure& figure, int width, bool styled) {
  std::string text, line;
  int used = 0;
  const std::size_t most = 48;
  for (std::size_t i = 0; i < figure.lines.size() && i <= most; ++i) {
    const bool last = i == most;
    const std::string label =
        last ? "and " + std::to_string(figure.lines.size() - most) + " more" : printable(figure.lines[i].label, 40);
    const int room = display_width(label) + 4;
    if (used > 0 && used + room > width) text += line + "\n", line.clear(), used = 0;
    const std::string key = last     ? " "
                            : styled ? "\033[" + std::to_string(kAnsi[figure.lines[i].color % 10]) + "m━\033[0m"
                                     : "━";
    line += "  " + key + " " + label;
    used += room;
  }
  return text + line + "\n";
}

std::vector<double> marks_of(const Box& box, int height) { return ticks(box.y0, box.y1, std::max(2, height / 4)); }

// Where the numbers of a figure lie on its canvas.
struct Frame {
  Box box;
  std::vector<double> marks;  // on the left, ascending
  int columns, rows;

  int x(double value) const {
    return static_cast<int>(std::lround((value - box.x0) / (box.x1 - box.x0) * (columns * 2 - 1)));
  }
  int y(double value) const {
    return static_cast<int>(std::lround((marks.back() - value) / (marks.back() - marks.front()) * (rows * 4 - 1)));
  }
  int column(double value) const { return std::clamp(x(std::clamp(value, box.x0, box.x1)) / 2, 0, columns - 1); }
};

void draw(const Line& line, const Frame& frame, Canvas& canvas) {
  bool pen = false;
  int px = 0, py = 0;
  for (std::size_t i = 0; i < line.x.size(); ++i) {
    if (!drawable(line.y[i])) {
      pen = false;
      continue;
    }
    const int x = frame.x(line.x[i]), y = frame.y(line.y[i]);
    pen && !line.points ? canvas.line(px, py, x, y, line.color) : canvas.dot(x, y, line.color);
    px = x, py = y, pen = true;
  }
}

// The names of the stages, each where it begins, if it has room; where a stage begins after the first, there is a wall.
std::string stage_names(const Figure& figure, const Frame& frame, std::map<int, int>& walls) {
  std::string names(static_cast<std::size_t>(frame.columns), ' ');
  for (std::size_t i = 0; i < figure.stages.size() && figure.stages[i].from <= frame.box.x1; ++i) {
    const int x = frame.column(figure.stages[i].from);
    if (i > 0) walls.emplace(x, 2);
    const std::string name = printable(figure.stages[i].name, 20);
    const int room = frame.column(figure.stages[i].to) - x, columns_taken = display_width(name);
    if (columns_taken == static_cast<int>(name.size()) && columns_taken < room) place(names, x + (i > 0), name);
  }
  return names;
}

std::string numbers_below(const Frame& frame) {
  std::string numbers(static_cast<std::size_t>(frame.columns), ' ');
  const std::vector<double> along = ticks(frame.box.x0, frame.box.x1, std::max(2, frame.columns / 16));
  for (const double mark : along) {
    if (mark < frame.box.x0 || mark > frame.box.x1) continue;
    const std::string label = tick_label(mark, step_of(along));
    place(numbers, frame.x(mark) / 2 - static_cast<int>(label.size()) / 2, label);
  }
  return numbers;
}

// gutter: columns of the numbers beside the figure.
std::string drawn(const Figure& figure, int width, int height, bool styled, std::size_t gutter) {
  const Box box = box_of(figure, false);
  const Frame frame{box, marks_of(box, height), std::max(10, width - static_cast<int>(gutter) - 2),
                    std::max(3, height)};
  Canvas canvas(frame.columns, frame.rows);
  std::map<int, int> walls, forks;
  for (const Line& line : figure.lines) {
    draw(line, frame, canvas);
    for (const double x : line.walls) walls.emplace(frame.column(x), kAnsi[line.color % 10]);
    for (const double x : line.forks) forks.emplace(frame.column(x), kAnsi[line.color % 10]);
  }
  const std::string bold = styled ? "\033[1m" : "", dim = styled ? "\033[2m" : "", plain = styled ? "\033[0m" : "";
  const std::string title = figure.title + (figure.axis == "step" ? "" : " over " + figure.axis);
  std::string text = bold + printable(title, width) + plain + "\n";
  if (has_stages(figure, box))
    text += std::string(gutter + 2, ' ') + dim + stage_names(figure, frame, walls) + plain + "\n";
  for (int row = 0; row < frame.rows; ++row) {
    std::string label;
    for (const double mark : frame.marks) {
      if (frame.y(mark) / 4 == row) label = tick_label(mark, step_of(frame.marks));
    }
    text += dim + std::string(gutter - label.size(), ' ') + label + (label.empty() ? " │" : " ┤") + plain +
            canvas.row(row, walls, forks, styled) + "\n";
  }
  std::string rule;
  for (int i = 0; i < frame.columns; ++i) rule += "─";
  text += dim + std::string(gutter + 1, ' ') + "└" + rule + "\n" + std::string(gutter + 2, ' ') + numbers_below(frame) +
          plain + "\n";
  return text + legend(figure, width, styled);
}

}  // namespace

std::string terminal_plot(const std::vector<Figure>& figures, int width, int height, bool styled) {
  std::size_t gutter = 0;  // of all: what lies below each other is at the same x
  for (const Figure& figure : figures) {
    const std::vector<double> marks = marks_of(box_of(figure, false), height);
    for (const double mark : marks) gutter = std::max(gutter, tick_label(mark, step_of(marks)).size());
  }
  std::string text;
  for (const Figure& figure : figures) text += drawn(figure, width, height, styled, gutter);
  return text;
}

}  // namespace gradus::results
