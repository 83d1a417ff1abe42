#include "store.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "error.h"
#include "network.h"
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
  throw Error(
      Exit::io,
      store.path + ": lies on a " + type +
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
    impl->reader = std::make_unique<Reader>(impl->path);
  };
  if (mode == Mode::read) impl->reader = std::make_unique<Reader>(impl->path);
  if (mode != Mode::read) {
    open_all();
  } else if (!impl->reader->current()) {
    if (!may_write_store(impl->path)) {
      throw Error(Exit::io, impl->path +
                                ": made by an older gradus; expected a store that this user may write, to bring it up "
                                "to date; got a read-only one");
    }
    impl->reader.reset();
    open_all();
  } else if (may_write_store(impl->path) && impl->reader->any_running()) {
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

void Store::read(const std::string& sql, const std::vector<Cell>& args, double seconds,
                 const std::function<void(Statement&)>& body) {
  impl_->reader->read(sql, args, seconds, body);
}
Rows Store::query(const std::string& sql, const std::vector<Cell>& args, const Limits& limits) {
  return impl_->reader->query(sql, args, limits);
}
void Store::write(const std::function<void(Database&)>& body) { impl_->write(body); }
void Store::flush() { impl_->flush_live(); }
void Store::interrupt(const std::function<void()>& freeze) {
  impl_->interrupt_live(freeze, "the process was told to end, and the script did not stop");
}
void Store::compact() { impl_->compact(); }
void Store::settle() { impl_->settle(); }

void leave_settling_to_others() { StoreImpl::others_settle = true; }

// --- RUN of the command line

std::int64_t Store::resolve(const std::string& run) {
  const auto none = [&](const std::string& expected) {
    return Error(Exit::missing, "run '" + run + "': no such run in " + path() + "; expected " + expected +
                                    " (`gradus runs` lists them)");
  };
  if (run == "@last") {  // of those that lists show
    const Rows rows =
        query("SELECT max(id), max(CASE WHEN archived IS NULL THEN id END) FROM runs WHERE parent IS NULL");
    if (rows.rows[0][0].index() == 0)
      throw Error(Exit::missing, "@last: the store " + path() + " has no runs; `gradus run SCRIPT` makes one");
    if (rows.rows[0][1].index() == 0)
      throw Error(Exit::missing, "@last: all runs of the store " + path() +
                                     " are archived; expected an id (`gradus runs --archived` lists them)");
    return std::get<std::int64_t>(rows.rows[0][1]);
  }
  const bool digits =
      !run.empty() && std::all_of(run.begin(), run.end(), [](unsigned char c) { return std::isdigit(c); });
  if (digits && run.size() <= 18) {
    const Rows rows = query("SELECT id FROM runs WHERE id = ?1", {std::int64_t{std::stoll(run)}});
    if (!rows.rows.empty()) return std::get<std::int64_t>(rows.rows[0][0]);
    // A mistyped id must not hit a run whose uid happens to begin with it: uids are told by eight digits.
    if (run.size() < 8) throw none("an id, the beginning of a uid (its first eight digits), or @last");
  }
  const bool hex = !run.empty() && run.size() <= 32 &&
                   std::all_of(run.begin(), run.end(), [](unsigned char c) { return std::isxdigit(c); });
  if (!hex) throw Error(Exit::usage, "run '" + run + "': expected an id, the beginning of a uid, or @last");
  std::string low = run;
  std::transform(low.begin(), low.end(), low.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const Rows rows =
      query("SELECT id, uid, name FROM runs WHERE uid >= ?1 AND uid < ?2 ORDER BY id LIMIT 6", {low, low + "g"});
  if (rows.rows.empty()) throw none("an id, the beginning of a uid, or @last");
  if (rows.rows.size() > 1) {
    std::string text = "run '" + run + "': ambiguous; expected more digits; got";
    for (const auto& row : rows.rows) {
      text += " " + std::get<std::string>(row[1]).substr(0, 12) + " (" +
              std::to_string(std::get<std::int64_t>(row[0])) + ", " + std::get<std::string>(row[2]) + ")";
    }
    throw Error(Exit::usage, text);
  }
  return std::get<std::int64_t>(rows.rows[0][0]);
}

}  // namespace gradus::results
