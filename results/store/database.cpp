#include "database.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <utility>

#include "error.h"

namespace gradus::results {
namespace {

using Clock = std::chrono::steady_clock;

void nap() {  // 0.2 to 1 ms: jitter keeps many waiting processes from trying in step
  thread_local std::minstd_rand random(static_cast<unsigned>(::getpid()) * 2654435761U + 1);
  std::this_thread::sleep_for(std::chrono::microseconds(200 + random() % 800));
}

int busy(void*, int tries) {
  if (tries > kLockSeconds * 1000) return 0;
  nap();
  return 1;
}

// SQLite makes its files for the owner alone to write, whatever the umask allows, and gives those beside the database the
// database's own mode. A file that is new is nobody's yet, so that closing it drops no lock.
void make_as_umask_says(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd >= 0) ::close(fd);
}

// Of a file that nobody writes: SQLite then asks for no lock and no file beside it.
std::string immutable_uri(const std::string& path) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const unsigned char c : path) uri += {'%', kDigits[c >> 4], kDigits[c & 15]};
  return uri + "?immutable=1";
}

}  // namespace

FileLock::FileLock(const std::string& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0)
    throw Error(Exit::io,
                path + ": cannot open the lock file; expected a writable folder; got " + std::strerror(errno));
}

FileLock FileLock::of_folder(const std::string& path) {
  FileLock lock;
  lock.path_ = path;
  lock.fd_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock.fd_ < 0) throw Error(Exit::io, path + ": cannot open the folder; got " + std::strerror(errno));
  return lock;
}

