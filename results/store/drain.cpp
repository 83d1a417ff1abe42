#include "drain.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "clock.h"

namespace gradus::results {

void Summary::add(std::int64_t step, double value) {
  if (count == 0 || step >= last_step) {
    last = value;
    last_step = step;
  }
  ++count;
  if (std::isnan(value)) {
    ++nans;
    return;
  }
  if (std::isnan(min) || value < min || (value == min && step < argmin)) {
    min = value;
    argmin = step;
  }
  if (std::isnan(max) || value > max || (value == max && step < argmax)) {
    max = value;
    argmax = step;
  }
}

bool Summary::replace(std::int64_t step, double old, double value) {
  const bool lost_min = !std::isnan(min) && step == argmin && !(value <= min);
  const bool lost_max = !std::isnan(max) && step == argmax && !(value >= max);
  if (lost_min || lost_max) return false;
  nans -= std::isnan(old);
  --count;
  add(step, value);
  return true;
}

void put_summary(Statement& put, std::int64_t run, std::int64_t key, const Summary& s) {
  put.bind(1, run).bind(2, key).bind(3, s.last).bind(4, s.min).bind(5, s.max);
  if (std::isnan(s.min)) {
    put.bind_null(6).bind_null(7);
  } else {
    put.bind(6, s.argmin).bind(7, s.argmax);
  }
  put.bind(8, s.count).bind(9, s.last_step).bind(10, s.nans).run();
}

namespace {

constexpr std::size_t kRowsPut = 50;  // in one statement: a value costs half of what it does in a statement of its own

// Parameters: run, key, then step and value of each row.
std::string put_sql(std::size_t rows) {
  std::string sql = "INSERT INTO metric_values VALUES ";
  for (std::size_t row = 0; row < rows; ++row) {
    sql += (row == 0 ? "(?1, ?2, ?" : ", (?1, ?2, ?") + std::to_string(3 + 2 * row) + ", ?" +
           std::to_string(4 + 2 * row) + ")";
  }
  return sql + " ON CONFLICT DO UPDATE SET value = excluded.value";
}

}  // namespace

DrainStatements::DrainStatements(Database& database)
    : put(database.prepare(put_sql(1))),
      put_many(database.prepare(put_sql(kRowsPut))),
      old(database.prepare("SELECT value FROM metric_values WHERE run_id = ?1 AND key_id = ?2 AND step = ?3")),
      key_find(database.prepare("SELECT id FROM keys WHERE name = ?1")),
      key_add(database.prepare("INSERT INTO keys (name) VALUES (?1) RETURNING id")),
      summary_get(database.prepare("SELECT last, min, max, argmin, argmax, count, last_step, nans "
                                   "FROM summary_values WHERE run_id = ?1 AND key_id = ?2")),
      summary_put(
          database.prepare("INSERT OR REPLACE INTO summary_values VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")),
      curve(database.prepare("SELECT step, value FROM metric_values WHERE run_id = ?1 AND key_id = ?2 ORDER BY step")),
      progress(database.prepare("INSERT OR REPLACE INTO progress VALUES (?1, ?2, ?3, ?4, ?5, ?6)")),
      event(database.prepare(
          "INSERT INTO events (run_id, step, time, kind, name, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")),
      artifact(database.prepare("INSERT OR REPLACE INTO artifacts VALUES (?1, ?2, ?3, ?4, ?5)")),
      position_get(database.prepare("SELECT segment, records FROM drained WHERE run_id = ?1")),
      position_put(database.prepare("INSERT OR REPLACE INTO drained VALUES (?1, ?2, ?3)")) {}

RunDrain::RunDrain(DrainStatements& statements, std::int64_t run_id, std::string folder)
    : statements_(statements), run_id_(run_id), folder_(std::move(folder)), reader_(folder_, stored_position()) {}

SpoolPosition RunDrain::stored_position() {
  SpoolPosition position;
  Statement& get = statements_.position_get.bind(1, run_id_);
  if (get.step()) position = {get.integer(0), static_cast<std::uint64_t>(get.integer(1))};
  get.reset();
  return position;
}

RunDrain::Key* RunDrain::key(std::uint32_t number) {
  const auto found = keys_.find(number);
  if (found != keys_.end()) return &found->second;
  const std::string& name = reader_.name(number);
  if (!valid_key(name)) return nullptr;  // only a damaged names file
  Key fresh;
  if (statements_.key_find.bind(1, std::string_view(name)).step()) {
    fresh.id = statements_.key_find.integer(0);
    statements_.key_find.reset();
  } else {
    statements_.key_add.bind(1, std::string_view(name)).step();
    fresh.id = statements_.key_add.integer(0);
    statements_.key_add.reset();
  }
  Statement& get = statements_.summary_get.bind(1, run_id_).bind(2, fresh.id);
  if (get.step()) {
    const auto real = [&](int column) {
      return get.null(column) ? std::numeric_limits<double>::quiet_NaN() : get.real(column);
    };
    fresh.summary = {real(0),        real(1),        real(2),        get.integer(3),
                     get.integer(4), get.integer(5), get.integer(6), get.integer(7)};
  }
  get.reset();
  return &keys_.emplace(number, fresh).first->second;
}

std::uint64_t RunDrain::apply(std::uint64_t limit, bool dead) {
  std::uint64_t done = 0;
  metrics_.clear();
  while (done < limit) {
    const SpoolReader::Span span = reader_.read(limit - done, dead);
    if (span.size == 0) break;
    for (std::uint64_t i = 0; i < span.size; i += message_records(span.data[i])) {
      const Record& head = span.data[i];
      if (head.kind == Record::metric) {
        metrics_.push_back(head);
      } else if (head.kind == Record::progress) {
        const Record* at = &head;
        statements_.progress.bind(1, run_id_).bind(2, at[0].step).bind(3, at[0].value);
        statements_.progress.bind(4, at[1].step).bind(5, at[1].value).bind(6, at[2].value).run();
      } else if (head.kind == Record::event || head.kind == Record::artifact) {
        apply_text(&head);
      }
    }
    reader_.advance(span.size);
    done += span.size;
  }
  if (done == 0) return 0;
  apply_metrics();
  statements_.position_put.bind(1, run_id_).bind(2, reader_.position().segment);
  statements_.position_put.bind(3, static_cast<std::int64_t>(reader_.position().records)).run();
  return done;
}

void RunDrain::apply_metrics() {
  // One curve after the other: the B-tree's leaves fill up in order instead of splitting at every key in turn.
  std::stable_sort(metrics_.begin(), metrics_.end(),
                   [](const Record& a, const Record& b) { return a.key != b.key ? a.key < b.key : a.step < b.step; });
  fresh_.clear();  // an error may have left some
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    const Record& record = metrics_[i];
    const bool overwritten =
        i + 1 < metrics_.size() && metrics_[i + 1].key == record.key && metrics_[i + 1].step == record.step;
    if (overwritten) continue;
    Key* key = this->key(record.key);
    if (key == nullptr) continue;
    key->dirty = true;
    if (record.step > key->summary.last_step) {  // a first one at step 0 or before it takes the other way as well
      key->summary.add(record.step, record.value);
      fresh_.push_back(record);
    } else {
      Statement& get = statements_.old.bind(1, run_id_).bind(2, key->id).bind(3, record.step);
      const bool replaced = get.step();
      const double old = replaced && !get.null(0) ? get.real(0) : std::numeric_limits<double>::quiet_NaN();
      get.reset();
      statements_.put.bind(1, run_id_).bind(2, key->id).bind(3, record.step).bind(4, record.value).run();
      if (!replaced) {
        key->summary.add(record.step, record.value);
      } else if (!key->summary.replace(record.step, old, record.value)) {
        key->recount = true;
      }
    }
    if (i + 1 == metrics_.size() || metrics_[i + 1].key != record.key) put_fresh(key->id);
  }
  for (auto& [number, key] : keys_) {
    if (key.dirty) write_summary(key);
  }
}

