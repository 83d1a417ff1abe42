#include "stages.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "curves.h"
#include "store/database.h"
#include "utf8.h"

namespace gradus::results {
namespace {

constexpr double kSeconds = 1;

std::string family(const std::string& key) { return key.substr(0, key.find('/')); }
std::string member(const std::string& key) { return key.substr(std::min(key.find('/'), key.size() - 1) + 1); }

// Metrics of data sets that are evaluated, with their keys' numbers.
std::vector<std::pair<std::string, std::int64_t>> evaluated(Store& store, std::int64_t run) {
  static const std::set<std::string> kOthers = {"train", "knob", "sample", "result"};
  std::vector<std::pair<std::string, std::int64_t>> keys;
  store.read(
      "SELECT k.name, k.id FROM summary_values s JOIN keys k ON k.id = s.key_id WHERE s.run_id = ?1 ORDER BY k.name",
      {run}, kSeconds, [&](Statement& row) {
        while (row.step()) {
          const std::string name = utf8(row.text(0));
          if (name.find('/') != std::string::npos && kOthers.count(family(name)) == 0)
            keys.emplace_back(name, row.integer(1));
        }
      });
  return keys;
}

// The last value of a metric after `from`, up to `to`; nothing where there is none.
class Values {
 public:
  Values(Statement& last, std::int64_t run) : last_(last) { last_.bind(1, run); }  // borrowed

  std::optional<double> of(std::int64_t key, std::int64_t from, std::int64_t to) {
    std::optional<double> found;
    last_.bind(2, key).bind(3, from).bind(4, to);
    if (last_.step()) found = last_.null(0) ? std::nan("") : last_.real(0);
    last_.reset();
    return found;
  }

 private:
  Statement& last_;
};

// What had been spent by a step; after the last row of progress no more than there.
class Spent {
 public:
  Spent(Store& store, std::int64_t run) {
    for (const char* name : {"samples", "flops", "seconds"}) {
      const Axis axis = axis_of(store, {run}, name);
      axes_.emplace_back(axis, Positions(store, run, axis));
    }
    store.read("SELECT max(step) FROM progress WHERE run_id = ?1", {run}, kSeconds, [&](Statement& row) {
      while (row.step()) last_ = row.null(0) ? 0 : row.integer(0);
    });
  }

  void between(std::int64_t from, std::int64_t to, Json& row) const {
    for (const auto& [axis, positions] : axes_) {
      const auto begin = positions.of(std::min(from, last_)), end = positions.of(std::min(to, last_));
      const bool known = begin && end && last_ > 0;
      row[axis.name] = known ? Json(static_cast<double>(*end - *begin) * axis.unit) : Json();
    }
  }

 private:
  std::vector<std::pair<Axis, Positions>> axes_;
  std::int64_t last_ = 0;
};

Json row_of(const Stage& stage, const Spent& spent) {
  Json row = {{"name", stage.name}, {"visit", stage.visit},           {"from", stage.from},
              {"to", stage.to},     {"steps", stage.to - stage.from}, {"rows", stage.rows}};
  spent.between(stage.from, stage.to, row);
  for (const char* part : {"loss", "acc"}) row[part] = nullptr;
  for (const char* part : {"values", "change", "teacher"}) row[part] = Json::object();
  return row;
}

void add_change(Json& row, const Json& before) {
  for (const auto& [key, value] : row["values"].items()) {
    if (before["values"].contains(key) && value.is_number() && before["values"][key].is_number())
      row["change"][key] = value.get<double>() - before["values"][key].get<double>();
  }
}

}  // namespace

std::vector<Stage> stages(Store& store, std::int64_t run) {
  std::vector<Stage> found;
  std::map<std::string, int> visits;
  std::string name;    // of the stage that has levels, where there are several stages
  bool fresh = false;  // it has just begun: its first level has its place
  const auto begin = [&](const std::string& called, std::int64_t step, Json rows) {
    if (!found.empty()) found.back().to = step;
    found.push_back({called, step, step, ++visits[called], std::move(rows)});
  };
  store.read(
      "SELECT step, kind, name, detail FROM events WHERE run_id = ?1 AND kind IN ('stage', 'level') AND step IS NOT "
      "NULL "
      "ORDER BY id",
      {run}, kSeconds, [&](Statement& row) {
        while (row.step()) {
          const Json detail = row.null(3) ? Json() : Json::parse(row.text(3), nullptr, false);
          const auto told = [&](const char* key) {
            return detail.is_object() && detail.contains(key) && detail[key].is_number() ? detail[key] : Json();
          };
          const std::string called = utf8(row.text(2));
          const bool level = utf8(row.text(1)) == "level";
          if (level && fresh) --visits[found.back().name], found.pop_back();
          begin(level && !name.empty() ? name + ", " + called : called, row.integer(0), told("rows"));
          if (!level) name = told("of") == 1 ? "" : called;
          fresh = !level;
        }
      });
  if (found.empty()) return found;
  store.read("SELECT max(last_step) FROM summary_values WHERE run_id = ?1", {run}, kSeconds, [&](Statement& row) {
    while (row.step()) found.back().to = std::max(found.back().from, row.integer(0));
  });
  return found;
}

std::string label(const Stage& stage) {
  return stage.visit > 1 ? stage.name + ", visit " + std::to_string(stage.visit) : stage.name;
}

Json stage_table(Store& store, std::int64_t run) {
  Json table = Json::array();
  const std::vector<Stage> begun = stages(store, run);
  if (begun.empty()) return table;
  const Spent spent(store, run);
  const auto keys = evaluated(store, run);
  store.read(
      "SELECT value FROM metric_values WHERE run_id = ?1 AND key_id = ?2 AND step > ?3 AND step <= ?4 ORDER BY step "
      "DESC "
      "LIMIT 1",
      {run, std::int64_t{0}, std::int64_t{0}, std::int64_t{0}}, kSeconds, [&](Statement& last) {
        Values values(last, run);
        for (const Stage& stage : begun) {
          Json row = row_of(stage, spent);
          for (const auto& [key, id] : keys) {
            const bool teacher = member(key) == "teacher_acc";  // told once, at the first step
            const auto value = values.of(id, teacher ? -1 : stage.from, stage.to);
            if (!value) continue;
            if (teacher)
              row["teacher"][family(key)] = to_json(*value);
            else if (family(key) != "stage")
              row["values"][key] = to_json(*value);
            else if (row.contains(member(key)))
              row[member(key)] = to_json(*value);
          }
          if (!table.empty()) add_change(row, table.back());
          table.push_back(std::move(row));
        }
      });
  return table;
}

std::vector<Measured> measured_sets(const Json& rows) {
  std::map<std::string, std::set<std::string>> found;
  for (const Json& row : rows) {
    for (const auto& [key, value] : row["values"].items()) found[family(key)].insert(member(key));
  }
  std::vector<Measured> sets;
  for (const auto& [name, members] : found) {
    for (const char* one : {"acc", "rmse", "loss"}) {
      if (members.count(one) == 0) continue;
      sets.push_back({name, name + "/" + one});
      break;
    }
  }
  std::stable_partition(sets.begin(), sets.end(), [](const Measured& set) { return set.name == "val"; });
  return sets;
}

}  // namespace gradus::results
