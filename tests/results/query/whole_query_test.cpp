// Everything that the reading commands tell of one store (whole_store.h), kept whole.
#include "query/columns.h"
#include "query/curves.h"
#include "query/diff.h"
#include "query/direction.h"
#include "query/lineage.h"
#include "query/stage_text.h"
#include "query/stages.h"
#include "whole_store.h"

namespace gradus::results {
namespace {

using WholeQueryTest = WholeStoreTest;

std::string rows_of(const StageText& text) {
  std::string all;
  for (const std::string& title : text.titles) all += title + " | ";
  for (const auto& row : text.rows) {
    all += "\n";
    for (const std::string& cell : row) all += cell + " | ";
  }
  return all + "\n";
}

TEST_F(WholeQueryTest, Runs) {
  std::string all;
  std::vector<std::string> notes;
  const RunFilter filters[] = {
      {},
      {.limit = 2},
      {.where = "val_acc.last > 0.5"},
      {.where = "strategy == 'stages'",
       .limit = 1,
       .params = {{"lr"}},
       .metrics = {{"val/acc", "score"}},
       .notes = &notes},
      {.children = true, .archived = true},
      {.where = "last(val_acc) > 0.5 and seed >= 2", .params = {{}}, .metrics = {{}}, .notes = &notes},
      {.where = "archived == nil", .metrics = {{}}}};
  for (const RunFilter& filter : filters) {
    all += "# " + filter.where + " " + std::to_string(filter.limit) + "\n";
    try {
      all += told(lines(list_runs(*store_, filter))) + "\n";
    } catch (const Error& error) {
      all += std::string(error.what()) + "\n";
    }
  }
  for (const std::string& note : notes) all += note + "\n";
  for (const char* run : {"1", "7", "8", "9", "@last", "60000000"})
    all += std::string("# ") + run + "\n" + told(lines(show_run(*store_, run))) + "\n";
  expect_golden("runs.txt", all);
}

TEST_F(WholeQueryTest, Compared) {
  const std::pair<const char*, CompareOptions> cases[] = {
      {"all", {}},
      {"by strategy", {.by = {"strategy"}}},
      {"at, auc, threshold, t",
       {.by = {"strategy"},
        .metrics = {"val/acc", "val/loss"},
        .threshold = parse_threshold("val/acc>=0.4"),
        .at = parse_budget("samples=75"),
        .auc = true,
        .ci = "t"}},
      {"loss, seconds",
       {.by = {"strategy"},
        .metrics = {"train/loss", "score", "knob/temperature"},
        .threshold = parse_threshold("val/loss<=0.4"),
        .at = parse_budget("seconds=4"),
        .ci = "bootstrap",
        .level = 0.8}},
      {"flops, unfinished",
       {.by = {"strategy"}, .metrics = {"hard/acc"}, .at = parse_budget("flops=1e10"), .unfinished = true}},
      {"step", {.by = {"lr"}, .metrics = {"val/acc"}, .at = parse_budget("step=3"), .unfinished = true}},
      {"versus",
       {.by = {"strategy"},
        .metrics = {"val/acc", "result/test", "val/loss", "score"},
        .auc = true,
        .versus = "one_shot",
        .margins = {parse_margin("0.5"), parse_margin("val/loss=0.01")},
        .unfinished = true}},
      {"versus, lost",
       {.filter = {.where = "id <= 6"},
        .by = {"strategy", "augment"},
        .metrics = {"result/test", "val/acc"},
        .at = parse_budget("step=6"),
        .level = 0.9,
        .versus = "strategy=stages,augment=true"}},
      {"running", {.filter = {.where = "id <= 3"}, .by = {"name"}, .metrics = {"val/acc"}, .running = true}},
  };
  std::string all;
  for (const auto& [name, options] : cases) {
    all += std::string("# ") + name + "\n";
    try {
      all += told(lines(compare(*store_, options))) + "\n";
    } catch (const Error& error) {
      all += std::string(error.what()) + "\n";
    }
  }
  expect_golden("compare.txt", all);
}

TEST_F(WholeQueryTest, StagesLineageAndDifferences) {
  std::string all;
  for (const int run : {1, 4, 7, 8})
    all += "# stages of " + std::to_string(run) + "\n" + lines(stage_table(*store_, run)) + "\n" +
           rows_of(stage_text(stage_table(*store_, run)));
  const Json compared = compare_stages(*store_, {.by = {"strategy", "stage"}, .ci = "t", .unfinished = true});
  all += "# by stage\n" + lines(compared) + "\n" + rows_of(stage_groups_text(compared));
  for (const int run : {1, 7, 9}) {
    all += "# lineage of " + std::to_string(run) + "\n" + lines(origin_of(*store_, run)) + "\n" +
           lines(forks_of(*store_, run)) + "\n" + lines(family_of(*store_, run)) + "\n";
  }
  const Json common = common_past(*store_, 7, 1);
  all += lines(common) + "\n" + common_past_text(common) + "\n" + fork_text(origin_of(*store_, 7)) + "\n" +
         lines(common_past(*store_, 7, 2)) + "\n";
  for (const auto& [a, b] : {std::pair{"1", "4"}, {"1", "7"}, {"1", "2"}, {"5", "6"}, {"1", "1"}, {"8", "9"}})
    all += std::string("# ") + a + " and " + b + "\n" + told(lines(diff_runs(*store_, a, b))) + "\n";
  expect_golden("stages.txt", all);
}

TEST_F(WholeQueryTest, BandsAndPositions) {
  std::string all;
  for (const char* name : {"step", "epoch", "samples", "flops", "seconds"}) {
    const Axis axis = parse_axis(name);
    for (const int columns : {2, 100}) {
      const Band band = mean_band(*store_, {1, 2, 3, 6}, "val/acc", columns, axis);
      all += std::string(name) + " " + std::to_string(band.runs) + " " + std::to_string(columns) + "\n";
      for (std::size_t i = 0; i < band.steps.size(); ++i)
        all += "  " + lines(Json(static_cast<double>(band.steps[i]) * axis.unit)) + " " + lines(Json(band.mean[i])) +
               " " + lines(Json(band.low[i])) + " " + lines(Json(band.high[i])) + "\n";
    }
    const Positions positions(*store_, 1, axis);
    for (const int step : {-1, 0, 1, 7, 10, 11}) {
      const auto at = positions.of(step);
      all += " " + (at ? lines(Json(static_cast<double>(*at) * axis.unit)) : "none");
    }
    all += "\n";
  }
  expect_golden("bands.txt", all);
}

TEST_F(WholeQueryTest, SortedAndWithColumns) {
  std::string all;
  for (const char* column :
       {"id", "seed", "strategy", "best(val/acc)", "val/loss", "lr", "none", "nothing", "tags.paper"}) {
    for (const bool reverse : {false, true}) {
      all += std::string(column) + (reverse ? " reversed:" : ":");
      try {
        for (const Json& run : list_sorted(*store_, {.limit = 4, .params = {{}}, .metrics = {{}}}, column, reverse))
          all += " " + dump(run["id"]);
      } catch (const Error& error) {
        all += std::string(" ") + error.what();
      }
      all += "\n";
    }
  }
  Json runs = list_runs(*store_, {.limit = 3, .params = {{}}, .metrics = {{}}});
  add_columns(*store_, runs, {"best(val/acc)", "note", "strategy", "val/loss", "at(val/acc, 5)"});
  expect_golden("sorted.txt", told(all + lines(runs) + "\n"));
}

}  // namespace
}  // namespace gradus::results
