#include "versus_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "compare_text.h"
#include "output.h"
#include "query/table.h"

namespace gradus {

using namespace results;

namespace {

std::string p_cell(const Json& p) {
  if (!p.is_number()) return "–";
  if (real_of(p) < 0.0001) return "<0.0001";
  char text[16];
  std::snprintf(text, sizeof text, "%.4f", real_of(p));
  return text;
}

std::string verdict_cell(const Json& one) {
  const int pairs = one["pairs"], ours = one["lost"]["group"], theirs = one["lost"]["baseline"];
  const int both = one["lost"]["both"], seeds = pairs + ours + theirs + both;
  std::string cell = one["verdict"];
  if (seeds == 0) return "no shared seeds";
  if (ours + theirs + both > 0) {
    std::string who;
    for (const auto& [count, text] :
         {std::pair(ours, " lost"), {theirs, " of the baseline lost"}, {both, " lost by both"}}) {
      if (count > 0) who += (who.empty() ? "" : ", ") + std::to_string(count) + " of " + std::to_string(seeds) + text;
    }
    return cell + "; " + who;
  }
  if (cell != "open") return cell;
  if (pairs == 1) return "one pair says nothing";
  if (!one["seeds_needed"].is_number())
    return one["margin"].is_number() ? "open" : "open; --margin X tests for no difference";
  const int more = one["seeds_needed"].get<int>() - pairs;
  return more > 0 ? "open; " + std::to_string(more) + (more == 1 ? " more seed" : " more seeds") : "open";
}

// What the columns mean, as far as they are there.
std::string legend(const Json& versus) {
  bool margin = false, lost = false, more = false;
  for (const Json& one : versus["comparisons"]) {
    margin = margin || one["margin"].is_number();
    lost = lost || one["test"] == "signs";
    more = more || (one["verdict"] == "open" && one["seeds_needed"].is_number());
  }
  std::string text =
      "p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed "
      "ranks\n";
  if (margin) text += "p equal: two one-sided t tests for a difference within the margin, corrected like p\n";
  if (lost)
    text += "lost: failed, interrupted, not finite or never reached: the worst outcome; then p is that of the signs\n";
  if (more) text += "more seeds: until such differences end the question in 80 % of studies\n";
  return text;
}

// Whether its finished runs do without the metric: they are of another experiment.
bool nobody_logged(const Json& group, const std::string& metric) {
  const Json& metrics = group["metrics"];
  return group["n"] != 0 && metrics.contains(metric) && metrics[metric]["missing"] == group["n"];
}

// Whether some group has a curve of it: all are told apart by the measure then, one that has none too.
bool is_curve(const Json& compared, const std::string& metric) {
  return std::any_of(compared["groups"].begin(), compared["groups"].end(), [&](const Json& group) {
    return group["metrics"].contains(metric) && group["metrics"][metric]["curve"] == true;
  });
}

}  // namespace

std::string versus_text(const Json& compared) {
  const Json& versus = compared["versus"];
  const std::string level = shown(versus["level"].get<double>() * 100) + " % interval";
  const bool margin = std::any_of(versus["comparisons"].begin(), versus["comparisons"].end(),
                                  [](const Json& one) { return one["margin"].is_number(); });
  Table table;
  for (const Json& column : compared["by"]) table.column(column.get<std::string>());
  table.column("metric");
  table.label();
  for (const std::string& title : {std::string("pairs"), std::string("difference"), level, std::string("p"),
                                   std::string("p Holm"), std::string("p Wilcoxon")})
    table.column(title, Align::right);
  if (margin) table.column("p equal", Align::right);
  table.column("verdict");
  bool left_out = false;
  for (const Json& one : versus["comparisons"]) {
    const Json& group = compared["groups"][one["group"].get<std::size_t>()];
    if (nobody_logged(group, one["metric"])) {
      left_out = true;
      continue;
    }
    std::vector<std::string> cells;
    for (const Json& column : compared["by"]) cells.push_back(exact(group["label"][column.get<std::string>()], 40));
    const bool curve = is_curve(compared, one["metric"]);
    std::string measure = one["measure"];
    if (measure == "at") measure = budget_name(compared["at"]);
    if (measure.ends_with("_to"))
      cells.push_back(measure.substr(0, measure.size() - 3) + " to " + threshold_name(compared["threshold"]));
    else
      cells.push_back(one["metric"].get<std::string>() + (curve ? " " + measure : ""));
    cells.push_back(shown(one["pairs"]));
    const double mean = real_of(one["mean"]);
    cells.push_back(std::isnan(mean) ? "–" : (mean > 0 ? "+" : "") + mean_sd(mean, real_of(one["sd"])));
    cells.push_back(one["low"].is_number() ? interval(real_of(one["low"]), real_of(one["high"])) : "–");
    for (const char* p : {"p", "p_holm", "wilcoxon_p"}) cells.push_back(p_cell(one[p]));
    if (margin) cells.push_back(p_cell(one["p_equal"]));
    cells.push_back(group["n"] == 0 ? "no run finished" : verdict_cell(one));
    table.row(std::move(cells));
  }
  return heading("difference to " + versus["column"].get<std::string>() + " = " + versus["value"].get<std::string>() +
                 ", paired by seed") +
         (table.empty() ? "no group has what it could be compared by\n" : fitted(table)) +
         (left_out ? "groups that never logged a metric are left out there\n" : "") + folded(legend(versus), 0);
}

}  // namespace gradus