void RunDrain::put_fresh(std::int64_t key_id) {
  std::size_t i = 0;
  for (; i + kRowsPut <= fresh_.size(); i += kRowsPut) {
    Statement& put = statements_.put_many.bind(1, run_id_).bind(2, key_id);
    for (std::size_t row = 0; row < kRowsPut; ++row) {
      const int at = static_cast<int>(3 + 2 * row);
      put.bind(at, fresh_[i + row].step).bind(at + 1, fresh_[i + row].value);
    }
    put.run();
  }
  for (; i < fresh_.size(); ++i)
    statements_.put.bind(1, run_id_).bind(2, key_id).bind(3, fresh_[i].step).bind(4, fresh_[i].value).run();
  fresh_.clear();
}

void RunDrain::write_summary(Key& key) {
  if (key.recount) {
    Summary again;
    Statement& curve = statements_.curve.bind(1, run_id_).bind(2, key.id);
    while (curve.step())
      again.add(curve.integer(0), curve.null(1) ? std::numeric_limits<double>::quiet_NaN() : curve.real(1));
    key.summary = again;
  }
  put_summary(statements_.summary_put, run_id_, key.id, key.summary);
  key.dirty = key.recount = false;
}

void RunDrain::apply_text(const Record* head) {
  const std::string_view bytes(reinterpret_cast<const char*>(head + 1), head->key);
  // Three texts, each ended by a NUL.
  std::string_view parts[3];
  std::size_t begin = 0;
  for (auto& part : parts) {
    const std::size_t end = bytes.find('\0', begin);
    if (end == std::string_view::npos) return;  // only a damaged file
    part = bytes.substr(begin, end - begin);
    begin = end + 1;
  }
  if (head->kind == Record::event) {
    statements_.event.bind(1, run_id_).bind(2, head->step).bind(3, std::string_view(iso_time(head->value)));
    statements_.event.bind(4, parts[0]).bind_text(5, parts[1]).bind_text(6, parts[2]).run();
  } else {
    statements_.artifact.bind(1, run_id_)
        .bind(2, parts[0])
        .bind(3, parts[1])
        .bind_text(4, parts[2])
        .bind(5, head->step)
        .run();
  }
}

void RunDrain::committed() {
  for (; oldest_ < reader_.position().segment; ++oldest_) ::unlink(segment_path(folder_, oldest_).c_str());
}

void RunDrain::remove() {
  ::unlink(segment_path(folder_, reader_.position().segment).c_str());
  // A segment that was half made when its process died.
  ::unlink(segment_path(folder_, reader_.position().segment + 1).c_str());
  ::unlink(keys_path(folder_).c_str());
}

void RunDrain::rolled_back() {
  keys_.clear();
  reader_.rewind(stored_position());
}

}  // namespace gradus::results
