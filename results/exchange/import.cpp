#include "import.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "error.h"
#include "store/clock.h"
#include "store/database.h"
#include "store/drain.h"
#include "store/sha256.h"
#include "utf8.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBatch = 50'000;  // points of one transaction: others wait a tenth of a second at most
constexpr std::size_t kMostMetrics = 20'000, kMostNames = 500'000;  // of one run, of a source; more are a mistake

// A hash over texts of any total length, in pieces.
class Digest {
 public:
  void add(std::string_view bytes) {
    buffer_ += bytes;
    if (buffer_.size() > (1 << 16)) fold();
  }
  std::string text() {
    fold();
    return hash_;
  }

 private:
  void fold() {
    hash_ = sha256(hash_ + buffer_);
    buffer_.clear();
  }
  std::string hash_, buffer_;
};

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

struct Point {
  std::int64_t key, step;
  double time, value;
};

Cell cell_of(const Param& param, const char*& type) {
  static constexpr const char* kTypes[] = {"null", "boolean", "integer", "number", "string"};
  type = kTypes[param.value.index()];
  return std::visit(
      [](const auto& value) -> Cell {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, bool>)
          return std::int64_t{value};
        else
          return value;
      },
      param.value);
}

std::optional<std::int64_t> seed_of(const ImportedRun& run) {
  for (const Param& param : run.params) {
    const auto* seed = std::get_if<std::int64_t>(&param.value);
    if (seed != nullptr && (param.key == "seed" || param.key == "random_seed")) return *seed;
  }
  return {};
}

// The rows of one run. Between the first and the last transaction the run is there as an interrupted one without its
// event, so a run whose import was killed is written again the next time.
class RunRows {
 public:
  RunRows(Store& store, const ImportedRun& run, std::string uid) : store_(store), run_(run), uid_(std::move(uid)) {}

  void begin(std::int64_t old) {
    std::error_code code;
    fs::create_directories(store_.folder() + "/" + uid_, code);
    if (code)
      throw Error(Exit::io, store_.folder() + "/" + uid_ + ": cannot make the run's folder; got " + code.message());
    store_.write([&](Database& database) {
      if (old != 0) {
        for (const char* table : {"metric_values", "summary_values", "params", "progress", "events"})
          database.prepare(std::string("DELETE FROM ") + table + " WHERE run_id = ?1").bind(1, old).run();
      } else {
        database
            .prepare("INSERT INTO runs (uid, name, kind, status, started) VALUES (?1, ?2, 'import', 'interrupted', ?3)")
            .bind(1, std::string_view(uid_))
            .bind(2, std::string_view(run_.name))
            .bind(3, std::string_view(iso_time(run_.started)))
            .run();
      }
      id_ = old != 0 ? old : database.last_id();
      Statement update = database.prepare(
          "UPDATE runs SET name = ?2, status = 'interrupted', seed = ?3, started = ?4, ended = ?5, seconds = ?6, "
          "script = ?7, git_commit = ?8, note = coalesce(note, ?9), error = NULL WHERE id = ?1");
      const std::optional<std::int64_t> seed = seed_of(run_);
      update.bind(1, id_).bind(2, std::string_view(run_.name)).bind(3, seed ? Cell(*seed) : Cell());
      update.bind(4, std::string_view(iso_time(run_.started))).bind(5, std::string_view(iso_time(run_.ended)));
      update.bind(6, run_.ended - run_.started).bind_text(7, run_.script).bind_text(8, run_.git_commit);
      update.bind_text(9, run_.note).run();
      Statement put =
          database.prepare("INSERT OR REPLACE INTO params (run_id, key, value, type) VALUES (?1, ?2, ?3, ?4)");
      for (const Param& param : run_.params) {
        const char* type = nullptr;
        const Cell value = cell_of(param, type);
        put.bind(1, id_).bind(2, std::string_view(param.key)).bind(3, value).bind(4, std::string_view(type)).run();
      }
      Statement tag = database.prepare("INSERT OR IGNORE INTO tags (run_id, name, value) VALUES (?1, ?2, ?3)");
      for (const auto& [name, value] : run_.tags)
        tag.bind(1, id_).bind(2, std::string_view(name)).bind(3, std::string_view(value)).run();
    });
  }

  void point(const std::string& key, std::int64_t step, double time, double value) {
    auto found = ids_.find(key);
    if (found == ids_.end()) found = ids_.emplace(key, key_id(key)).first;
    points_.push_back({found->second, step, time, value});
    if (points_.size() >= kBatch) flush();
  }

  void end(const std::string& tool, const Json& detail) {
    flush();
    for (const auto& [key, id] : ids_)
      store_.write([&, key_id = id](Database& database) { summarize(database, key_id); });
    store_.write([&](Database& database) {
      database.prepare("INSERT INTO events (run_id, time, kind, name, detail) VALUES (?1, ?2, 'import', ?3, ?4)")
          .bind(1, id_)
          .bind(2, std::string_view(iso_time(run_.ended)))
          .bind(3, std::string_view(tool))
          .bind(4, std::string_view(dump(detail)))
          .run();
      database.prepare("UPDATE runs SET status = ?2 WHERE id = ?1")
          .bind(1, id_)
          .bind(2, std::string_view(run_.status))
          .run();
    });
  }

