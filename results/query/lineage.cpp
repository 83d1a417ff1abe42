#include "lineage.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "utf8.h"

namespace gradus::results {
namespace {

// Sources by path, as a run had them at a step: what was edited while it went on is kept as PATH@STEP.
std::map<std::string, std::string> sources_at(Store& store, std::int64_t run, std::int64_t step) {
  std::map<std::string, std::string> had;
  std::map<std::string, std::int64_t> since;
  for (const auto& row : store.query("SELECT path, sha256 FROM run_sources WHERE run_id = ?1", {run}).rows) {
    std::string path = std::get<std::string>(row[0]);
    std::int64_t from = -1;
    const std::size_t at = path.rfind('@');
    if (at != std::string::npos && at + 1 < path.size() && path.size() - at < 18 &&
        path.find_first_not_of("0123456789", at + 1) == std::string::npos) {
      from = std::stoll(path.substr(at + 1));
      path.resize(at);
    }
    if (from > step || (since.count(path) != 0 && since[path] > from)) continue;
    had[path] = std::get<std::string>(row[1]);
    since[path] = from;
  }
  return had;
}

// Those of the fork that its origin did not have, or not so.
Json changed_scripts(Store& store, std::int64_t run, const Json& origin, std::int64_t step) {
  Json changed = Json::array();
  if (!origin.is_number()) return changed;
  const auto had = sources_at(store, origin.get<std::int64_t>(), step);
  for (const auto& [path, sha256] : sources_at(store, run, -1)) {
    const auto before = had.find(path);
    if (before == had.end() || before->second != sha256) changed.push_back(utf8(path));
  }
  return changed;
}

constexpr const char* kFork = "SELECT f.run_id, f.origin, f.uid, f.step, f.changed FROM forks f";

Json fork_of_row(Store& store, const std::vector<Cell>& row) {
  Json fork = {
      {"run", to_json(row[0])}, {"origin", to_json(row[1])}, {"uid", to_json(row[2])}, {"step", to_json(row[3])}};
  const auto* text = std::get_if<std::string>(&row[4]);
  Json set = text != nullptr ? Json::parse(*text, nullptr, false) : Json();
  fork["set"] = set.is_object() ? std::move(set) : Json::object();
  const std::int64_t step = fork["step"].is_number_integer() ? fork["step"].get<std::int64_t>() : 0;
  fork["scripts"] = changed_scripts(store, fork["run"], fork["origin"], step);
  return fork;
}

// The forks that lead from the run to where it all began, its own first.
std::vector<Json> way(Store& store, std::int64_t run) {
  std::vector<Json> forks;
  std::set<std::int64_t> seen;
  while (seen.insert(run).second) {
    Json fork = origin_of(store, run);
    if (fork.is_null()) break;
    forks.push_back(std::move(fork));
    if (!forks.back()["origin"].is_number()) break;
    run = forks.back()["origin"];
  }
  return forks;
}

// A run that the way leads to, up to which of its steps the way shares its past, and after how many forks.
struct Shared {
  std::string uid;
  std::int64_t step;
  std::size_t forks;
};
std::vector<Shared> shared(const std::string& uid, const std::vector<Json>& forks) {
  std::vector<Shared> all = {{uid, std::numeric_limits<std::int64_t>::max(), 0}};
  for (const Json& fork : forks) {
    const std::int64_t step = fork["step"].is_number_integer() ? fork["step"].get<std::int64_t>() : 0;
    all.push_back(
        {fork["uid"].is_string() ? fork["uid"].get<std::string>() : "", std::min(all.back().step, step), all.size()});
  }
  return all;
}

Json first(const std::vector<Json>& forks, std::size_t count) {
  return std::vector<Json>(forks.begin(), forks.begin() + static_cast<std::ptrdiff_t>(count));
}

std::string uid_of(Store& store, std::int64_t run) {
  return std::get<std::string>(store.query("SELECT uid FROM runs WHERE id = ?1", {run}).rows[0][0]);
}

Json steps_of(Store& store, std::int64_t run) {
  return to_json(
      store.query("SELECT min(step) AS \"from\", max(step) AS \"to\" FROM progress WHERE run_id = ?1", {run}))[0];
}

Json member_of(Store& store, std::int64_t run, const Json& origin, int depth) {
  Json member = to_json(store.query("SELECT id AS run, name, status, kind FROM runs WHERE id = ?1", {run}))[0];
  member.update(steps_of(store, run));
  member["origin"] = origin;
  member["depth"] = depth;
  member["text"] = "";
  return member;
}

void add_family(Store& store, Json member, Json& family, std::set<std::int64_t>& seen) {
  const std::int64_t run = member["run"];
  const int depth = member["depth"];
  if (!seen.insert(run).second) return;
  family.push_back(std::move(member));
  for (const auto& row :
       store.query("SELECT id FROM runs WHERE parent = ?1 AND kind = 'attempt' ORDER BY id", {run}).rows)
    family.push_back(member_of(store, std::get<std::int64_t>(row[0]), run, depth + 1));
  for (const Json& fork : forks_of(store, run)) {
    Json child = member_of(store, fork["run"], run, depth + 1);
    if (child["to"].is_number() && child["to"] > fork["step"])
      child["from"] = fork["step"];
    else
      child["from"] = child["to"] = nullptr;
    child["text"] = change_text(fork);
    add_family(store, std::move(child), family, seen);
  }
}

std::string word(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string run_text(const Json& run, const Json& uid) {
  if (run.is_number()) return "run " + run.dump();
  return "a run that this store does not have" +
         (uid.is_string() ? " (" + uid.get<std::string>().substr(0, 8) + ")" : "");
}

std::string way_text(const Json& forks) {
  std::string text = "run " + forks[0]["run"].dump() + " is ";
  for (std::size_t i = 0; i < forks.size(); ++i) text += (i > 0 ? ", which is " : "") + fork_text(forks[i]);
  return text;
}

}  // namespace

Json origin_of(Store& store, std::int64_t run) {
  const Rows rows = store.query(std::string(kFork) + " WHERE f.run_id = ?1", {run});
  return rows.rows.empty() ? Json() : fork_of_row(store, rows.rows[0]);
}

Json forks_of(Store& store, std::int64_t run) {
  Json forks = Json::array();
  for (const auto& row : store.query(std::string(kFork) + " WHERE f.origin = ?1 ORDER BY f.run_id", {run}).rows) {
    Json fork = fork_of_row(store, row);
    const Rows known = store.query("SELECT name, status FROM runs WHERE id = ?1", {row[0]});
    fork["name"] = to_json(known.rows[0][0]);
    fork["status"] = to_json(known.rows[0][1]);
    forks.push_back(std::move(fork));
  }
  return forks;
}

Json common_past(Store& store, std::int64_t a, std::int64_t b) {
  if (a == b) return nullptr;
  const std::vector<Json> of_a = way(store, a), of_b = way(store, b);
  const std::vector<Shared> others = shared(uid_of(store, b), of_b);
  for (const Shared& one : shared(uid_of(store, a), of_a)) {
    const auto other = std::find_if(others.begin(), others.end(),
                                    [&](const Shared& it) { return it.uid == one.uid && !it.uid.empty(); });
    if (other == others.end()) continue;
    const Rows known = store.query("SELECT id FROM runs WHERE uid = ?1", {one.uid});
    return {{"run", known.rows.empty() ? Json() : to_json(known.rows[0][0])},
            {"uid", one.uid},
            {"step", std::min(one.step, other->step)},
            {"a", first(of_a, one.forks)},
            {"b", first(of_b, other->forks)}};
  }
  return nullptr;
}

Json family_of(Store& store, std::int64_t run, std::size_t most) {
  const Rows parent =
      store.query("SELECT parent FROM runs WHERE id = ?1 AND kind = 'attempt' AND parent IS NOT NULL", {run});
  std::int64_t oldest = parent.rows.empty() ? run : std::get<std::int64_t>(parent.rows[0][0]);
  for (const Json& fork : way(store, oldest)) {
    if (fork["origin"].is_number()) oldest = fork["origin"];
  }
  Json family = Json::array(), few = Json::array();
  std::set<std::int64_t> seen;
  add_family(store, member_of(store, oldest, nullptr, 0), family, seen);
  for (std::size_t i = 0; i < family.size(); ++i) {
    const bool last = few.size() + 1 >= most &&
                      std::none_of(few.begin(), few.end(), [&](const Json& one) { return one["run"] == run; });
    if (few.size() < most && (!last || family[i]["run"] == run)) few.push_back(family[i]);
  }
  return few;
}

std::string change_text(const Json& fork) {
  std::string text;
  std::vector<std::string> parts;
  for (const auto& [key, value] : fork["set"].items()) parts.push_back(key + "=" + word(value));
  if (!fork["scripts"].empty()) {
    std::string scripts;
    for (const Json& path : fork["scripts"]) scripts += (scripts.empty() ? "" : ", ") + word(path);
    parts.push_back("another script, " + scripts);
  }
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += (i == 0 ? "" : i + 1 < parts.size() ? ", " : " and ") + parts[i];
  return text;
}

std::string fork_text(const Json& fork) {
  const std::string change = change_text(fork);
  return "a fork of " + run_text(fork["origin"], fork["uid"]) + " at step " + word(fork["step"]) +
         (change.empty() ? "" : ", with " + change);
}

std::string common_past_text(const Json& common) {
  std::string text;
  for (const char* side : {"a", "b"}) {
    if (!common[side].empty()) text += (text.empty() ? "" : "; ") + way_text(common[side]);
  }
  const bool one = common["a"].size() + common["b"].size() == 1;
  return text + (one ? "; until then the same" : "; the same until step " + word(common["step"]));
}

}  // namespace gradus::results
