#include "reader.h"

#include <algorithm>
#include <cstring>

#include "clock.h"
#include "error.h"
#include "functions.h"
#include "schema.h"

namespace gradus::results {
namespace {

constexpr int kLongestValue = 64 << 20;            // bytes of one text
constexpr std::size_t kLongestAnswer = 256 << 20;  // bytes of all texts of an answer
constexpr std::int64_t kMostRows = 20'000'000;     // of an answer that is not to be cut

int authorize(void*, int action, const char* first, const char* second, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_UPDATE:  // how json_each and its like declare their columns; nothing is written, and on this connection
                         // nothing can be
      return std::strcmp(first, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
      return second != nullptr && std::strcmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA: {
      static constexpr const char* kAsking[] = {"table_info", "table_xinfo",      "table_list",      "index_list",
                                                "index_info", "foreign_key_list", "integrity_check", "quick_check"};
      static constexpr const char* kPlain[] = {"user_version", "application_id",  "page_count",
                                               "page_size",    "database_list",   "compile_options",
                                               "table_list",   "integrity_check", "quick_check"};
      const auto is = [&](const char* name) { return std::strcmp(first, name) == 0; };
      const bool asks = second != nullptr ? std::any_of(std::begin(kAsking), std::end(kAsking), is)
                                          : std::any_of(std::begin(kPlain), std::end(kPlain), is);
      return asks ? SQLITE_OK : SQLITE_DENY;
    }
    default:
      return SQLITE_DENY;
  }
}

// Ends a statement that runs past its time. Lives on the stack of the query.
class TimeLimit {
 public:
  TimeLimit(sqlite3* database, double seconds) : database_(database), deadline_(monotonic_seconds() + seconds) {
    sqlite3_progress_handler(
        database, 2000, [](void* self) { return static_cast<TimeLimit*>(self)->check(); }, this);
  }
  ~TimeLimit() { sqlite3_progress_handler(database_, 0, nullptr, nullptr); }
  bool over() const { return over_; }

 private:
  int check() {
    over_ = monotonic_seconds() > deadline_;
    return over_;
  }
  sqlite3* database_;
  double deadline_;
  bool over_ = false;
};

[[noreturn]] void fail_query(sqlite3* database, const Error& error, const TimeLimit& limit, double seconds) {
  if (limit.over()) {
    throw Error(Exit::data,
                "sql: took too long; expected an answer within " + std::to_string(static_cast<int>(seconds)) + " s");
  }
  const int code = sqlite3_errcode(database) & 0xff;
  if (code == SQLITE_AUTH)
    throw Error(Exit::usage, "sql: expected a statement that only reads; got one that would write");
  if (code == SQLITE_ERROR) {
    std::string text = std::string("sql: ") + sqlite3_errmsg(database);
    if (text.find("no such table") != std::string::npos) {
      text += "; expected runs, params, metrics, summaries, progress, events, forks, sources, run_sources or artifacts";
    }
    throw Error(Exit::usage, text);
  }
  throw error;
}

}  // namespace

Reader::Reader(const std::string& path) : database_(open_to_read(path)), current_(check_schema(*database_)) {
  // The cache takes what is read and no more: a page that stays open asks for the same tables again and again.
  database_->run("PRAGMA query_only = 1; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768");
  sqlite3* handle = database_->handle();
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, kLongestValue);
  add_functions(handle);
  sqlite3_set_authorizer(handle, authorize, nullptr);
}

bool Reader::any_running() {
  const std::lock_guard guard(mutex_);
  return database_->integer("SELECT EXISTS (SELECT 1 FROM runs WHERE status = 'running')") != 0;
}

void Reader::ask(const std::function<void(Database&)>& body) {
  const std::lock_guard guard(mutex_);
  body(*database_);
}

void Reader::read(const std::string& sql, const std::vector<Cell>& args, double seconds,
                  const std::function<void(Statement&)>& body) {
  const std::lock_guard guard(mutex_);
  sqlite3* database = database_->handle();
  const TimeLimit limit(database, seconds);
  try {
    sqlite3_stmt* handle = nullptr;
    const char* tail = nullptr;
    const int code = sqlite3_prepare_v2(database, sql.c_str(), -1, &handle, &tail);
    Statement statement(handle);
    if (code != SQLITE_OK) fail(database, code);
    if (handle == nullptr) throw Error(Exit::usage, "sql: expected a statement; got an empty text");
    if (tail[std::strspn(tail, " \t\r\n;")] != '\0')
      throw Error(Exit::usage, "sql: expected one statement; got more text after it");
    if (!sqlite3_stmt_readonly(handle))
      throw Error(Exit::usage, "sql: expected a statement that only reads; got one that would write");
    if (static_cast<int>(args.size()) != sqlite3_bind_parameter_count(handle)) {
      throw Error(Exit::usage, "sql: expected " + std::to_string(sqlite3_bind_parameter_count(handle)) +
                                   " values for its parameters; got " + std::to_string(args.size()));
    }
    for (std::size_t i = 0; i < args.size(); ++i) statement.bind(static_cast<int>(i) + 1, args[i]);
    body(statement);
  } catch (const Error& error) {
    if (error.code == Exit::usage) throw;
    fail_query(database, error, limit, seconds);
  }
}

Rows Reader::query(const std::string& sql, const std::vector<Cell>& args, const Limits& limits) {
  Rows rows;
  read(sql, args, limits.seconds, [&](Statement& statement) {
    const int columns = sqlite3_column_count(statement.handle());
    for (int i = 0; i < columns; ++i) rows.columns.emplace_back(sqlite3_column_name(statement.handle(), i));
    std::size_t bytes = 0;
    while (statement.step()) {
      const bool full = static_cast<std::int64_t>(rows.rows.size()) >= limits.rows.value_or(kMostRows);
      if (full || bytes > kLongestAnswer) {
        if (!limits.rows) {
          throw Error(Exit::data, "sql: the answer is too large; expected at most " + std::to_string(kMostRows) +
                                      " rows and " + std::to_string(kLongestAnswer >> 20) + " MiB of text; got more");
        }
        rows.truncated = true;
        break;
      }
      auto& row = rows.rows.emplace_back();
      row.reserve(static_cast<std::size_t>(columns));
      for (int i = 0; i < columns; ++i) {
        row.push_back(statement.cell(i));
        if (const auto* text = std::get_if<std::string>(&row.back())) bytes += text->size();
      }
    }
  });
  return rows;
}

}  // namespace gradus::results
