#include "store.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "error.h"
#include "housekeeping.h"
#include "network.h"
#include "run_rows.h"
#include "schema.h"
#include "store_impl.h"

namespace gradus::results {

namespace fs = std::filesystem;

std::string default_store() {
  const char* path = std::getenv("GRADUS_STORE");
  return path != nullptr && *path != '\0' ? path : "runs/gradus.db";
}

bool valid_key(std::string_view name) {
  return !name.empty() && name.size() <= 200 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./-").find(c) != std::string_view::npos;
  });
}

// --- opening

namespace {

void check_file(const std::string& path, Store::Mode mode) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (status.type() == fs::file_type::not_found) {
    if (mode != Store::Mode::create) {
      throw Error(Exit::missing, path +
                                     ": no such store; expected a file that `gradus run SCRIPT` made (--store FILE or "
                                     "GRADUS_STORE names another); got nothing");
    }
    return;
  }
  if (status.type() == fs::file_type::none)
    throw Error(Exit::io, path + ": cannot look at the store; got " + code.message());
  if (status.type() == fs::file_type::directory) {
    throw Error(Exit::data, path + ": not a store; expected a file; got a directory");
  }
  if (status.type() != fs::file_type::regular) throw Error(Exit::data, path + ": not a store; expected a regular file");
}

// Two machines that write one WAL file there lose rows, and SQLite cannot see it.
void refuse_network(const StoreImpl& store) {
  const std::string type = network_file_system(store.folder);
  const char* allowed = std::getenv("GRADUS_NETWORK_STORE");
  if (type.empty() || (allowed != nullptr && *allowed != '\0')) return;
  throw Error(Exit::io, store.path + ": lies on a " + type +
                            " file system; expected a disk of this machine, since SQLite's locks do not hold there (--store FILE; "
                            "`gradus merge` puts stores together; GRADUS_NETWORK_STORE=1 takes it where one machine writes at a time)");
}

}  // namespace

std::shared_ptr<Store> Store::open(const std::string& path, Mode mode) {
  if (path.empty()) throw Error(Exit::usage, "store: expected a file name; got an empty one");
  auto impl = std::make_shared<StoreImpl>();
  impl->path = fs::absolute(path).lexically_normal().string();
  impl->folder = fs::path(impl->path).parent_path().string();
  check_file(impl->path, mode);
  if (mode == Mode::create) {
    std::error_code code;
    fs::create_directories(impl->folder, code);
    if (code) throw Error(Exit::io, impl->folder + ": cannot make the store's folder; got " + code.message());
  }
  if (mode != Mode::read) refuse_network(*impl);
  const auto open_all = [&] {
    impl->open_writing();
    impl->recover();
    impl->open_reading();
  };
  if (mode != Mode::read) {
    open_all();
  } else if (!impl->open_reading()) {
    if (!impl->may_write()) {
      throw Error(Exit::io, impl->path +
                                ": made by an older gradus; expected a store that this user may write, to bring it up "
                                "to date; got a read-only one");
    }
    impl->reader.reset();
    open_all();
  } else if (impl->may_write() && impl->any_running()) {
    // Most stores have nothing to recover: then one connection that reads is all, and a command is quick.
    impl->open_writing();
    impl->recover();
  }
  std::shared_ptr<Store> store(new Store());
  store->impl_ = std::move(impl);
  return store;
}

Store::~Store() = default;
const std::string& Store::path() const { return impl_->path; }
const std::string& Store::folder() const { return impl_->folder; }
bool Store::writable() const { return impl_->writable; }

std::shared_ptr<Writer> Store::begin(const RunStart& start) {
  std::shared_ptr<Writer> writer(new Writer());
  impl_->begin(*writer, start);
  writer->store_ = impl_;
  return writer;
}

std::shared_ptr<Writer> Store::resume(std::int64_t run, const Point& point) {
  std::shared_ptr<Writer> writer(new Writer());
  impl_->resume(*writer, run, point);
  writer->store_ = impl_;
  return writer;
}

void Store::write(const std::function<void(Database&)>& body) { impl_->write(body); }
void Store::flush() { impl_->flush_live(); }
void Store::interrupt(const std::function<void()>& freeze) {
  impl_->interrupt_live(freeze, "the process was told to end, and the script did not stop");
}
void Store::compact() { impl_->compact(); }
void Store::settle() { impl_->settle(); }

void leave_settling_to_others() { StoreImpl::others_settle = true; }

// --- one run

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
  if (path.empty() || fs::path(path).is_absolute()) {
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
  {
    const std::lock_guard guard(store_->reading);
    Statement said = store_->reader->prepare("SELECT 1 FROM keys WHERE name = ?1 AND better = ?2");
    if (said.bind(1, name).bind(2, direction).step()) return;
  }
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
  const std::lock_guard guard(store_->reading);
  Statement find = store_->reader->prepare(
      "SELECT (SELECT coalesce(max(id), 0) FROM events WHERE run_id = ?1), (SELECT coalesce(max(id), 0) FROM runs WHERE parent = ?1), "
      "(SELECT json_group_array(k.name) FROM summary_values s JOIN keys k ON k.id = s.key_id WHERE s.run_id = ?1), "
      "(SELECT coalesce(max(step), -1) FROM progress WHERE run_id = ?1)");
  if (find.bind(1, id_).step()) point = {-1, find.integer(0), find.integer(1), find.integer(3), find.text(2)};
  find.reset();
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
