// RAII over SQLite's handles, and the two locks that writers need.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "store.h"

namespace gradus::results {

// An flock on a file of its own, or on a folder. Between processes, and between two FileLocks of one process; the kernel
// gives it back when a process ends, however it ends.
class FileLock {
 public:
  FileLock() = default;
  explicit FileLock(const std::string& path);          // opens (makes) the file, does not lock. Error (io)
  static FileLock of_folder(const std::string& path);  // one that is there; leaves no file in it. Error (io)
  // Who takes runs from elsewhere into stores of a folder, one at a time: each would take what the other takes.
  static FileLock of_who_takes_runs(const std::string& folder);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

  bool try_lock();
  void lock(double seconds);  // Error (io) when somebody else keeps it longer
  void unlock();
  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
  std::string path_;
};

class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* database, std::string_view sql);
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}  // takes it
  ~Statement() { sqlite3_finalize(handle_); }
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  // Indices of parameters from 1, of columns from 0, as SQLite counts.
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, int value) { return bind(index, static_cast<std::int64_t>(value)); }
  Statement& bind(int index, double value);  // NaN is stored as NULL
  Statement& bind(int index, std::string_view value);
  Statement& bind(int index, const Cell& value);
  Statement& bind_null(int index);
  Statement& bind_text(int index, std::string_view value);  // NULL when empty

  bool step();  // true: there is a row. Resets itself after the last row.
  void run();   // step to the end, and ready for the next use
  void reset();

  bool null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  double real(int column) const { return sqlite3_column_double(handle_, column); }
  std::string text(int column) const;
  std::string_view view(int column) const;  // of a text, until the next step
  Cell cell(int column) const;
  sqlite3_stmt* handle() const { return handle_; }  // borrowed

 private:
  sqlite3_stmt* handle_ = nullptr;  // owned
};

// One connection. Never checkpoints by itself: see Store.
class Database {
 public:
  // `where` begins the text of errors: the path. Flags are SQLite's.
  Database(const std::string& path, int flags);
  ~Database() { sqlite3_close_v2(handle_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const char* sql);  // one or more statements without parameters
  Statement prepare(std::string_view sql) { return Statement(handle_, sql); }
  std::int64_t integer(const char* sql);  // first column of the first row, 0 without one
  void wait_when_busy();                  // the handler that waits kLockSeconds for foreign writers; set from the start
  std::int64_t last_id() const { return sqlite3_last_insert_rowid(handle_); }
  sqlite3* handle() const { return handle_; }  // borrowed
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  sqlite3* handle_ = nullptr;  // owned
};

// Whether this user may write the store and what lies beside it.
bool may_write_store(const std::string& path);

// A connection that only reads; also where this user may not make the files that SQLite wants beside a WAL database, unless
// rows wait in its WAL. Error (io).
std::unique_ptr<Database> open_to_read(const std::string& path);

// BEGIN IMMEDIATE … COMMIT under the store's file lock; rolls back when it goes out of scope without commit().
//
// Every Gradus process writes and checkpoints under this one lock. That makes waiting fair and free of SQLITE_BUSY, and
// it keeps two connections from ever checkpointing, or checkpointing and restarting the WAL, at the same time (SQLite
// before 3.51.3 can lose commits then).
class Transaction {
 public:
  Transaction(Database& database, FileLock& lock);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;  // borrowed
  FileLock& lock_;      // borrowed
  bool open_ = false;
};

// "; its disk has N bytes left": for errors that a full disk may be the reason of.
std::string room_left(const std::string& path);

// Throws Error for a result code of `database`: io for disk, permission and locks, data for a broken or foreign file.
[[noreturn]] void fail(sqlite3* database, int code);

constexpr double kLockSeconds = 60;  // how long a writer waits for the others before it gives up

}  // namespace gradus::results
