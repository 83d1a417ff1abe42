// Figures: what is drawn where, nothing lost, nothing that is not so.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <tuple>

#include "page/report.h"
#include "plot/plot_impl.h"
#include "query/curves.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

using PlotTest = StoreTest;

TEST(PlotSvg, ALegendWrapsInsteadOfLosingEntries) {
  Figure figure;
  figure.title = "val/acc";
  for (int i = 0; i < 9; ++i) {
    Line line;
    line.label = "a strategy with a long name " + std::to_string(i);
    line.x = {0, 1}, line.y = {0, 1}, line.color = i;
    figure.lines.push_back(line);
  }
  const std::string svg = svg_plot({figure, figure}, 600, 300);
  for (int i = 0; i < 9; ++i) EXPECT_NE(svg.find("long name " + std::to_string(i) + "<"), std::string::npos);
  // One key beside the title, two in each of the four rows below it: 64 pixels for each figure.
  EXPECT_NE(svg.find("viewBox=\"0 0 600 728\""), std::string::npos) << svg.substr(0, 200);
  figure.lines.resize(1);
  EXPECT_NE(svg_plot({figure}, 600, 300).find("viewBox=\"0 0 600 300\""), std::string::npos);
}

TEST_F(PlotTest, PanelsShareXAndPutTogetherAreOne) {
  const auto store = create();
  const auto run = store->begin({.name = "r", .seed = 1});
  run->event(0, "stage", "easy", "");
  run->event(20, "stage", "hard", "");
  for (int step = 1; step <= 50; ++step) {
    run->log(run->key("train/loss"), step, 1.0 / step);
    if (step % 10 == 0) run->log(run->key("val/loss"), step, 2.0 / step);
    if (step <= 8) run->log(run->key("probe"), step, step);
  }
  run->log(run->key("other"), 4, 1000);
  run->finish("finished");
  PlotOptions options;
  options.metrics = {"train/loss", "val/loss"};
  options.runs = {run->id()};
  const auto apart = figures(*store, options);
  ASSERT_EQ(apart.size(), 2u);
  EXPECT_EQ(box_of(apart[1], true).x0, 1);
  EXPECT_EQ(box_of(apart[1], true).x1, 50);

  options.together = true;
  const auto together = figures(*store, options);
  ASSERT_EQ(together.size(), 1u);
  EXPECT_EQ(together[0].title, "train/loss, val/loss");
  ASSERT_EQ(together[0].lines.size(), 2u);
  EXPECT_EQ(together[0].lines[1].label, "val/loss");
  EXPECT_EQ(together[0].lines[1].color, 1);
  EXPECT_NE(terminal_plot({together[0]}, 60, 10, false).find("hard"), std::string::npos);

  options.together = false;
  options.metrics = {"train/loss", "other"};
  const auto wide = figures(*store, options);
  options.together = true;
  // Panels below each other begin in one column, however wide their numbers are.
  const std::string panels = terminal_plot(wide, 60, 10, false);
  std::set<std::size_t> columns;
  for (std::size_t at = panels.find("└"), from = 0; at != std::string::npos; at = panels.find("└", from)) {
    columns.insert(at - panels.rfind('\n', at));
    from = at + 1;
  }
  EXPECT_EQ(columns.size(), 1u);

  options.metrics = {"train/loss", "val/loss", "probe", "other"};
  const auto four = figures(*store, options);
  EXPECT_EQ(four.at(0).title, "4 metrics");
  EXPECT_EQ(four.at(0).lines.size(), 4u);

  // No stage begins within 1 to 8: these are no steps of the run, or all of one stage.
  options.metrics = {"probe"};
  options.together = false;
  const auto probe = figures(*store, options);
  EXPECT_EQ(terminal_plot({probe.at(0)}, 60, 10, false).find("easy"), std::string::npos);
  EXPECT_EQ(svg_plot(probe, 600, 300).find("easy"), std::string::npos);

  options.metrics = {"train/loss"};
  options.y = parse_range("0.1,0.5");
  const Figure cut = figures(*store, options).at(0);
  EXPECT_TRUE(std::isnan(cut.lines[0].y.at(0)));
  EXPECT_EQ(cut.lines[0].y.at(1), 0.5);
  EXPECT_TRUE(std::isnan(cut.lines[0].y.at(10)));
  EXPECT_EQ(box_of(cut, true).y1, 0.5);
  for (const char* wrong : {"", "1", "1,0", "0,1,2", "a,b", "0,inf", "0;1"})
    expect_error(Exit::usage, "expected LOW,HIGH", [&] { parse_range(wrong); });
}

