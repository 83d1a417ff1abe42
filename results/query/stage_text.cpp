#include "stage_text.h"

#include <cmath>
#include <functional>

#include "stages.h"
#include "table.h"

namespace gradus::results {
namespace {

using Show = std::function<std::string(const Json&)>;  // a number, or a SPREAD

std::string of_number(const Json& value) {
  if (value.is_null()) return "–";
  return value.is_string() ? value.get<std::string>() : number(value.get<double>());
}

std::string of_spread(const Json& value) {
  if (!value.is_object() || !value["mean"].is_number()) return "–";
  std::string text = mean_sd(value["mean"].get<double>(), value["sd"].is_number() ? value["sd"].get<double>() : NAN);
  if (value.contains("low") && value["low"].is_number())
    text += " " + interval(value["low"].get<double>(), value["high"].get<double>());
  return text;
}

// Steps and the like: what is the same in all runs needs no spread.
std::string of_count(const Json& value) {
  if (!value.is_object()) return of_number(value);
  if (!value["mean"].is_number()) return "–";
  const double sd = value["sd"].is_number() ? value["sd"].get<double>() : 0;
  return sd == 0 ? number(value["mean"].get<double>()) : mean_sd(value["mean"].get<double>(), sd);
}

Json part(const Json& row, const char* of, const std::string& key) {
  return row[of].contains(key) ? row[of][key] : Json();
}

double sign_of(const Json& value) {
  const Json& one = value.is_object() ? value["mean"] : value;
  return one.is_number() ? one.get<double>() : 0;
}

std::string set_of(const std::string& key) { return key.substr(0, key.find('/')); }

// The columns after the name, of all rows alike.
class Columns {
 public:
  Columns(const Json& rows, const std::vector<std::string>& keys, Show show) : show_(std::move(show)) {
    for (const std::string& key : keys) {
      const std::string forgotten = set_of(key) + "/forgotten";
      bool any = false, changes = false;
      for (const Json& row : rows) {
        any = any || row["values"].contains(forgotten);
        changes = changes || row["change"].contains(key);
      }
      sets_.push_back({key, changes, any && key != forgotten ? forgotten : ""});
    }
  }

  void titles(std::vector<std::string>& into) const {
    for (const char* one : {"rows", "steps", "FLOPs", "stage/loss"}) into.emplace_back(one);
    for (const Set& set : sets_) {
      into.push_back(set.key);
      if (set.changes) into.emplace_back("change");
      if (!set.forgotten.empty()) into.emplace_back("forgotten");
    }
  }

  void cells(const Json& row, std::vector<std::string>& into) const {
    for (const char* one : {"rows", "steps", "flops"}) into.push_back(of_count(row[one]));
    into.push_back(show_(row["loss"]));
    for (const Set& set : sets_) {
      into.push_back(show_(part(row, "values", set.key)));
      const Json change = part(row, "change", set.key);
      if (set.changes) into.push_back((sign_of(change) > 0 ? "+" : "") + show_(change));
      if (!set.forgotten.empty()) into.push_back(show_(part(row, "values", set.forgotten)));
    }
  }

  // False where none of the metrics is known of a teacher.
  bool teacher(const Json& row, std::vector<std::string>& into) const {
    bool any = false;
    into.insert(into.end(), 4, "–");
    for (const Set& set : sets_) {
      const bool known = set.key == set_of(set.key) + "/acc" && row["teacher"].contains(set_of(set.key));
      into.push_back(known ? show_(row["teacher"][set_of(set.key)]) : "–");
      if (set.changes) into.emplace_back("–");
      if (!set.forgotten.empty()) into.emplace_back("–");
      any = any || known;
    }
    return any;
  }

 private:
  struct Set {
    std::string key;
    bool changes;
    std::string forgotten;  // its metric; empty: none
  };
  Show show_;
  std::vector<Set> sets_ = {};
};

std::string name_of(const std::string& stage, const Json& visit) { return label({stage, 0, 0, visit.get<int>()}); }

}  // namespace

StageText stage_text(const Json& rows) {
  StageText text;
  if (rows.empty()) return text;
  std::vector<std::string> keys;
  for (const Measured& set : measured_sets(rows)) keys.push_back(set.key);
  const Columns columns(rows, keys, of_number);
  text.titles = {"stage"};
  columns.titles(text.titles);
  for (const Json& row : rows) {
    auto& cells = text.rows.emplace_back(1, name_of(row["name"], row["visit"]));
    columns.cells(row, cells);
  }
  std::vector<std::string> cells = {"teacher"};
  if (columns.teacher(rows.back(), cells)) text.rows.push_back(std::move(cells));
  return text;
}

StageText stage_groups_text(const Json& compared) {
  StageText text;
  const Json& groups = compared["groups"];
  const Columns columns(groups, compared["metrics"].get<std::vector<std::string>>(), of_spread);
  for (const Json& column : compared["by"]) text.titles.push_back(column);
  text.titles.emplace_back("runs");
  columns.titles(text.titles);
  const auto beginning = [&](const Json& group, const std::string& stage, const std::string& runs) {
    std::vector<std::string> cells;
    for (const auto& [column, value] : group["label"].items())
      cells.push_back(value.is_string() ? value.get<std::string>() : value.is_null() ? "–" : value.dump());
    cells.push_back(stage);
    cells.push_back(runs);
    return cells;
  };
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const Json& group = groups[i];
    const std::string of = group["n"] == group["total"] ? "" : " of " + group["total"].dump();
    auto cells = beginning(group, name_of(group["stage"], group["visit"]), group["n"].dump() + of);
    columns.cells(group, cells);
    text.rows.push_back(std::move(cells));
    if (i + 1 < groups.size() && groups[i + 1]["label"] == group["label"]) continue;
    auto last = beginning(group, "teacher", "");
    if (columns.teacher(group, last)) text.rows.push_back(std::move(last));
  }
  return text;
}

}  // namespace gradus::results
