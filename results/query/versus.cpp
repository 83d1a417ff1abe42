#include <algorithm>
#include <cmath>
#include <set>

#include "compare_impl.h"
#include "error.h"
#include "where.h"

namespace gradus::results {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

bool means(const Json& value, const std::string& text) {
  if (value.is_string()) return value.get<std::string>() == text;
  if (value.dump() == text) return true;
  const Json parsed = Json::parse(text, nullptr, false);
  return value.is_number() && parsed.is_number() && value.get<double>() == parsed.get<double>();
}

// The column whose value the user named; "column=value" names both.
std::string find_column(const std::vector<RunGroup>& groups, const std::vector<std::string>& by, std::string& value) {
  const auto has = [&](const std::string& column, const std::string& text) {
    return std::any_of(groups.begin(), groups.end(),
                       [&](const RunGroup& group) { return means(group.label[column], text); });
  };
  for (const std::string& column : by) {
    if (has(column, value)) return column;
    if (value.rfind(column + "=", 0) == 0 && has(column, value.substr(column.size() + 1))) {
      value = value.substr(column.size() + 1);
      return column;
    }
  }
  std::set<std::string> known;
  for (const RunGroup& group : groups) {
    for (const auto& [column, label] : group.label.items())
      known.insert(label.is_string() ? label.get<std::string>() : label.dump());
  }
  const std::string near = nearest(value, {known.begin(), known.end()});
  std::string list;
  for (const std::string& word : known) list += (list.empty() ? "" : ", ") + word;
  throw Error(Exit::usage, "compare: --versus: expected a value of the groups' columns (" + list + "); got '" + value +
                               "'" + (near.empty() ? "" : " (did you mean '" + near + "'?)"));
}

// The group that differs from this one in `column` alone; where that is none, the only group with the value.
std::size_t find_baseline(const std::vector<RunGroup>& groups, const Json& label, const std::string& column,
                          const std::string& value) {
  std::size_t only = kNone, count = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (!means(groups[i].label[column], value)) continue;
    Json other = label;
    other[column] = groups[i].label[column];
    if (other == groups[i].label) return i;
    only = i;
    ++count;
  }
  return count == 1 ? only : kNone;
}

// Mean of a measure by seed.
std::map<std::int64_t, double> by_seed(const RunGroup& group, const RunValues& values) {
  std::map<std::int64_t, std::vector<double>> all;
  for (const ComparedRun* run : group.runs) {
    const auto found = values.find(run->id);
    if (found == values.end() || !std::isfinite(found->second) || !run->row["seed"].is_number()) continue;
    all[run->row["seed"].get<std::int64_t>()].push_back(found->second);
  }
  std::map<std::int64_t, double> means;
  for (const auto& [seed, numbers] : all) means[seed] = spread(numbers).mean;
  return means;
}

constexpr const char* kWhichWay = "open: which way is better?";
constexpr int kFewestSigns = 6;  // pairs that all have one sign: 2 / 2^6 is below 0.05

Json paired(const RunGroup& group, const RunGroup& baseline, const Measure& measure, double level) {
  const auto ours = by_seed(group, measure.values), theirs = by_seed(baseline, measure.values);
  std::vector<double> differences;
  Json seeds = Json::array();
  for (const auto& [seed, value] : ours) {
    const auto found = theirs.find(seed);
    if (found == theirs.end()) continue;
    differences.push_back(value - found->second);
    seeds.push_back(seed);
  }
  const Spread s = spread(differences);
  const bool alike = is_one_number(s);
  const Interval interval = alike ? Interval{std::nan(""), std::nan("")} : t_interval(s, level);
  const TestResult t = paired_t(differences);
  const double effect = s.sd > 0 ? s.mean / s.sd : s.mean == 0 ? 0 : std::copysign(HUGE_VAL, s.mean);
  const int needed = s.n < 2 ? 0 : alike && s.mean != 0 ? kFewestSigns : pairs_needed(effect);
  return {{"metric", measure.metric},
          {"measure", measure.name},
          {"pairs", s.n},
          {"seeds", seeds},
          {"mean", to_json(s.mean)},
          {"sd", to_json(s.sd)},
          {"low", to_json(interval.low)},
          {"high", to_json(interval.high)},
          {"t", to_json(t.statistic)},
          {"p", to_json(t.p)},
          {"p_holm", nullptr},
          {"wilcoxon_p", to_json(wilcoxon(differences).p)},
          {"effect", to_json(s.n < 2 ? std::nan("") : effect)},
          {"seeds_needed", needed == 0 ? Json() : Json(needed)},
          {"verdict", "open"}};
}

}  // namespace

Json versus(const std::vector<RunGroup>& groups, const std::vector<std::string>& by,
            const std::vector<Measure>& measures, const CompareOptions& options) {
  std::string value = options.versus;
  const std::string column = find_column(groups, by, value);
  Json all = Json::array();
  for (const Measure& measure : measures) {
    std::vector<Json> family;
    std::vector<double> p;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const std::size_t baseline = find_baseline(groups, groups[i].label, column, value);
      if (baseline == kNone || baseline == i) continue;
      Json one = {{"group", i}, {"baseline", baseline}};
      one.update(paired(groups[i], groups[baseline], measure, options.level));
      p.push_back(one["p"].is_number() ? one["p"].get<double>() : std::nan(""));
      family.push_back(std::move(one));
    }
    const std::vector<double> corrected = holm(p);
    for (std::size_t i = 0; i < family.size(); ++i) {
      family[i]["p_holm"] = to_json(corrected[i]);
      if (corrected[i] < 1 - options.level) {
        const bool less = family[i]["mean"].get<double>() < 0;
        family[i]["verdict"] = less == (measure.better == Better::lower) ? "better" : "worse";
      }
      if (measure.better == Better::unknown) family[i]["verdict"] = kWhichWay;
      all.push_back(std::move(family[i]));
    }
  }
  return {{"column", column}, {"value", value}, {"level", options.level}, {"comparisons", all}};
}

}  // namespace gradus::results