TEST_F(PlotTest, AFigureWithNothingToDrawSaysSo) {
  const auto store = create();
  const auto run = store->begin({.name = "r", .seed = 1});
  for (int step = 1; step <= 3; ++step) {
    run->log(run->key("odd"), step, step == 2 ? HUGE_VAL : step == 3 ? 1e305 : std::nan(""));
    run->log(run->key("fine"), step, step == 2 ? 0.5 : std::nan(""));
  }
  run->finish("finished");
  PlotOptions options;
  options.metrics = {"odd", "fine"};
  options.runs = {run->id()};
  const auto titles = [&] {
    const auto all = figures(*store, options);
    return all.at(0).title + ", " + all.at(1).title;
  };
  EXPECT_EQ(titles(), "odd: no finite value, fine");
  options.y = {0.6, 1};
  EXPECT_EQ(titles(), "odd: no value from 0.6 to 1, fine: no value from 0.6 to 1");
}

TEST_F(PlotTest, AParameterThatAGroupLacksIsNoNull) {
  const auto store = create();
  for (const bool has : {true, false}) {
    RunStart start{.name = "r", .seed = 1};
    if (has) start.params = {{"lr", 0.1}};
    const auto run = store->begin(start);
    run->log(run->key("x"), 1, 1);
    run->finish("finished");
  }
  PlotOptions options;
  options.metrics = {"x"};
  options.runs = {1, 2};
  options.by = {"lr"};
  options.grouped = true;
  const Figure figure = figures(*store, options).at(0);
  EXPECT_EQ(figure.lines.at(0).label, "0.1 (1)");
  EXPECT_EQ(figure.lines.at(1).label, "– (1)");
}

// A run that is named is drawn, whatever became of it.
TEST_F(PlotTest, ChildrenArchivedAndFailedRunsAreDrawn) {
  const auto store = create();
  const auto train = [&](std::optional<std::int64_t> parent, const char* status) {
    const auto run = store->begin({.name = "r", .parent = parent});
    run->log(run->key("x"), 1, static_cast<double>(run->id()));
    run->finish(status);
    return run->id();
  };
  PlotOptions options;
  options.metrics = {"x"};
  options.runs = {train({}, "finished"), train(1, "finished"), train({}, "failed")};
  archive_runs(*store, {1}, true);
  EXPECT_EQ(figures(*store, options).at(0).lines.size(), 3u);
  options.grouped = true;
  EXPECT_EQ(figures(*store, options).at(0).lines.at(0).label, "r (2 of 3)") << "no mean has what failed";
  EXPECT_EQ(figures(*store, options).at(0).lines.at(0).y, std::vector<double>{1.5});
  const auto other = store->begin({.name = "other"});
  other->log(other->key("x"), 1, 7);
  other->finish("failed");
  options.runs.push_back(other->id());
  EXPECT_EQ(figures(*store, options).at(0).lines.at(1).label, "other (0 of 1)")
      << "of a group that failed, what it came to";
  EXPECT_EQ(figures(*store, options).at(0).lines.at(1).y, std::vector<double>{7});
  options.runs = {train({}, "failed"), train({}, "interrupted")};
  EXPECT_EQ(figures(*store, options).at(0).lines.at(0).label, "r (2)") << "of runs that all came to nothing";
  EXPECT_EQ(figures(*store, options).at(0).lines.at(0).y, std::vector<double>{5.5});
}

TEST_F(PlotTest, UnitsAndTitlesAtTheirEdges) {
  const auto store = create();
  const auto train = [&](double flops) {
    const auto run = store->begin({.name = "r", .seed = 1});
    for (const char* key : {"a", "b", "c", "d"}) run->log(run->key(key), 10, 1);
    run->event(0, "stage", "easy", "");
    run->event(5, "stage", "hard", "");
    run->event(5, "warning", "w", "");
    run->progress(10, 0, 0, flops, 0);
    run->finish("finished");
    return run->id();
  };
  PlotOptions options;
  options.x = parse_axis("flops");
  options.metrics = {"a"};
  for (const auto& [flops, axis, x] : std::vector<std::tuple<double, const char*, double>>{{999'998, "flops", 999'998},
                                                                                           {1e6, "MFLOPs", 1},
                                                                                           {999e6, "MFLOPs", 999},
                                                                                           {1e9, "GFLOPs", 1},
                                                                                           {2e12, "TFLOPs", 2},
                                                                                           {4e15, "PFLOPs", 4}}) {
    options.runs = {train(flops)};
    const auto found = figures(*store, options);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].axis, axis);
    EXPECT_DOUBLE_EQ(found[0].lines[0].x[0], x);
    EXPECT_DOUBLE_EQ(found[0].x1, x);
    EXPECT_DOUBLE_EQ(found[0].marks.at(0).x, x / 2);
    EXPECT_DOUBLE_EQ(found[0].x0, x);
    EXPECT_DOUBLE_EQ(found[0].stages.at(0).to, x / 2);
    EXPECT_DOUBLE_EQ(found[0].stages.at(1).from, x / 2);
  }
  options.x = parse_axis("step");
  options.together = true;
  options.metrics = {"a", "b", "c"};
  EXPECT_EQ(figures(*store, options)[0].title, "a, b, c");
  options.metrics = {"a", "b", "c", "d"};
  EXPECT_EQ(figures(*store, options)[0].title, "4 metrics");
  options.runs = {1, 2};
  options.metrics = {"a", "b"};
  EXPECT_EQ(figures(*store, options)[0].lines[3].label, "b 2 r seed 1");
  EXPECT_EQ(figures(*store, options)[0].lines[3].color, 3);
  options.grouped = true;
  EXPECT_EQ(figures(*store, options)[0].lines[1].label, "b");
}

