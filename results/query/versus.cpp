#include <algorithm>
#include <cmath>
#include <set>

#include "compare_impl.h"
#include "error.h"
#include "names.h"
#include "utf8.h"

namespace gradus::results {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

bool means(const Json& value, const std::string& text) {
  if (value.is_null() && text == "–") return true;  // as the tables show it
  if (value.is_string()) return value.get<std::string>() == text;
  if (value.dump() == text) return true;
  const Json parsed = Json::parse(text, nullptr, false);
  return value.is_number() && parsed.is_number() && value.get<double>() == parsed.get<double>();
}

// What the user named of the baseline: COLUMN = value, or several.
using Chosen = std::vector<std::pair<std::string, std::string>>;

bool has(const std::vector<RunGroup>& groups, const std::string& column, const std::string& text) {
  return std::any_of(groups.begin(), groups.end(),
                     [&](const RunGroup& group) { return means(group.label[column], text); });
}

// A value of some column, or COLUMN=VALUE.
bool find_column(const Groups& groups, const std::string& text, Chosen& chosen) {
  for (const std::string& column : groups.by) {
    if (has(groups.groups, column, text)) return chosen.emplace_back(column, text), true;
    if (text.rfind(column + "=", 0) != 0) continue;
    const std::string value = text.substr(column.size() + 1);
    if (has(groups.groups, column, value)) return chosen.emplace_back(column, value), true;
  }
  return false;
}

[[noreturn]] void refuse(const Groups& groups, const std::string& text) {
  std::set<std::string> known;
  for (const RunGroup& group : groups.groups) {
    for (const auto& [column, label] : group.label.items())
      known.insert(label.is_string() ? label.get<std::string>() : dump(label));
  }
  const std::string value = text.substr(text.find('=') + 1);
  const std::string near = nearest(value, {known.begin(), known.end()});
  std::string list;
  for (const std::string& word : known) list += (list.empty() ? "" : ", ") + word;
  throw Error(Exit::usage, "compare: --versus: expected a value of the groups' columns (" + list +
                               "), or COLUMN=VALUE[,COLUMN=VALUE…]; got '" + text + "'" +
                               (near.empty() ? "" : " (did you mean '" + near + "'?)"));
}

// Each part is the longest that names a value, which may have commas of its own.
Chosen find_columns(const Groups& groups, const std::string& text) {
  Chosen chosen;
  for (std::size_t begin = 0, end = 0; begin <= text.size(); begin = end + 1) {
    end = text.size();
    while (!find_column(groups, text.substr(begin, end - begin), chosen)) {
      const std::size_t comma = end > begin ? text.rfind(',', end - 1) : std::string::npos;
      if (comma == std::string::npos || comma < begin) refuse(groups, text.substr(begin, end - begin));
      end = comma;
    }
  }
  return chosen;
}

// The label without what tells versions of the code apart: it has the parameters in it, so it differs wherever these do.
Json without_config(Json label) {
  label.erase("config");
  return label;
}

// The group that differs from this one in the chosen columns alone, of several versions of the code the newest; where
// that is none, the only one with their values.
std::size_t find_baseline(const std::vector<RunGroup>& groups, const Json& label, const Chosen& chosen) {
  std::size_t only = kNone, count = 0, newest = kNone;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const bool fits = std::all_of(chosen.begin(), chosen.end(),
                                  [&](const auto& one) { return means(groups[i].label[one.first], one.second); });
    if (!fits) continue;
    Json other = label;
    for (const auto& [column, value] : chosen) other[column] = groups[i].label[column];
    if (other == groups[i].label) return i;
    if (without_config(other) == without_config(groups[i].label)) newest = i;
    only = i;
    ++count;
  }
  return newest != kNone ? newest : count == 1 ? only : kNone;
}

