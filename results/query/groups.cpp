// Which runs are compared, and as what.
#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "compare_impl.h"
#include "error.h"
#include "names.h"
#include "where.h"
#include "where_names.h"

namespace gradus::results {
namespace {

using Run = ComparedRun;
using Group = RunGroup;

// The name in params."NAME", where it has commas.
std::string unquoted(const std::string& name) {
  const bool quoted = name.size() > 1 && name.front() == '"' && name.back() == '"';
  return quoted ? name.substr(1, name.size() - 2) : name;
}

// A column to group by. The first that the runs have: a parameter, params.NAME, tags.NAME, a column of runs (where.h).
class Column {
 public:
  Column(Store& store, const std::vector<Run>& runs, const std::string& name) {
    const auto any = [&](const char* part, const std::string& key) {
      return std::any_of(runs.begin(), runs.end(), [&](const Run& run) { return run.row[part].contains(key); });
    };
    for (const auto& [part, prefix] : {std::pair("params", ""), {"params", "params."}, {"tags", "tags."}}) {
      if (!name.starts_with(prefix)) continue;
      const std::string as_it_is = name.substr(std::strlen(prefix));  // may have quotes of its own
      for (const std::string& key : {as_it_is, unquoted(as_it_is)}) {
        if (!any(part, key)) continue;
        part_ = part;
        key_ = key;
        return;
      }
    }
    if (where::find_column(name) == nullptr) unknown(store, name);
    const Value value = parse_value(store, name);
    for (const auto& row : store.query("SELECT r.id, " + value.sql + " FROM runs r", value.args).rows)
      values_[std::get<std::int64_t>(row[0])] = to_json(row[1]);
  }

  Json of(const Run& run) const {
    if (part_ == nullptr) return values_.at(run.id);
    const Json& part = run.row[part_];
    return part.contains(key_) ? part[key_] : Json();
  }

 private:
  [[noreturn]] static void unknown(Store& store, const std::string& name) {
    if (name == "stage")
      throw Error(Exit::usage, "--by: only `gradus compare` goes stage by stage; expected a parameter; got 'stage'");
    std::vector<std::string> names = param_names(store);
    names.emplace_back("stage");  // stages.h
    const std::string near = nearest(name, names);
    throw Error(Exit::usage, "--by: no run has the parameter '" + name + "'" +
                                 (near.empty() ? "" : " (did you mean '" + near + "'?)"));
  }

  const char* part_ = nullptr;  // of the run's row; none: a column of runs
  std::string key_;
  std::map<std::int64_t, Json> values_;
};

// Parameters (never the seed) that are not the same in all of these runs. That a run which came to nothing lacks one
// says nothing: it may be of an older script.
std::vector<std::string> differing(const std::vector<const Run*>& runs) {
  std::map<std::string, std::set<std::string>> values;
  std::map<std::string, std::size_t> seen;
  std::size_t counted = 0;
  for (const Run* run : runs) {
    counted += run->counted;
    for (const auto& [key, value] : run->row["params"].items()) {
      if (key == "seed") continue;
      values[key].insert(dump(value));
      seen[key] += run->counted;
    }
  }
  std::vector<std::string> keys;
  for (const auto& [key, set] : values) {
    if (set.size() > 1 || seen[key] != counted) keys.push_back(key);
  }
  return keys;
}

// The columns that tell the groups apart when the user names none: strategy (or name), then whatever else differs.
std::vector<std::string> default_by(const std::vector<Run>& runs) {
  std::vector<const Run*> all;
  std::set<std::string> names;
  bool strategies = false;
  for (const Run& run : runs) {
    all.push_back(&run);
    names.insert(run.row["name"].get<std::string>());
    strategies = strategies || run.row["params"].contains("strategy");
  }
  std::vector<std::string> by;
  if (names.size() > 1 || !strategies) by.push_back("name");
  if (strategies) by.push_back("strategy");
  for (const std::string& key : differing(all)) {
    if (key != "strategy") by.push_back(key);
  }
  return by;
}

std::vector<std::string> each_once(const std::vector<std::string>& names) {
  std::vector<std::string> once;
  for (const std::string& name : names) {
    if (std::find(once.begin(), once.end(), name) == once.end()) once.push_back(name);
  }
  return once;
}

// Counts a repetition of one configuration and seed once: the newest, a finished one before one that is not.
void drop_repetitions(Group& group) {
  std::set<std::string> seen;
  for (std::vector<const Run*>* runs : {&group.runs, &group.lost}) {
    std::vector<const Run*> kept;
    for (auto run = runs->rbegin(); run != runs->rend(); ++run) {
      const Json& row = (*run)->row;
      const bool comparable = row["config_hash"].is_string() && row["seed"].is_number();
      if (comparable && !seen.insert(dump(row["config_hash"]) + dump(row["seed"]) + dump(row["kind"])).second) {
        ++group.repeated;
      } else {
        kept.push_back(*run);
      }
    }
    runs->assign(kept.rbegin(), kept.rend());
  }
}

using Code = std::set<std::pair<std::string, std::string>>;  // path and hash of each source

Code code_of(Store& store, const Run& run) {
  Code code;
  for (const auto& row : store.query("SELECT path, sha256 FROM run_sources WHERE run_id = ?1", {run.id}).rows)
    code.emplace(std::get<std::string>(row[0]), std::get<std::string>(row[1]));
  return code;
}

// A run that came to nothing may have read less data than those that ended, so that its configuration has another hash:
// it is one of theirs where all the code that it had read is. One whose seed is there already is a repetition.
void join_lost(Store& store, std::vector<Group>& groups) {
  std::map<std::string, std::vector<std::pair<Group*, Code>>> ended;  // by label, the newest first
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
    if (!group->runs.empty()) ended[dump(group->label)].emplace_back(&*group, Code());
  }
  for (Group& group : groups) {
    const auto others = ended.find(dump(group.label));
    if (!group.runs.empty() || others == ended.end()) continue;
    std::erase_if(group.lost, [&](const Run* run) {
      const Code code = code_of(store, *run);
      for (auto& [other, whole] : others->second) {
        if (whole.empty()) whole = code_of(store, *other->runs.front());
        if (code.empty() || !std::includes(whole.begin(), whole.end(), code.begin(), code.end())) continue;
        const std::vector<const Run*> all = other->all();
        const bool again =
            std::any_of(all.begin(), all.end(), [&](const Run* one) { return one->row["seed"] == run->row["seed"]; });
        if (again) {
          ++other->repeated;
        } else {
          other->lost.push_back(run);
        }
        return true;
      }
      return false;
    });
  }
  std::erase_if(groups, [](const Group& group) { return group.all().empty(); });
}

// Runs that came to nothing under code that is not the code of the runs with these parameters: what was mended since.
int drop_outdated(std::vector<Group>& groups) {
  std::set<std::string> alive;
  for (const Group& group : groups) {
    if (!group.runs.empty()) alive.insert(dump(group.label));
  }
  int outdated = 0;
  std::erase_if(groups, [&](const Group& group) {
    const bool drop = group.runs.empty() && alive.count(dump(group.label)) != 0;
    if (drop) outdated += static_cast<int>(group.lost.size());
    return drop;
  });
  return outdated;
}

}  // namespace