FileLock FileLock::of_who_takes_runs(const std::string& folder) {
  constexpr double kSeconds = 3600;  // of another, which may be large
  FileLock lock = of_folder(folder);
  lock.lock(kSeconds);
  return lock;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

bool FileLock::try_lock() {
  int result;
  do result = ::flock(fd_, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

void FileLock::lock(double seconds) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  while (!try_lock()) {
    if (errno != EWOULDBLOCK) throw Error(Exit::io, path_ + ": cannot lock; got " + std::strerror(errno));
    if (Clock::now() > deadline) {
      throw Error(Exit::io, path_ + ": the store is locked; expected other writers to finish within " +
                                std::to_string(static_cast<int>(seconds)) +
                                " s; got a process that holds it (`lsof` names it)");
    }
    nap();
  }
}

void FileLock::unlock() { ::flock(fd_, LOCK_UN); }

std::string room_left(const std::string& path) {
  struct statvfs disk {};
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (::statvfs(folder.empty() ? "." : folder.c_str(), &disk) != 0) return "";
  return "; its disk has " + std::to_string(std::uint64_t{disk.f_bavail} * disk.f_frsize) + " bytes left";
}

void fail(sqlite3* database, int code) {
  const char* file = database ? sqlite3_db_filename(database, "main") : nullptr;
  std::string text = (file && *file ? file : "store") + std::string(": ") +
                     (database ? sqlite3_errmsg(database) : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
      throw Error(Exit::data, (file && *file ? file : "store") +
                                  std::string(": the store is damaged; expected a whole SQLite file; got '") +
                                  sqlite3_errstr(code) +
                                  "'; `gradus doctor --salvage` saves what is whole into a new file");
    case SQLITE_NOTADB:
      throw Error(Exit::data, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      throw Error(Exit::io, text);
    case SQLITE_IOERR:
    case SQLITE_FULL:
      throw Error(Exit::io, text + (file ? room_left(file) : ""));
    case SQLITE_INTERRUPT:
    case SQLITE_ERROR:
    case SQLITE_AUTH:
    case SQLITE_RANGE:
    case SQLITE_TOOBIG:
      throw Error(Exit::data, text);
    default:
      throw Error(Exit::bug, text);
  }
}

Statement::Statement(sqlite3* database, std::string_view sql) {
  const int code = sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &handle_, nullptr);
  if (code != SQLITE_OK) fail(database, code);
}

Statement::Statement(Statement&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

Statement& Statement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(handle_, index, value);
  return *this;
}

Statement& Statement::bind(int index, double value) {
  sqlite3_bind_double(handle_, index, value);
  return *this;
}

Statement& Statement::bind(int index, std::string_view value) {
  const int code = sqlite3_bind_text64(handle_, index, value.data() ? value.data() : "", value.size(), SQLITE_TRANSIENT,
                                       SQLITE_UTF8);
  if (code != SQLITE_OK) fail(sqlite3_db_handle(handle_), code);  // no memory for the copy, which would be a NULL
  return *this;
}

Statement& Statement::bind(int index, const Cell& value) {
  switch (value.index()) {
    case 0:
      return bind_null(index);
    case 1:
      return bind(index, std::get<std::int64_t>(value));
    case 2:
      return bind(index, std::get<double>(value));
    default:
      return bind(index, std::string_view(std::get<std::string>(value)));
  }
}

Statement& Statement::bind_null(int index) {
  sqlite3_bind_null(handle_, index);
  return *this;
}

Statement& Statement::bind_text(int index, std::string_view value) {
  return value.empty() ? bind_null(index) : bind(index, value);
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    sqlite3* database = sqlite3_db_handle(handle_);
    try {
      fail(database, code);
    } catch (...) {
      sqlite3_reset(handle_);  // after the message was read: it belongs to the failed step
      throw;
    }
  }
  sqlite3_reset(handle_);
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

void Statement::reset() { sqlite3_reset(handle_); }

std::string_view Statement::view(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (data) return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
  sqlite3* database = sqlite3_db_handle(handle_);
  if (sqlite3_errcode(database) == SQLITE_NOMEM) fail(database, SQLITE_NOMEM);  // else it is a NULL
  return "";
}

std::string Statement::text(int column) const { return std::string(view(column)); }

Cell Statement::cell(int column) const {
  switch (sqlite3_column_type(handle_, column)) {
    case SQLITE_NULL:
      return {};
    case SQLITE_INTEGER:
      return integer(column);
    case SQLITE_FLOAT:
      return real(column);
    case SQLITE_BLOB:
      return "<" + std::to_string(sqlite3_column_bytes(handle_, column)) + " bytes>";
    default:
      return text(column);
  }
}

Database::Database(const std::string& path, int flags) : path_(path) {
  if (flags & SQLITE_OPEN_CREATE) make_as_umask_says(path);
  const int code =
      sqlite3_open_v2(path.c_str(), &handle_, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) {
    sqlite3* broken = std::exchange(handle_, nullptr);
    std::string text =
        path + ": cannot open the store; got " + (broken ? sqlite3_errmsg(broken) : sqlite3_errstr(code));
    sqlite3_close_v2(broken);
    throw Error(Exit::io, text);
  }
  wait_when_busy();
  sqlite3_wal_autocheckpoint(handle_, 0);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

bool may_write_store(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const auto may = [](const std::string& name) { return ::faccessat(AT_FDCWD, name.c_str(), W_OK, AT_EACCESS) == 0; };
  return may(path) && may(folder.empty() ? "." : folder);
}

std::unique_ptr<Database> open_to_read(const std::string& path) {
  std::unique_ptr<Database> database;
  try {
    database = std::make_unique<Database>(path, SQLITE_OPEN_READONLY);
    database->integer("PRAGMA schema_version");  // opening looks at nothing
    return database;
  } catch (const Error& error) {
    if (database && error.code == Exit::data) return database;  // what the file is, the caller says better
    if (error.code != Exit::io || may_write_store(path)) throw;
  }
  struct stat wal {};
  if (::stat((path + "-wal").c_str(), &wal) == 0 && wal.st_size > 0) {
    throw Error(Exit::io, path +
                              ": cannot read; expected a folder that this user may write (its log holds newer rows); "
                              "got a read-only one");
  }
  return std::make_unique<Database>(immutable_uri(path), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

void Database::wait_when_busy() { sqlite3_busy_handler(handle_, busy, nullptr); }

void Database::run(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(handle_, code);
}

std::int64_t Database::integer(const char* sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

Transaction::Transaction(Database& database, FileLock& lock) : database_(database), lock_(lock) {
  lock_.lock(kLockSeconds);
  try {
    database_.run("BEGIN IMMEDIATE");
  } catch (...) {
    lock_.unlock();
    throw;
  }
  open_ = true;
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
  lock_.unlock();
}

Transaction::~Transaction() {
  if (!open_) return;
  sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  lock_.unlock();
}

}  // namespace gradus::results