// Mean of a measure by seed; NaN: no run of that seed came to a finite value.
std::map<std::int64_t, double> by_seed(const RunGroup& group, const Measure& measure) {
  std::map<std::int64_t, std::vector<double>> all;
  bool measured = measure.reached;  // a group in which nobody logged the metric lost nothing
  for (const ComparedRun* run : group.runs) measured = measured || measure.values.count(run->id) != 0;
  for (const ComparedRun* run : group.all()) {
    if (!run->row["seed"].is_number() || !measured) continue;
    const auto found = measure.values.find(run->id);
    // It got there, nobody knows at what cost: neither a value nor a loss.
    if (measure.reached && run->counted && found != measure.values.end() && std::isnan(found->second)) continue;
    std::vector<double>& numbers = all[run->row["seed"].get<std::int64_t>()];
    const bool value = run->counted && found != measure.values.end() && std::isfinite(found->second);
    if (value) numbers.push_back(found->second);
  }
  std::map<std::int64_t, double> means;
  for (const auto& [seed, numbers] : all) means[seed] = spread(numbers).mean;
  return means;
}

constexpr const char* kWhichWay = "open: which way is better?";
constexpr int kFewestSigns = 6;  // pairs that all have one sign: 2 / 2^6 is below 0.05

// The seeds that two groups share.
struct Pairs {
  std::vector<double> differences;  // where both have a value
  Json seeds = Json::array();       // theirs
  int lost = 0, baseline_lost = 0, both_lost = 0;
};

Pairs pairs_of(const RunGroup& group, const RunGroup& baseline, const Measure& measure) {
  Pairs pairs;
  const auto ours = by_seed(group, measure), theirs = by_seed(baseline, measure);
  for (const auto& [seed, value] : ours) {
    const auto found = theirs.find(seed);
    if (found == theirs.end()) continue;
    const bool lost = std::isnan(value), other = std::isnan(found->second);
    if (lost || other) {
      (lost && other ? pairs.both_lost : lost ? pairs.lost : pairs.baseline_lost)++;
      continue;
    }
    pairs.differences.push_back(value - found->second);
    pairs.seeds.push_back(seed);
  }
  return pairs;
}

// Seeds that the group wins and loses, where a lost one is the worst outcome.
std::pair<int, int> signs_of(const Pairs& pairs, Better better) {
  int wins = pairs.baseline_lost, losses = pairs.lost;
  for (const double difference : pairs.differences) {
    if (difference != 0) (improves(better, difference, 0) ? wins : losses)++;
  }
  return {wins, losses};
}

double margin_of(const CompareOptions& options, const std::string& metric) {
  double value = 0;
  for (const Margin& margin : options.margins) {
    if (margin.key.empty() || margin.key == metric) value = margin.value;
  }
  return value;
}

// How many pairs end an open verdict in 80 % of studies; 0: no number will.
int seeds_needed(const Spread& s, double margin, double alpha) {
  if (s.n < 2) return 0;
  const bool alike = s.sd == 0 || is_one_number(s);
  const double effect = s.sd > 0 ? s.mean / s.sd : 0;
  const int difference = alike ? (s.mean == 0 ? 0 : kFewestSigns) : pairs_needed(effect, 0.8, alpha);
  const int equal = margin > 0 ? pairs_needed_equivalence(s.mean, alike ? 0 : s.sd, margin, 0.8, alpha) : 0;
  return difference == 0 || equal == 0 ? difference + equal : std::min(difference, equal);
}

