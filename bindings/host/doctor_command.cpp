#include "doctor_command.h"

#include <sqlite3.h>

#include <cstdio>
#include <filesystem>
#include <lua.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "error.h"
#include "host_error.h"
#include "query/table.h"
#include "store/housekeeping.h"
#include "store/salvage.h"

namespace gradus {
namespace fs = std::filesystem;
namespace {

using results::Json;

struct Finding {
  const char* name;
  std::string text;
  int code = 0;  // not 0: a fault
  Json facts = {};
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

std::string size_text(const Json& bytes) { return results::number(bytes.get<double>() / (1 << 20)) + " MiB"; }

Finding check_store(const std::string& path, bool full) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {"store", path + ": not there yet; the first run makes it"};
  try {
    const Json found = results::inspect(path, full);
    const auto counted = [&](const char* key) { return std::to_string(found[key].get<std::int64_t>()) + " " + key; };
    std::string text = path + ": " + size_text(found["bytes"]) + ", WAL " + size_text(found["wal_bytes"]);
    if (found["free_bytes"] != 0)
      text += ", " + size_text(found["free_bytes"]) + " free (`gradus gc --compact` gives them back)";
    text += ", " + counted("runs") + " (" + counted("live") + ", " + counted("dead") + ", " + counted("archived") +
            "), " + counted("values") + "; ";
    text += found["check"].is_null()
                ? "not checked: --full does, which takes a while"
                : found["checked"].get<std::string>() + " check: " + found["check"].get<std::string>();
    for (const Json& backup : found["backups"]) text += "; copy of an older version: " + backup.get<std::string>();
    return {"store", text, found["check"].is_null() || found["check"] == "ok" ? 0 : kData, found};
  } catch (const results::Error& error) {
    return {"store", error.what(), static_cast<int>(error.code)};
  }
}

}  // namespace

std::string version_line() {
  return "gradus " GRADUS_VERSION " (" LUAJIT_VERSION ", SQLite " + std::string(sqlite3_libversion()) + ", LibTorch " +
         GRADUS_TORCH_VERSION + ")";
}

int doctor_command(const std::string& store, bool json, bool full) {
  const std::vector<Finding> findings = {{"gradus", GRADUS_VERSION},
                                         {"luajit", LUAJIT_VERSION},
                                         check_sqlite(),
                                         check_libtorch(),
                                         check_store(store, full)};
  int code = 0;
  nlohmann::ordered_json document;
  for (const Finding& finding : findings) {
    if (!code) code = finding.code;
    document[finding.name] = {{"ok", finding.code == 0}, {"text", finding.text}};
    if (!finding.facts.is_null()) document[finding.name].update(finding.facts);
    if (!json) std::printf("%-4s %-9s %s\n", finding.code ? "BAD" : "ok", finding.name, finding.text.c_str());
  }
  if (json) std::printf("%s\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return code;
}

int salvage_command(const std::string& store, bool json) {
  fs::path into = store;
  into.replace_filename(into.stem().string() + "-salvaged" + into.extension().string());
  const Json found = results::salvage(store, into.string());
  if (json) return std::printf("%s\n", found.dump(2, ' ', false, Json::error_handler_t::replace).c_str()), 0;
  std::printf("%s: what is whole of %s\n", into.c_str(), store.c_str());
  for (const auto& [table, rows] : found["rows"].items())
    std::printf("  %-15s %s\n", table.c_str(), rows.dump().c_str());
  const auto told = [&](const char* key, const char* text) {
    const Json& what = found[key];
    if (what == 0 || what.empty()) return;
    std::string names;
    for (const Json& name : what.is_array() ? what : Json())
      names += (names.empty() ? ": " : ", ") + name.get<std::string>();
    std::printf("lost: %s %s%s\n", (what.is_array() ? Json(what.size()) : what).dump().c_str(), text, names.c_str());
  };
  told("runs", "rows of runs, whose data is kept");
  told("keys", "names of metrics, whose values are kept");
  told("values", "values, by what summaries counted");
  told("sources", "texts that are not what their hash says");
  told("strays", "rows of runs that there never were");
  std::printf(
      "The old file is as it was. Give the new one its name (and take the old one's -wal away) to go on with it: "
      "folders of runs are found beside either.\n");
  return 0;
}

}  // namespace gradus
