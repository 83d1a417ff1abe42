#include "doctor_command.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <lua.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "host_error.h"

namespace gradus {
namespace fs = std::filesystem;
namespace {

struct Finding {
  const char* name;
  std::string text;
  int code = 0;  // not 0: a fault
};

// SQLite 3.7.0 to 3.51.2 can lose commits when two connections checkpoint a WAL at one instant; 3.50.7 and 3.44.6
// have the repair too.
bool has_wal_reset_bug(int version) {
  const bool repaired =
      version >= 3051003 || (version >= 3050007 && version < 3051000) || (version >= 3044006 && version < 3045000);
  return !repaired;
}

Finding check_sqlite() {
  const int version = sqlite3_libversion_number();
  std::string text = sqlite3_libversion();
  text += has_wal_reset_bug(version)
              ? ": has the WAL-reset bug (two simultaneous checkpoints can lose commits; repaired in 3.51.3, 3.50.7, "
                "3.44.6). Gradus checkpoints under one lock across processes, so its own processes do not meet it; "
                "do not let another program write the store"
              : ": has the repair of the WAL-reset bug";
  return {"sqlite", text};
}

Finding check_libtorch() {
  std::error_code ignored;
  const fs::path engine = fs::read_symlink("/proc/self/exe", ignored).parent_path() / "libgradus_engine.so";
  if (!fs::exists(engine, ignored)) return {"libtorch", "no " + engine.string() + ": scripts cannot run", kBug};
  const fs::path library = fs::path(GRADUS_TORCH_DIR) / "lib/libtorch_cpu.so";
  if (!fs::exists(library, ignored))
    return {"libtorch", "no " + library.string() + ", which the build used: scripts cannot run", kBug};
  return {"libtorch", std::string(GRADUS_TORCH_VERSION) + " in " GRADUS_TORCH_DIR};
}

Finding check_store(const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {"store", path + ": not there yet; the first run makes it"};
  sqlite3* database = nullptr;
  std::string verdict;
  int status = sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr);
  if (status == SQLITE_OK) {
    sqlite3_busy_timeout(database, 2000);
    const auto keep = [](void* text, int, char** values, char**) {
      *static_cast<std::string*>(text) += *values ? *values : "";
      return 0;
    };
    status = sqlite3_exec(database, "PRAGMA quick_check(1)", keep, &verdict, nullptr);
  }
  if (status != SQLITE_OK) verdict = sqlite3_errmsg(database);
  sqlite3_close(database);
  return {"store", path + ": " + verdict, verdict == "ok" ? 0 : kData};
}

}  // namespace

std::string version_line() {
  return "gradus " GRADUS_VERSION " (" LUAJIT_VERSION ", SQLite " + std::string(sqlite3_libversion()) + ", LibTorch " +
         GRADUS_TORCH_VERSION + ")";
}

int doctor_command(const std::string& store, bool json) {
  const std::vector<Finding> findings = {
      {"gradus", GRADUS_VERSION}, {"luajit", LUAJIT_VERSION}, check_sqlite(), check_libtorch(), check_store(store)};
  int code = 0;
  nlohmann::ordered_json document;
  for (const Finding& finding : findings) {
    if (!code) code = finding.code;
    document[finding.name] = {{"ok", finding.code == 0}, {"text", finding.text}};
    if (!json) std::printf("%-4s %-9s %s\n", finding.code ? "BAD" : "ok", finding.name, finding.text.c_str());
  }
  if (json) std::printf("%s\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return code;
}

}  // namespace gradus