Json paired(const Pairs& pairs, const Measure& measure, const CompareOptions& options) {
  const Spread s = spread(pairs.differences);
  const bool alike = is_one_number(s), signs = pairs.lost + pairs.baseline_lost > 0;
  const auto [wins, losses] = signs_of(pairs, measure.better);
  const bool known = measure.better != Better::unknown;
  const Interval interval = alike ? Interval{std::nan(""), std::nan("")} : t_interval(s, options.level);
  const TestResult t = paired_t(pairs.differences);
  const double effect = s.sd > 0 ? s.mean / s.sd : s.mean == 0 ? 0 : std::copysign(HUGE_VAL, s.mean);
  // Times and FLOPs to a threshold are no values of its metric.
  const double margin = measure.reached ? 0 : margin_of(options, measure.metric);
  const int needed = signs ? 0 : seeds_needed(s, margin, 1 - options.level);
  return {{"metric", measure.metric},
          {"measure", measure.name},
          {"pairs", s.n},
          {"seeds", pairs.seeds},
          {"lost", {{"group", pairs.lost}, {"baseline", pairs.baseline_lost}, {"both", pairs.both_lost}}},
          {"mean", to_json(s.mean)},
          {"sd", to_json(s.sd)},
          {"low", to_json(interval.low)},
          {"high", to_json(interval.high)},
          {"t", to_json(t.statistic)},
          {"test", signs ? "signs" : "t"},
          {"wins", known ? Json(wins) : Json()},
          {"losses", known ? Json(losses) : Json()},
          {"p", to_json(!signs  ? t.p
                        : known ? sign_test(wins, losses)
                                : std::nan(""))},
          {"p_holm", nullptr},
          {"wilcoxon_p", to_json(wilcoxon(pairs.differences).p)},
          {"effect", to_json(s.n < 2 ? std::nan("") : effect)},
          {"margin", margin > 0 ? Json(margin) : Json()},
          {"p_equal", to_json(margin > 0 && !signs ? equivalence(pairs.differences, margin) : std::nan(""))},
          {"seeds_needed", needed == 0 ? Json() : Json(needed)},
          {"verdict", "open"}};
}

// Writes the corrected p-values of one measure's comparisons, and what they say.
void judge(std::vector<Json>& family, const Measure& measure, double level) {
  const auto corrected = [&](const char* name) {
    std::vector<double> p;
    for (const Json& one : family) p.push_back(one[name].is_number() ? one[name].get<double>() : std::nan(""));
    return holm(p);
  };
  const std::vector<double> differ = corrected("p"), equal = corrected("p_equal");
  for (std::size_t i = 0; i < family.size(); ++i) {
    Json& one = family[i];
    one["p_holm"] = to_json(differ[i]);
    one["p_equal"] = to_json(equal[i]);
    const double alpha = 1 - level;
    if (equal[i] < alpha) {
      one["verdict"] = "no difference";
    } else if (measure.better == Better::unknown) {
      one["verdict"] = kWhichWay;
    } else if (differ[i] < alpha) {
      const bool better =
          one["test"] == "signs" ? one["wins"] > one["losses"] : improves(measure.better, one["mean"].get<double>(), 0);
      one["verdict"] = better ? "better" : "worse";
    }
  }
}

}  // namespace

Json versus(const Groups& all, const std::vector<Measure>& measures, const CompareOptions& options) {
  const std::vector<RunGroup>& groups = all.groups;
  const Chosen chosen = find_columns(all, utf8(options.versus));  // as the labels are
  Json comparisons = Json::array();
  for (const Measure& measure : measures) {
    std::vector<Json> family;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const std::size_t baseline = find_baseline(groups, groups[i].label, chosen);
      if (baseline == kNone || baseline == i) continue;
      Json one = {{"group", i}, {"baseline", baseline}};
      one.update(paired(pairs_of(groups[i], groups[baseline], measure), measure, options));
      family.push_back(std::move(one));
    }
    judge(family, measure, options.level);
    for (Json& one : family) comparisons.push_back(std::move(one));
  }
  std::string columns, values;
  for (const auto& [column, value] : chosen) {
    columns += (columns.empty() ? "" : ",") + column;
    values += (values.empty() ? "" : ",") + value;
  }
  return {{"column", columns}, {"value", values}, {"level", options.level}, {"comparisons", comparisons}};
}

}  // namespace gradus::results