std::vector<ComparedRun> compared_runs(Store& store, const CompareOptions& options) {
  std::vector<Run> runs;
  std::map<std::int64_t, std::size_t> place;
  Json ids = Json::array();
  RunFilter filter = options.filter;
  filter.metrics.emplace();
  Json rows_of_runs = list_runs(store, filter);
  const bool all_lost = std::none_of(rows_of_runs.begin(), rows_of_runs.end(), [](const Json& row) {
    return row["status"] == "finished" || row["status"] == "running";
  });
  for (Json& row : rows_of_runs) {
    const bool running = row["status"] == "running";
    if (running && !options.unfinished && !options.running) continue;
    const std::int64_t id = row["id"];
    const bool counted = options.unfinished || running || row["status"] == "finished" || (options.running && all_lost);
    place[id] = runs.size();
    ids.push_back(id);
    runs.push_back({id, std::move(row), counted, {}});
  }
  const Rows rows = store.query(
      "SELECT run_id, key, last, min, max, count FROM summaries WHERE run_id IN (SELECT value FROM json_each(?1))",
      {ids.dump()});
  const auto real = [](const Cell& cell) {
    const double* value = std::get_if<double>(&cell);
    return value != nullptr ? *value : std::numeric_limits<double>::quiet_NaN();
  };
  for (const auto& row : rows.rows) {
    runs[place[std::get<std::int64_t>(row[0])]].curves[std::get<std::string>(row[1])] = {
        real(row[2]), real(row[3]), real(row[4]), std::get<std::int64_t>(row[5])};
  }
  return runs;
}

Groups group_runs(Store& store, const std::vector<ComparedRun>& runs, const std::vector<std::string>& by) {
  Groups made{by.empty() ? default_by(runs) : each_once(by), {}, 0};
  std::vector<Column> columns;
  if (!runs.empty()) {
    for (const std::string& name : made.by) columns.emplace_back(store, runs, name);
  }
  std::map<std::string, std::size_t> place;
  for (const Run& run : runs) {
    Json label = Json::object();
    for (std::size_t i = 0; i < columns.size(); ++i) label[made.by[i]] = columns[i].of(run);
    const std::string key = dump(label) + (by.empty() ? dump(run.row["config_hash"]) : "");
    const auto [found, fresh] = place.emplace(key, made.groups.size());
    if (fresh) made.groups.push_back({label, {}, {}, 0});
    Group& group = made.groups[found->second];
    (run.counted ? group.runs : group.lost).push_back(&run);
  }
  join_lost(store, made.groups);
  made.outdated = drop_outdated(made.groups);
  // The same parameters under different code or data: the configuration's hash tells them apart.
  std::set<std::string> labels;
  for (const Group& g : made.groups) labels.insert(dump(g.label));
  if (labels.size() < made.groups.size()) {
    made.by.emplace_back("config");
    for (Group& g : made.groups) {
      const Json& hash = g.all().front()->row["config_hash"];
      g.label["config"] = hash.is_string() ? Json(hash.get<std::string>().substr(0, 8)) : Json();
    }
  }
  for (Group& g : made.groups) drop_repetitions(g);
  return made;
}

std::vector<const ComparedRun*> RunGroup::all() const {
  std::vector<const ComparedRun*> both = runs;
  both.insert(both.end(), lost.begin(), lost.end());
  return both;
}

std::vector<std::string> mixed_params(const RunGroup& group, const std::vector<std::string>& by) {
  std::vector<std::string> mixed;
  for (const std::string& key : differing(group.runs)) {
    if (std::find(by.begin(), by.end(), key) == by.end()) mixed.push_back(key);
  }
  return mixed;
}

}  // namespace gradus::results