 private:
  std::int64_t key_id(const std::string& key) {
    std::int64_t id = 0;
    store_.write([&](Database& database) {
      database.prepare("INSERT OR IGNORE INTO keys (name) VALUES (?1)").bind(1, std::string_view(key)).run();
      Statement find = database.prepare("SELECT id FROM keys WHERE name = ?1");
      if (find.bind(1, std::string_view(key)).step()) id = find.integer(0);
    });
    return id;
  }

  void flush() {
    if (points_.empty()) return;
    store_.write([&](Database& database) {
      Statement put = database.prepare(
          "INSERT INTO metric_values (run_id, key_id, step, value) VALUES (?1, ?2, ?3, ?4) "
          "ON CONFLICT DO UPDATE SET value = excluded.value");
      Statement progress = database.prepare(
          "INSERT INTO progress (run_id, step, seconds) VALUES (?1, ?2, ?3) "
          "ON CONFLICT DO UPDATE SET seconds = max(seconds, excluded.seconds)");
      std::int64_t step = 0;
      double time = std::numeric_limits<double>::quiet_NaN();
      for (const Point& p : points_) {
        put.bind(1, id_).bind(2, p.key).bind(3, p.step).bind(4, p.value).run();
        // Metrics of one step come one after the other, mostly with one time.
        if (p.step == step && p.time == time) continue;
        step = p.step;
        time = p.time;
        if (std::isfinite(p.time)) progress.bind(1, id_).bind(2, p.step).bind(3, p.time - run_.started).run();
      }
    });
    points_.clear();
  }

  void summarize(Database& database, std::int64_t key) {
    Summary s;
    Statement curve =
        database.prepare("SELECT step, value FROM metric_values WHERE run_id = ?1 AND key_id = ?2 ORDER BY step");
    curve.bind(1, id_).bind(2, key);
    while (curve.step())
      s.add(curve.integer(0), curve.null(1) ? std::numeric_limits<double>::quiet_NaN() : curve.real(1));
    const bool numbers = s.count > s.nans;
    Statement put = database.prepare(
        "INSERT OR REPLACE INTO summary_values (run_id, key_id, last, min, max, argmin, argmax, count, last_step, "
        "nans) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    put.bind(1, id_).bind(2, key).bind(3, s.last).bind(4, s.min).bind(5, s.max);
    put.bind(6, numbers ? Cell(s.argmin) : Cell()).bind(7, numbers ? Cell(s.argmax) : Cell());
    put.bind(8, s.count).bind(9, s.last_step).bind(10, s.nans).run();
  }

  Store& store_;            // borrowed
  const ImportedRun& run_;  // borrowed
  std::string uid_;
  std::int64_t id_ = 0;
  std::map<std::string, std::int64_t> ids_;
  std::vector<Point> points_;
};

bool hexadecimal(const std::string& uid) {
  return uid.size() == 32 && uid.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string fields_of(const ImportedRun& run) {
  Json params = Json::array(), tags = Json::array();
  for (const Param& param : run.params) {
    const char* type = nullptr;
    const Cell value = cell_of(param, type);
    params.push_back({param.key, type, to_json(value)});
  }
  for (const auto& [name, value] : run.tags) tags.push_back({name, value});
  return dump(Json({run.name, run.status, run.script, run.git_commit, run.note, iso_time(run.started),
                    iso_time(run.ended), params, tags}));
}

}  // namespace

// --- names

void KeyNames::know(const std::string& name) {
  if (keys_.size() >= kMostNames && keys_.count(name) == 0)
    throw Error(Exit::data, "import: expected at most " + std::to_string(kMostNames) + " metric names; got more");
  std::string& key = keys_[name];
  if (!valid_key(name)) return;
  key = name;
  taken_[name] = name;
}

const std::string& KeyNames::key(const std::string& name) {
  if (keys_.count(name) == 0) know(name);
  std::string& key = keys_.at(name);
  if (key.empty()) {
    key = changed(name);
    if (!free(key, name)) key = key.substr(0, 190) + "-" + sha256(name).substr(0, 8);
    taken_[key] = name;
  }
  return key;
}

bool KeyNames::free(const std::string& key, const std::string& name) {
  const auto taken = taken_.find(key);
  if (taken != taken_.end()) return taken->second == name;
  if (name.size() > 200) return false;  // cut: not the only one that begins like this
  // In the store it may be this name's from an import before.
  const Rows rows = store_.query(
      "SELECT EXISTS (SELECT 1 FROM keys WHERE name = ?1) AND NOT EXISTS (SELECT 1 FROM events e, json_each(e.detail, "
      "'$.renamed') j WHERE e.kind = 'import' AND json_valid(e.detail) AND j.key = ?1 AND j.value = ?2)",
      {key, name});
  return std::get<std::int64_t>(rows.rows[0][0]) == 0;
}

// A key that looks like the name.
std::string KeyNames::changed(const std::string& name) {
  const std::string text = utf8(name);
  std::string key;
  for (std::size_t i = 0; i < text.size() && key.size() < 200;) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      key += valid_key(text.substr(i++, 1)) ? text[i - 1] : '_';
      continue;
    }
    const std::size_t size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;  // it is UTF-8
    unsigned point = byte & (0x7fU >> size);
    for (std::size_t k = 1; k < size; ++k) point = point << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3fU);
    char code[12];
    std::snprintf(code, sizeof code, "u%04X", point);
    key += code;
    i += size;
  }
  return key.empty() ? "_" : key.substr(0, 200);
}

