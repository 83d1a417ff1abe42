#include "plot_command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "error.h"
#include "exchange/output_file.h"
#include "output.h"
#include "page/report.h"
#include "plot/plot.h"
#include "query/names.h"
#include "query/query.h"

namespace gradus {
namespace {

using namespace results;

struct Options {
  std::vector<std::string> words;  // plot: METRIC… RUN…, report: RUN…
  std::string where, by, output, title, y, x = "step";
  std::vector<std::string> metrics;
  std::string kind = "curves";
  bool markdown = false, together = false;
  int width = 0, height = 0;
};

void write_out(const std::string& path, const std::string& text) {
  OutputFile file(path);
  file.write(text);
  file.finish();
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The runs that were named; else those that fit --where; else all that --by is to group; else the last one.
std::vector<std::int64_t> choose(Store& store, const std::vector<std::string>& named, const Options& options) {
  const std::string& where = options.where;
  std::vector<std::int64_t> runs;
  for (const std::string& run : named) runs.push_back(store.resolve(run));
  if (!named.empty() && !where.empty()) throw Error(Exit::usage, "expected either RUN or --where; got both");
  if (named.empty() && (!where.empty() || !options.by.empty())) {
    RunFilter filter;
    std::vector<std::string> notes;
    filter.where = where;
    filter.notes = &notes;
    filter.metrics.emplace();
    for (const Json& run : list_runs(store, filter)) runs.push_back(run["id"].get<std::int64_t>());
    print_notes(notes);
    if (runs.empty()) throw Error(Exit::missing, where.empty() ? "no runs yet" : "no runs fit --where");
  }
  if (runs.empty()) runs.push_back(store.resolve("@last"));
  return runs;
}

bool is_uid(Store& store, const std::string& word) {
  if (word.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return false;
  try {
    store.resolve(word);
    return true;
  } catch (const Error& error) {
    return error.code != Exit::missing;  // several begin like this
  }
}

void plot_command(const std::string& path, const Options& options) {
  if (!options.output.empty() && !ends_with(options.output, ".svg"))
    throw Error(Exit::usage, "plot: --output: expected a file name that ends in .svg; got '" + options.output +
                                 "' (rsvg-convert or a browser make PNG of it)");
  const auto store = Store::open(path, Store::Mode::read);
  const bool spread = options.kind == "spread";
  if (spread && (options.together || options.x != "step" || !options.by.empty()))
    throw Error(Exit::usage, "plot: --kind spread takes neither --by nor --together nor --x: its points are of steps");
  // A word is a metric when the store has it, a run when it looks like one ("acc" may begin a uid, but seldom does);
  // anything else is a misspelt metric.
  const std::vector<std::string> known = metric_names(*store);
  PlotOptions plot;
  std::vector<std::string> runs;
  for (const std::string& word : split_all(options.words)) {
    const bool metric = std::find(known.begin(), known.end(), word) != known.end();
    const bool number = word.find_first_not_of("0123456789") == std::string::npos;
    const bool run = word == "@last" || number || (!metric && is_uid(*store, word));
    (metric || !run ? plot.metrics : runs).push_back(word);
  }
  // Where no metric is named, a few letters that begin a uid by chance were meant as one.
  if (plot.metrics.empty() && runs.size() == 1 && runs[0].size() < 8 && runs[0][0] != '@' &&
      runs[0].find_first_of("abcdef") != std::string::npos)
    plot.metrics.swap(runs);
  if (plot.metrics.empty()) throw Error(Exit::usage, "plot: no METRIC; expected a metric, such as val/acc");
  plot.runs = choose(*store, runs, options);
  plot.by = split_commas(options.by);
  plot.x = axis_of(*store, plot.runs, options.x);
  plot.together = options.together;
  if (!options.y.empty()) plot.y = parse_range(options.y);
  plot.grouped = plot.runs.size() > 12;  // more lines than a legend can name
  const std::vector<Figure> drawn = spread ? spreads(*store, plot) : figures(*store, plot);
  if (drawn.empty())
    throw Error(Exit::missing, "plot: none of these runs has " + plot.metrics[0] +
                                   (options.x == "step" ? "" : " and its " + options.x));
  if (!options.output.empty())
    return write_out(options.output, svg_plot(drawn, options.width > 0 ? options.width : 800,
                                              options.height > 0 ? options.height : 320));
  write_out("", terminal_plot(drawn, options.width > 0 ? options.width : std::min(terminal_columns(100), 200),
                              options.height > 0 ? options.height : 16, styled()));
}

void report_command(const std::string& path, const Options& options) {
  const bool markdown = options.markdown || ends_with(options.output, ".md");
  if (!markdown && !options.output.empty() && options.output != "-" && !ends_with(options.output, ".html"))
    throw Error(Exit::usage, "report: --output: expected a file name that ends in .html or .md, or --markdown; got '" +
                                 options.output + "'");
  if (options.output.empty() && !markdown && ::isatty(STDOUT_FILENO) == 1)
    throw Error(Exit::usage, "report: HTML is not for a terminal; expected -o FILE.html, --markdown or a pipe");
  const auto store = Store::open(path, Store::Mode::read);
  ReportOptions wanted;
  wanted.runs = choose(*store, options.words, options);
  std::sort(wanted.runs.begin(), wanted.runs.end());
  for (const std::string& name : split_all(options.metrics))
    wanted.metrics.push_back(resolve_metric(*store, name, "report", nullptr));
  wanted.by = split_commas(options.by);
  wanted.title = options.title;
  wanted.markdown = markdown;
  write_out(options.output, report(*store, wanted));
  if (!options.output.empty() && options.output != "-")
    std::printf("%s: %zu run%s\n", options.output.c_str(), wanted.runs.size(), wanted.runs.size() == 1 ? "" : "s");
}

}  // namespace

void add_plot_commands(CLI::App& app, std::string& store) {
  const auto add = [&](const char* name, const char* what, auto command, auto more) {
    CLI::App* sub = app.add_subcommand(name, what);
    auto options = std::make_shared<Options>();  // lives as long as the callback below
    sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
    sub->add_option("--where", options->where, "runs that fit, e.g. \"strategy == 'stages' and last(val/acc) > 0.9\"");
    sub->add_option("--by", options->by, "mean and 95 % confidence interval by these parameters, e.g. strategy,lr");
    more(sub, *options);
    sub->callback([options, command, &store] { command(store.empty() ? default_store() : store, *options); });
  };
  add("plot", "draw curves in the terminal, or as SVG", plot_command, [](CLI::App* sub, Options& options) {
    sub->add_option("METRIC", options.words, "metrics, then runs (default: @last; with --by, all)")->required();
    sub->add_option("--output,-o", options.output, "write an SVG file instead");
    sub->add_option("--kind", options.kind, "curves (default), or spread: METRIC is the name of spread events")
        ->check(CLI::IsMember({"curves", "spread"}));
    sub->add_flag("--together", options.together, "all metrics in one figure");
    sub->add_option("--x", options.x, "step (default), epoch, samples, flops or seconds");
    sub->add_option("--y", options.y, "only what lies between, e.g. 0.8,1");
    sub->add_option("--width", options.width, "columns, or pixels of the SVG")->check(CLI::Range(20, 10000));
    sub->add_option("--height", options.height, "rows, or pixels of one figure")->check(CLI::Range(4, 10000));
  });
  add("report", "one HTML file, or Markdown, that stands alone", report_command, [](CLI::App* sub, Options& options) {
    sub->add_option("RUN", options.words, "ids, beginnings of uids, or @last (default: @last; with --by, all)");
    sub->add_option("--output,-o", options.output, "the file (default: standard output); .md makes Markdown");
    sub->add_flag("--markdown", options.markdown, "Markdown, for a paper's appendix");
    sub->add_option("--metric", options.metrics, "figures of these metrics (default: val/* and train/loss)");
    sub->add_option("--title", options.title, "title (default: the runs' names)");
  });
}

}  // namespace gradus
