// A folder of its own for each test, and a raw connection that sees the store as any other SQLite program does.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "error.h"
#include "store/store.h"

namespace gradus::results {

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "gradus-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/gradus.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::shared_ptr<Store> create() { return Store::open(path_, Store::Mode::create); }
  std::shared_ptr<Store> read() { return Store::open(path_, Store::Mode::read); }

  // The first column of the first row, as text; "NULL" for NULL, "-" for no row.
  static std::string ask(Store& store, const std::string& sql, const std::vector<Cell>& args = {}) {
    const Rows rows = store.query(sql, args);
    if (rows.rows.empty()) return "-";
    const Cell& cell = rows.rows[0][0];
    switch (cell.index()) {
      case 0:
        return "NULL";
      case 1:
        return std::to_string(std::get<std::int64_t>(cell));
      case 2: {
        char text[40];
        std::snprintf(text, sizeof text, "%.15g", std::get<double>(cell));
        return text;
      }
      default:
        return std::get<std::string>(cell);
    }
  }

  // Runs `body` in a child process; returns its wait status. The parent must not have a store open.
  static pid_t spawn(const std::function<void()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      int code = 0;
      try {
        body();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
        code = 1;
      }
      ::_exit(code);
    }
    return pid;
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status;
  }

  static void expect_error(Exit code, const std::string& part, const std::function<void()>& body) {
    try {
      body();
      ADD_FAILURE() << "no error; expected one with '" << part << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code, code) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

  std::string folder_, path_;
};

}  // namespace gradus::results