// --- runs

std::string Importer::uid_of(const std::string& identity) const {
  // One that was exported from this store has the uid that it has here.
  if (hexadecimal(identity) && !store_.query("SELECT 1 FROM runs WHERE uid = ?1", {identity}).rows.empty())
    return identity;
  return sha256(tool_ + '\0' + identity).substr(0, 32);
}

void Importer::set_parent(const std::string& child, const std::string& parent) {
  const std::string below = uid_of(child), above = uid_of(parent);
  const Rows rows =
      store_.query("SELECT c.id, p.id, c.parent FROM runs c, runs p WHERE c.uid = ?1 AND p.uid = ?2", {below, above});
  if (rows.rows.empty() || below == above) return;
  ++done_.children;
  if (rows.rows[0][2] == rows.rows[0][1]) return;
  store_.write([&](Database& database) {
    database.prepare("UPDATE runs SET parent = ?2 WHERE id = ?1")
        .bind(1, rows.rows[0][0])
        .bind(2, rows.rows[0][1])
        .run();
  });
}

void Importer::add(ImportedRun& run, const std::function<void(const PointSink&)>& points) {
  // A run that was exported from this store.
  if (hexadecimal(run.uid) && !store_.query("SELECT 1 FROM runs WHERE uid = ?1", {run.uid}).rows.empty()) {
    ++done_.unchanged;
    return;
  }
  Digest digest;
  Json renamed = Json::object();
  std::set<std::string_view> keys;
  std::int64_t values = 0;
  double first = std::numeric_limits<double>::infinity(), last = -first;
  points([&](const std::string& metric, std::int64_t step, double time, double value) {
    const std::string& key = names_.key(metric);
    if (key != metric) renamed[key] = utf8(metric);
    if (keys.insert(key).second && keys.size() > kMostMetrics)
      throw Error(Exit::data,
                  "import: expected at most " + std::to_string(kMostMetrics) + " metrics in a run; got more");
    digest.add(key);
    for (const std::string_view part : {bytes_of(step), bytes_of(time), bytes_of(value)}) digest.add(part);
    // Years 1970 to 9999: what the columns for times can say.
    if (time > 0 && time < 253402300800.0) first = std::min(first, time), last = std::max(last, time);
    ++values;
  });
  if (!std::isfinite(run.started)) run.started = std::isfinite(first) ? first : run.fallback;
  if (!std::isfinite(run.started)) run.started = std::isfinite(run.ended) ? run.ended : unix_seconds();
  if (!std::isfinite(run.ended)) run.ended = std::max(std::isfinite(last) ? last : run.started, run.started);
  digest.add(fields_of(run));

  const std::string uid = uid_of(run.identity);
  std::int64_t old = 0;
  std::string was;
  for (const auto& row :
       store_
           .query("SELECT id, (SELECT json_extract(detail, '$.digest') FROM events WHERE run_id = r.id AND "
                  "kind = 'import' AND json_valid(detail)) FROM runs r WHERE uid = ?1",
                  {uid})
           .rows) {
    old = std::get<std::int64_t>(row[0]);
    if (const auto* text = std::get_if<std::string>(&row[1])) was = *text;
  }
  Json detail = {{"tool", tool_}, {"digest", digest.text()}, {"source", run.source}};
  if (!renamed.empty()) detail["renamed"] = renamed;
  if (old != 0 && was == detail["digest"]) {
    ++done_.unchanged;
    return;
  }
  RunRows rows(store_, run, uid);
  rows.begin(old);
  points([&](const std::string& metric, std::int64_t step, double time, double value) {
    rows.point(names_.key(metric), step, time, value);
  });
  rows.end(tool_, detail);
  done_.values += values;
  ++(old != 0 ? done_.updated : done_.added);
}

double changed_at(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<double>(info.st_mtime)
                                          : std::numeric_limits<double>::quiet_NaN();
}

Param typed_param(std::string key, const std::string& text) {
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, integer);
      error == std::errc() && at == end && !text.empty())
    return {std::move(key), integer};
  double number = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, number);
      error == std::errc() && at == end && !text.empty() && std::isfinite(number))
    return {std::move(key), number};
  if (text == "True" || text == "true") return {std::move(key), true};
  if (text == "False" || text == "false") return {std::move(key), false};
  return {std::move(key), text};
}

}  // namespace gradus::results
