// Writer, one live run (store.h).
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "error.h"
#include "housekeeping.h"
#include "run_rows.h"
#include "store_impl.h"

namespace gradus::results {

Writer::Writer() = default;

Writer::~Writer() {
  if (store_ == nullptr || finished_) return;
  try {
    finish("interrupted", "the run was left without being finished");
  } catch (const std::exception&) {
    store_->abandon(*this);
  }
}

void Writer::check_live(const char* what) const {
  if (finished_)
    throw Error(Exit::usage, std::string(what) + ": run " + std::to_string(id_) + " is over; expected a running run");
}

int Writer::key(std::string_view name) {
  check_live("log");
  if (!valid_key(name)) {
    std::string got(name.substr(0, 200));
    std::replace_if(
        got.begin(), got.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
    throw Error(Exit::usage, "log: bad metric name; expected 1 to 200 of A-Z a-z 0-9 _ . / -; got '" + got + "'");
  }
  return spool_->key(name);
}

void Writer::log(int key, std::int64_t step, double value) {
  if (finished_ || key < 0 || static_cast<std::size_t>(key) >= spool_->keys()) [[unlikely]] {
    check_live("log");
    throw Error(Exit::usage, "log: no metric with number " + std::to_string(key) + "; expected one that key() gave");
  }
  spool_->metric(static_cast<std::uint32_t>(key), step, value);
}

void Writer::progress(std::int64_t step, double epoch, std::int64_t samples, double flops, double seconds) {
  check_live("progress");
  spool_->progress(step, epoch, samples, flops, seconds);
}

namespace {

// Three texts as one, each ended by a NUL; a NUL inside a text ends it.
std::string joined(std::string_view a, std::string_view b, std::string_view c) {
  std::string all;
  for (const std::string_view part : {a, b, c}) {
    all += part.substr(0, part.find('\0'));
    all += '\0';
  }
  return all;
}

}  // namespace

void Writer::event(std::int64_t step, std::string_view kind, std::string_view name, std::string_view detail_json) {
  check_live("event");
  if (kind.empty()) throw Error(Exit::usage, "event: expected a kind; got an empty text");
  if (!detail_json.empty() && !nlohmann::json::accept(detail_json)) {
    throw Error(Exit::usage,
                "event: bad detail; expected a JSON document; got '" + std::string(detail_json.substr(0, 60)) + "'");
  }
  spool_->text(Record::event, step, unix_seconds(), joined(kind, name, detail_json));
}

void Writer::artifact(std::string_view kind, std::string_view path, std::string_view sha256, std::int64_t bytes) {
  check_live("artifact");
  if (path.empty() || std::filesystem::path(path).is_absolute()) {
    throw Error(Exit::usage, "artifact: expected a path relative to the run's folder; got '" + std::string(path) + "'");
  }
  spool_->text(Record::artifact, bytes, 0, joined(kind, path, sha256));
}

void Writer::amend(std::string_view config_hash, std::optional<std::int64_t> threads, const std::vector<Param>& params,
                   const std::vector<Source>& sources) {
  check_live("amend");
  store_->write([&](Database& database) {
    Statement run = database.prepare(
        "UPDATE runs SET config_hash = COALESCE(?1, config_hash), threads = COALESCE(?2, threads) WHERE id = ?3");
    run.bind_text(1, config_hash).bind(2, threads ? Cell(*threads) : Cell()).bind(3, id_).run();
    put_params(database, id_, params);
    put_sources(database, id_, sources);
  });
}

void Writer::better(std::string_view name, std::string_view direction) {
  check_live("better");
  bool said = false;
  store_->reader->ask([&](Database& database) {
    said =
        database.prepare("SELECT 1 FROM keys WHERE name = ?1 AND better = ?2").bind(1, name).bind(2, direction).step();
  });
  if (said) return;
  store_->write([&](Database& database) {
    const std::string before = put_better(database, name, direction);
    if (before.empty() || before == direction) return;
    const std::string key(name);
    throw Error(Exit::usage, "better: " + key + ": expected " + before + ", as was said before in " + store_->path +
                                 "; got " + std::string(direction) + "; `gradus better " + key + " " +
                                 std::string(direction) + "` changes it");
  });
}

SplitRun Writer::split(std::string_view name, std::string_view kind, std::string_view prefixes) {
  check_live("split");
  if (name.empty() || kind.empty()) throw Error(Exit::usage, "split: expected a name and a kind; got an empty text");
  return store_->split(*this, name, kind, prefixes);
}

void Writer::flush() {
  check_live("flush");
  store_->flush(*this);
}

Point Writer::point() {
  flush();
  Point point;
  store_->reader->ask([&](Database& database) {
    Statement find = database.prepare(
        "SELECT (SELECT coalesce(max(id), 0) FROM events WHERE run_id = ?1), (SELECT coalesce(max(id), 0) FROM runs "
        "WHERE parent = ?1), "
        "(SELECT coalesce(max(step), -1) FROM progress WHERE run_id = ?1), "
        "(SELECT json_group_array(k.name) FROM summary_values s JOIN keys k ON k.id = s.key_id WHERE s.run_id = ?1)");
    if (find.bind(1, id_).step()) point = {-1, find.integer(0), find.integer(1), find.integer(2), find.text(3)};
  });
  return point;
}

void Writer::finish(std::string_view status, std::string_view message) {
  check_live("finish");
  if (status != "finished" && status != "failed" && status != "interrupted") {
    throw Error(Exit::usage, "finish: expected finished, failed or interrupted; got '" + std::string(status) + "'");
  }
  store_->finish(*this, status, message);
  finished_ = true;
  spool_.reset();
}

}  // namespace gradus::results
