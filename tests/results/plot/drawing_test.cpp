// Figures drawn by hand, in which each kind of thing is there once: where it is put, on paper and in a terminal.
#include <gtest/gtest.h>

#include <cmath>

#include "golden.h"
#include "page/report.h"
#include "plot/plot_impl.h"

namespace gradus::results {
namespace {

const double kNan = std::nan("");

// x from 0 to 100, y from 0 to 1: in 600 × 300, without a legend's rows, x is at 58 + 5.28 v and y at 215.1 − 122.2 v (from -0.4 to 1.4: the band).
Figure of_one_run() {
  Figure figure;
  figure.title = "val/acc";
  figure.axis = "step";
  Line line;
  line.label = "1 digits";
  line.x = {0, 10, 20, 30, 40, 60, 80, 100};
  line.y = {0, 0.5, kNan, 0.25, kNan, 0.75, 0.8, 1};
  line.low = {0, 0.4, kNan, -0.9, kNan, 0.7, 0.8, 1}, line.high = {0, 0.6, kNan, 0.3, kNan, 2, 0.85, 1};
  figure.lines = {line};
  figure.stages = {
      {"easy", 0, 30}, {"a stage of a very long name", 30, 50}, {"hard", 50, HUGE_VAL}, {"never", 101, HUGE_VAL}};
  figure.marks = {{10, {10, "decision", "stop & go", R"({"acc":0.5})"}},
                  {50, {50, "resume", "attempt", ""}},
                  {70, {70, "nan", "loss", "{}"}},
                  {101, {101, "decision", "outside", ""}},
                  {-1, {-1, "decision", "outside", ""}}};
  return figure;
}

Figure of_many() {
  Figure figure;
  figure.title = "val/loss";
  figure.axis = "GFLOPs";
  for (int i = 0; i < 12; ++i) {
    Line line;
    line.label = "group " + std::to_string(i);
    line.color = i;
    line.x = {0, 50, 99.5};
    line.y = {2e-4 * (i + 1), 1e-4 * (i + 1), 0.5e-4 * i};
    line.faint = i == 11;
    if (i == 1) line.walls = {0, 25, 25.01, 101}, line.forks = {50, -1};
    if (i == 2) line.walls = {25, 75}, line.forks = {50, 99.5, 0, 100, 100.5};
    if (i == 3) line.points = true, line.shift = 6;
    figure.lines.push_back(line);
  }
  return figure;
}

Figure of_nothing() {
  Figure figure;
  figure.title = "<none> & \"no\" 'line'";
  figure.axis = "step";
  return figure;
}

Figure of_equal_values(double value) {
  Figure figure;
  figure.title = "equal";
  figure.axis = "step";
  Line line;
  line.label = "one", line.x = {7}, line.y = {value};
  figure.lines = {line};
  return figure;
}

TEST(Drawing, OnPaper) {
  expect_golden("drawn.svg", svg_plot({of_one_run(), of_many()}, 600, 300));
  expect_golden("drawn_wide.svg", svg_plot({of_many(), of_nothing(), of_equal_values(0)}, 1400, 200));
  EXPECT_NE(svg_plot({of_one_run()}, 600, 300)
                .find("M58.0 215.1L110.8 154.0M216.4 184.6h0.01M374.8 123.4L480.4 117.3L586.0 92.9"),
            std::string::npos);
  EXPECT_NE(svg_plot({}, 600, 300).find("viewBox=\"0 0 600 300\""), std::string::npos);
}

TEST(Drawing, InATerminal) {
  expect_golden("drawn.txt", terminal_plot({of_one_run(), of_many()}, 80, 12, false));
  expect_golden("drawn_colours.txt", terminal_plot({of_many(), of_one_run(), of_equal_values(-3)}, 100, 16, true));
  expect_golden("drawn_small.txt", terminal_plot({of_one_run(), of_nothing(), of_equal_values(0)}, 5, 1, false));
}

TEST(Drawing, ALegendOfFiftyNamesFortyEight) {
  Figure figure = of_equal_values(1);
  figure.lines.resize(48, figure.lines[0]);
  EXPECT_EQ(terminal_plot({figure}, 80, 4, false).find("more"), std::string::npos);
  figure.lines.resize(50, figure.lines[0]);
  const std::string text = terminal_plot({figure}, 80, 4, false);
  EXPECT_NE(text.find("    and 2 more\n"), std::string::npos) << text;
}

TEST(Drawing, WhatAFigureCovers) {
  struct {
    std::vector<double> x, y, low, high;
    Box box;
  } const cases[] = {
      {{}, {}, {}, {}, {0, 1, 0, 1}},
      {{3}, {kNan}, {}, {}, {3, 4, 0, 1}},
      {{3}, {5}, {}, {}, {3, 4, 4.5, 5.5}},
      {{3}, {-5}, {}, {}, {3, 4, -5.5, -4.5}},
      {{3}, {0}, {}, {}, {3, 4, -1, 1}},
      {{-2, 8}, {1, 9}, {}, {}, {-2, 8, 1, 9}},
      {{-2, 8}, {1, HUGE_VAL}, {}, {}, {-2, 8, 0.9, 1.1}},
      {{-2, 8}, {-HUGE_VAL, 1}, {}, {}, {-2, 8, 0.9, 1.1}},
      {{-2, 8}, {1, 9}, {0, 8}, {2, 10}, {-2, 8, 0, 10}},
      {{-2, 8}, {1, 9}, {-90, 8}, {2, 90}, {-2, 8, -1, 11}},
  };
  for (const auto& one : cases) {
    Figure figure;
    figure.lines.resize(1);
    figure.lines[0].x = one.x, figure.lines[0].y = one.y, figure.lines[0].low = one.low,
    figure.lines[0].high = one.high;
    const Box box = box_of(figure, true);
    const std::string what = std::to_string(&one - cases);
    EXPECT_EQ(box.x0, one.box.x0) << what;
    EXPECT_EQ(box.x1, one.box.x1) << what;
    EXPECT_DOUBLE_EQ(box.y0, one.box.y0) << what;
    EXPECT_DOUBLE_EQ(box.y1, one.box.y1) << what;
    if (!one.low.empty()) {
      EXPECT_EQ(box_of(figure, false).y1, 9);
    }
    figure.x0 = -100, figure.x1 = 100, figure.y = {0.25, 0.75};
    EXPECT_EQ(box_of(figure, true).x0, -100);
    EXPECT_EQ(box_of(figure, true).x1, 100);
    EXPECT_EQ(box_of(figure, true).y0, 0.25);
    EXPECT_EQ(box_of(figure, true).y1, 0.75);
  }
}

TEST(Drawing, Ticks) {
  using V = std::vector<double>;
  struct {
    double low, high;
    int count;
    V ticks;
  } const cases[] = {
      {0, 1, 5, {0, 0.2, 0.4, 0.6, 0.8, 1}},
      {0, 10, 10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
      {0, 14.9, 10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
      {0, 15, 10, {0, 2, 4, 6, 8, 10, 12, 14, 16}},
      {0, 34, 10, {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34}},
      {0, 35, 10, {0, 5, 10, 15, 20, 25, 30, 35}},
      {0, 74, 10, {0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75}},
      {0, 75, 10, {0, 10, 20, 30, 40, 50, 60, 70, 80}},
      {-3, 3, 3, {-4, -2, 0, 2, 4}},
      {5, 5, 2, {5, 5.5, 6}},
      {5, 4, 2, {5, 5.5, 6}},
      {0, 1, 0, {0, 1}},
      {0, 1, -4, {0, 1}},
      {0.31, 0.59, 3, {0.3, 0.4, 0.5, 0.6}},
  };
  for (const auto& one : cases) {
    const V found = ticks(one.low, one.high, one.count);
    ASSERT_EQ(found.size(), one.ticks.size())
        << one.low << " to " << one.high << " by " << one.count << ": " << ::testing::PrintToString(found);
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_DOUBLE_EQ(found[i], one.ticks[i]);
  }
  EXPECT_EQ(ticks(0, 1000, 1000).size(), 100u);
  EXPECT_FALSE(std::signbit(ticks(-1, 1, 2)[1])) << "no -0";
}

TEST(Drawing, TickLabels) {
  const std::pair<double, const char*> cases[] = {{0, "0"},
                                                  {1e5, "1e+05"},
                                                  {99999, "99999"},
                                                  {-123456, "-1.23e+05"},
                                                  {1e-3, "0.001"},
                                                  {0.00099, "0.00099"},
                                                  {-9.99e-4, "-0.000999"},
                                                  {1.23456e-5, "1.23e-05"},
                                                  {0.123456789, "0.123457"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(tick_label(value), text);
  // Neighbours have other labels, however close they are for their size.
  const std::tuple<double, double, const char*> close[] = {{1000010, 10, "1000010"},
                                                           {-1000010, 10, "-1000010"},
                                                           {252000, 2000, "2.52e+05"},
                                                           {252500, 500, "252500"},
                                                           {250000, 50000, "2.5e+05"},
                                                           {1764432010000, 10000, "1764432010000"},
                                                           {1e6, 1e5, "1e+06"},
                                                           {0.99990001, 1e-8, "0.99990001"},
                                                           {1.5e-4, 5e-5, "0.00015"},
                                                           {1.2345e-5, 1e-9, "1.2345e-05"},
                                                           {0, 10, "0"}};
  for (const auto& [value, step, text] : close) EXPECT_EQ(tick_label(value, step), text);
}

TEST(Drawing, MarkupIsEscaped) {
  EXPECT_EQ(escape_markup("a&b<c>d\"e'f\n\t\x01\x1f\x20ü"), "a&amp;b&lt;c&gt;d&quot;e&#39;f\n\t   ü");
}

TEST(Drawing, ValuesBeyondWhichAHeightOverflowsAreGaps) {
  Figure figure;
  figure.title = "loss";
  figure.lines.resize(1);
  figure.lines[0].x = {0, 1, 2, 3};
  figure.lines[0].y = {1, 1e308, -1e308, 3};
  EXPECT_EQ(box_of(figure, true).y1, 3);
  const std::string svg = svg_plot({figure}, 400, 200);
  EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
  EXPECT_NE(terminal_plot({figure}, 60, 8, false).find("3 ┤"), std::string::npos);
}

TEST(Drawing, LabelsThatHaveNoRoomAreLeftOut) {
  Figure figure;
  figure.lines.resize(1);
  figure.lines[0].x = {100000, 100002}, figure.lines[0].y = {0, 1};
  const std::string text = terminal_plot({figure}, 5, 3, false);
  EXPECT_NE(text.find("100000"), std::string::npos) << text;
  EXPECT_EQ(text.find("100001"), std::string::npos) << text;
  EXPECT_EQ(text.find("100002"), std::string::npos) << text;
}

// From a dot to the next one, diagonally: no third beside them.
TEST(Drawing, NeighbouringDotsAreJoinedByNone) {
  Figure figure;
  figure.lines.resize(1);
  figure.lines[0].x = {0, 1, 10, 19}, figure.lines[0].y = {0, 1 / 11.0, kNan, 1};
  const std::string text = terminal_plot({figure}, 5, 3, false);
  EXPECT_NE(text.find("⡠"), std::string::npos) << text;
}

// A terminal draws no bands, and has no wider margin for them.
TEST(Drawing, BandsTakeNoRoomInATerminal) {
  Figure figure;
  figure.lines.resize(1);
  figure.lines[0].x = {0, 1}, figure.lines[0].y = {0, 1};
  const std::string bare = terminal_plot({figure}, 60, 8, false);
  EXPECT_NE(bare.find("0.5 "), std::string::npos) << "a wide label that a taller figure does not have";
  figure.lines[0].low = {-99, -99}, figure.lines[0].high = {99, 99};
  EXPECT_EQ(terminal_plot({figure}, 60, 8, false), bare);
}

// Where a label that tells neighbours apart is wider than the margin, the short one stands there.
TEST(Drawing, LabelsAreAsWideAsTheMargin) {
  for (const auto& [value, label] : std::vector<std::pair<double, const char*>>{
           {10'000'000, ">10000010<"}, {100'000'000, ">1e+08<"}, {1e15, ">1e+15<"}}) {
    Figure figure;
    figure.lines.resize(1);
    figure.lines[0].x = {0, 1}, figure.lines[0].y = {value, value + 50};
    const std::string svg = svg_plot({figure}, 400, 200);
    EXPECT_NE(svg.find(label), std::string::npos) << svg;
  }
}

TEST(Drawing, WhatLiesOutsideOfARangeIsAGap) {
  Figure figure;
  figure.lines.resize(1);
  figure.lines[0].y = {0, 0.25, 0.5, 0.75, 1, kNan};
  figure.lines[0].low = {0, 0.3, kNan}, figure.lines[0].high = {0.5, 0.9, kNan};
  keep_to(figure, std::nullopt);
  EXPECT_EQ(figure.lines[0].y[0], 0);
  keep_to(figure, std::pair{0.25, 0.75});
  const auto& line = figure.lines[0];
  for (const int gap : {0, 4, 5}) EXPECT_TRUE(std::isnan(line.y[gap])) << gap;
  EXPECT_EQ(
      (std::vector<double>{line.y[1], line.y[2], line.y[3], line.low[0], line.low[1], line.high[0], line.high[1]}),
      (std::vector<double>{0.25, 0.5, 0.75, 0.25, 0.3, 0.5, 0.75}));
  EXPECT_TRUE(std::isnan(line.low[2]) && std::isnan(line.high[2]));
  EXPECT_EQ(figure.y->second, 0.75);
}

}  // namespace
}  // namespace gradus::results