TEST_F(PlotTest, ForksAreMarkedWhereTheyPart) {
  const auto store = create();
  const auto train = [](Writer& run, int from) {
    for (int step = from; step <= 10; ++step) {
      run.log(run.key("val/loss"), step, 1.0 / step + static_cast<double>(run.id()));
      run.progress(step, 0, 0, step * 2e9, 0);
    }
    run.finish("finished");
  };
  const auto one = store->begin({.name = "r", .seed = 1, .params = {{"T", std::int64_t{4}}}});
  train(*one, 1);
  const auto fork = store->begin({.name = "r",
                                  .seed = 1,
                                  .params = {{"T", std::int64_t{8}}},
                                  .past = Past{1, {.step = 4, .progress = 4, .keys = R"(["val/loss"])"}}});
  fork->event(0, "resume", "fork", R"({"run":1,"at":4,"set":{"T":8},"uid":")" + one->uid() + "\"}");
  train(*fork, 5);
  PlotOptions options;
  options.metrics = {"val/loss"};
  options.runs = {1, 2};
  for (const bool grouped : {false, true}) {
    options.grouped = grouped;
    const auto found = figures(*store, options);
    ASSERT_EQ(found[0].lines.size(), 2u);
    EXPECT_TRUE(found[0].lines[0].forks.empty());
    EXPECT_EQ(found[0].lines[1].forks, std::vector<double>{4});
    EXPECT_NE(svg_plot(found, 600, 300).find("forked here</title>"), std::string::npos);
    EXPECT_NE(terminal_plot(found, 80, 12, false).find("⑂"), std::string::npos);
  }
  options.x = parse_axis("flops");
  EXPECT_EQ(figures(*store, options)[0].lines[1].forks, std::vector<double>{8}) << "GFLOPs";
  options.runs = {2};
  options.x = parse_axis("step");
  const auto alone = figures(*store, options);
  EXPECT_TRUE(alone[0].lines[0].forks.empty());
  ASSERT_EQ(alone[0].marks.size(), 1u);
  EXPECT_EQ(alone[0].marks[0].x, 4) << "not at 0, where it was told";
  const std::string text = report(*store, {.runs = {1, 2}, .markdown = true}), page = report(*store, {.runs = {1, 2}});
  EXPECT_NE(text.find("## Forks"), std::string::npos);
  EXPECT_NE(text.find("| 2 | 1 | 4 | T=8 |"), std::string::npos) << text;
  EXPECT_NE(page.find("forked here</title>"), std::string::npos);
  EXPECT_EQ(report(*store, {.runs = {1}, .markdown = true}).find("## Forks"), std::string::npos);
}

TEST_F(PlotTest, AnAccuracysBandStaysBetweenZeroAndOne) {
  const auto store = create();
  std::vector<std::int64_t> runs;
  for (const double value : {0.4, 1.0, 0.99}) {
    const auto run = store->begin({.name = "r", .seed = 1});
    for (const char* key : {"val/acc", "hard/teacher_acc", "val/forgotten", "val/loss"})
      run->log(run->key(key), 1, value);
    run->log(run->key("percent/acc"), 1, 100 * value);
    run->finish("finished");
    runs.push_back(run->id());
  }
  for (const char* key : {"val/acc", "hard/teacher_acc", "val/forgotten"}) {
    EXPECT_EQ(mean_band(*store, runs, key, 100).high.at(0), 1) << key;
    EXPECT_EQ(mean_band(*store, runs, key, 100).low.at(0), 0) << key;
  }
  EXPECT_GT(mean_band(*store, runs, "val/loss", 100).high.at(0), 1.5);
  EXPECT_GT(mean_band(*store, runs, "percent/acc", 100).high.at(0), 150);
}

