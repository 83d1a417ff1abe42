// One run as the page shows it.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "error.h"
#include "page.h"
#include "query/direction.h"
#include "store/database.h"
#include "utf8.h"

namespace gradus::results {
namespace {

constexpr double kSeconds = 1;  // of one statement: a reader that stays longer keeps the log from being cut
const Limits kLimits{kSeconds, 2'000'000};

const std::string& text(const Cell& cell) { return std::get<std::string>(cell); }  // of a uid or a path: as it is

}  // namespace

Json page_run(Store& store, const PageQuery& query) {
  Json run = show_run(store, query.required("run"));
  const std::int64_t id = run["id"];
  const std::int64_t after = query.integer("event", -1, -1, INT64_MAX);
  Json events = Json::array();
  store.read("SELECT id, step, time, kind, name, detail FROM events WHERE run_id = ?1 AND id > ?2 ORDER BY id",
             {id, after}, kSeconds, [&](Statement& row) {
               while (row.step()) {
                 Json detail = row.null(5) ? Json() : Json::parse(row.text(5), nullptr, false);
                 events.push_back({{"id", row.integer(0)},
                                   {"step", to_json(row.cell(1))},
                                   {"time", row.text(2)},
                                   {"kind", utf8(row.text(3))},
                                   {"name", to_json(row.cell(4))},
                                   {"detail", detail.is_discarded() ? Json(utf8(row.text(5))) : std::move(detail)}});
               }
             });
  run["events"] = std::move(events);
  const auto ways = directions(store);
  for (Json& summary : run["summaries"]) {
    const char* better = to_text(ways.at(summary["key"].get<std::string>()).better);
    summary["better"] = better != nullptr ? Json(better) : Json();
  }
  if (run["git_diff"].is_string())
    run["sources"].push_back({{"path", "uncommitted changes (git diff)"}, {"sha256", run["git_diff"]}});
  return run;
}

Json page_log(Store& store, const PageQuery& query) {
  constexpr std::int64_t kMost = 256 << 10;
  const Rows rows = store.query("SELECT uid FROM runs WHERE id = ?1", {store.resolve(query.required("run"))}, kLimits);
  const int file = open_beneath(store.folder(), text(rows.rows[0][0]) + "/log.txt");
  struct stat status {};  // where there is no log yet, it stays as if that were empty
  ::fstat(file, &status);
  std::int64_t from = query.integer("from", std::max<std::int64_t>(0, status.st_size - kMost), 0, INT64_MAX);
  from = std::min<std::int64_t>(from, status.st_size);
  std::string read(static_cast<std::size_t>(std::min<std::int64_t>(kMost, status.st_size - from)), '\0');
  const ssize_t got = ::pread(file, read.data(), read.size(), from);
  ::close(file);
  read.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return {{"from", from}, {"next", from + static_cast<std::int64_t>(read.size())}, {"text", read}};
}

Answer page_artifact(Store& store, const PageQuery& query) {
  const Rows rows = store.query(
      "SELECT r.uid, a.path FROM artifacts a JOIN runs r ON r.id = a.run_id WHERE a.run_id = ?1 AND a.path = ?2",
      {store.resolve(query.required("run")), query.required("path")}, kLimits);
  if (rows.rows.empty()) throw Error(Exit::missing, "artifact: not found");
  const int file = open_beneath(store.folder() + "/" + text(rows.rows[0][0]), text(rows.rows[0][1]));
  if (file < 0) throw Error(Exit::missing, "artifact: not found");
  struct stat status;
  ::fstat(file, &status);
  return {200, "application/octet-stream", "", file, status.st_size};
}

}  // namespace gradus::results
