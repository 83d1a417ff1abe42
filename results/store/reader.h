// The reading half of a store: a connection that cannot write, whatever the statement. Used from any thread; one statement
// runs at a time. Inside results/store only: others ask Store.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "database.h"

namespace gradus::results {

class Reader {
 public:
  // Error: what open_to_read() and check_schema() throw.
  explicit Reader(const std::string& path);

  bool current() const { return current_; }  // false: an older store, to be brought up to date before it is asked
  bool any_running();                        // by the table; a process may have died since
  // What Store::read() and Store::query() say.
  void read(const std::string& sql, const std::vector<Cell>& args, double seconds,
            const std::function<void(Statement&)>& body);
  Rows query(const std::string& sql, const std::vector<Cell>& args, const Limits& limits);
  // For statements of our own, which need no limit; they are reset or gone when `body` returns.
  void ask(const std::function<void(Database&)>& body);

 private:
  std::mutex mutex_;  // guards the connection
  std::unique_ptr<Database> database_;
  bool current_ = false;
};

}  // namespace gradus::results