TEST_F(PlotTest, AReportDrawsTheValidationsCurvesWhereThereAreSome) {
  const auto store = create();
  const auto drawn = [&](const std::vector<const char*>& keys) {
    const auto run = store->begin({.name = "r", .seed = 1});
    for (const char* key : keys)
      for (int step = 1; step <= 2; ++step) run->log(run->key(key), step, step);
    run->finish("finished");
    const std::string page = report(*store, {.runs = {run->id()}});
    std::string titles;
    for (const char* key : keys)
      if (page.find(std::string("font-weight=\"600\" fill=\"#1d2330\">") + key + "<") != std::string::npos)
        titles += std::string(titles.empty() ? "" : " ") + key;
    return titles;
  };
  EXPECT_EQ(drawn({"val/acc", "train/loss", "noise", "a/val/acc"}), "val/acc train/loss");
  EXPECT_EQ(drawn({"noise", "val/acc"}), "val/acc");
  EXPECT_EQ(drawn({"noise", "other", "knob/lr", "result/x"}), "noise other");
}

TEST_F(PlotTest, SpreadsAreCloudsOfPoints) {
  const auto store = create();
  const auto run = store->begin({.name = "r", .seed = 1});
  run->event(100, "spread", "probe/teacher", R"({"inside": [0.5, -0.5], "outside": [0.1], "note": "x"})");
  run->event(300, "spread", "probe/teacher", R"({"inside": [0.98765, "no", -0.9], "outside": [0.2, null]})");
  run->event(5, "spread", "probe/student", R"({"inside": [1]})");
  run->event(5, "spread", "broken", "[1]");
  run->event(5, "spread", "six", R"({"a": [1], "b": [2], "c": [0], "d": [0], "e": [0], "f": [0]})");
  run->finish("finished");
  PlotOptions options;
  options.metrics = {"probe/teacher"};
  options.runs = {run->id()};
  const auto drawn = spreads(*store, options);
  ASSERT_EQ(drawn.size(), 1u);
  ASSERT_EQ(drawn[0].lines.size(), 2u);
  const Line& inside = drawn[0].lines[0];
  EXPECT_EQ(inside.label, "inside");
  EXPECT_TRUE(inside.points);
  EXPECT_EQ(inside.x, (std::vector<double>{100, 100, 300, 300}));
  EXPECT_EQ(inside.y, (std::vector<double>{0.5, -0.5, 0.98765, -0.9}));
  EXPECT_EQ(drawn[0].lines[1].y, (std::vector<double>{0.1, 0.2}));
  EXPECT_EQ(inside.shift, -3) << "beside each other";
  EXPECT_EQ(drawn[0].lines[1].shift, 3);
  EXPECT_EQ(drawn[0].axis, "step");
  EXPECT_EQ(drawn[0].x0, 95) << "room beside the clouds";
  EXPECT_EQ(drawn[0].x1, 305);
  const std::string svg = svg_plot(drawn, 600, 300);
  std::size_t circles = 0;
  for (std::size_t at = svg.find("<circle"); at != std::string::npos; at = svg.find("<circle", at + 1)) ++circles;
  EXPECT_EQ(circles, 8u);  // six points and two keys
  EXPECT_NE(terminal_plot({drawn[0]}, 60, 10, false).find("inside"), std::string::npos);
  // A report draws them, and does not list their numbers.
  ReportOptions whole;
  whole.runs = options.runs;
  const std::string html = report(*store, whole);
  EXPECT_NE(html.find("<circle"), std::string::npos);
  EXPECT_EQ(html.find("0.98765"), std::string::npos);
  options.metrics = {"probe/teacer"};
  expect_error(Exit::usage, "did you mean 'probe/teacher'?", [&] { spreads(*store, options); });
  options.metrics = {"six"};
  options.y = {0, 1};
  const auto six = spreads(*store, options);
  std::vector<int> colors;
  for (const Line& line : six.at(0).lines) colors.push_back(line.color);
  EXPECT_EQ(colors, (std::vector<int>{3, 0, 2, 1, 4, 3})) << "red inside, blue outside";
  EXPECT_EQ(six[0].lines[0].y[0], 1);
  EXPECT_TRUE(std::isnan(six[0].lines[1].y[0]));
  options.metrics = {"broken"};
  EXPECT_TRUE(spreads(*store, options).empty());
  expect_error(Exit::usage, "none of these runs has the spread 'x'", [&] {
    options.metrics = {"x"};
    spreads(*store, options);
  });
}

}  // namespace
}  // namespace gradus::results
