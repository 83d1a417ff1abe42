#include "resume_command.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "host_error.h"
#include "run_command.h"
#include "store/snapshot_files.h"
#include "store/store.h"

namespace gradus {
namespace {

constexpr std::size_t kMostForks = 1000;  // one of another: more is a circle, which a foreign writer made

std::string text_of(const results::Cell& cell) {
  const auto* text = std::get_if<std::string>(&cell);
  return text ? *text : "";
}

void check_script(const char* command, std::int64_t id, const std::string& script, bool own = true) {
  std::error_code ignored;
  if (!own && !std::filesystem::exists(script, ignored))
    throw HostError(kMissing, std::string(command) + ": no file '" + script + "'");
  if (script.empty() || script == "-")
    throw HostError(kUsage, std::string(command) + ": run " + std::to_string(id) +
                                ": its script was read from standard input; expected a file");
  if (!std::filesystem::exists(script, ignored))
    throw HostError(kMissing,
                    std::string(command) + ": run " + std::to_string(id) + ": no file '" + script +
                        "', its script; expected the folder that it was started in (`gradus show --code` prints it)");
}

// What the store knows of the run goes into the options. Returns its status.
std::string look_up(RunOptions& options, const std::string& run, const char* command) {
  const auto store = results::Store::open(options.store, results::Store::Mode::read);
  const std::int64_t id = store->resolve(run);
  const auto rows = store->query("SELECT script, device, status FROM runs WHERE id = ?1", {id}).rows;
  options.more["run"] = std::to_string(id);
  options.more["own_script"] = text_of(rows[0][0]);
  const bool own = options.script.empty();
  if (own) options.script = text_of(rows[0][0]);
  if (options.device.empty()) options.device = text_of(rows[0][1]);
  check_script(command, id, options.script, own);
  return text_of(rows[0][2]);
}

// Whether the run has a snapshot that it can be done again from, up to the step of --at.
bool has_snapshot(results::Store& store, std::int64_t id, const std::string& at) {
  const auto uid = store.query("SELECT uid FROM runs WHERE id = ?1", {id}).rows;
  const auto files = results::snapshot_files(store.folder() + "/" + text_of(uid[0][0]));
  return std::any_of(files.begin(), files.end(), [&](const results::SnapshotFile& file) {
    return at == "end" || file.step <= std::atoll(at.c_str());
  });
}

// What has to be done again so that there is a snapshot of the step: the run; before it, where it is a fork without one, its origin up to
// where it was forked; and so on. The oldest comes first.
std::vector<RunOptions> past_of(const RunOptions& options, const char* command) {
  std::vector<RunOptions> parts = {options};
  parts[0].set.clear();
  parts[0].strict = false;  // it is over, whatever was told of it
  parts[0].script = parts[0].more["own_script"];
  const auto store = results::Store::open(options.store, results::Store::Mode::read);
  for (;;) {
    RunOptions origin = parts.back();
    const std::int64_t id = std::stoll(origin.more["run"]);
    const std::string& at = origin.more["at"];
    const bool step = !at.empty() && at.find_first_not_of("0123456789") == std::string::npos;
    if (!step && at != "end") break;  // wrong: the run's own turn says so
    if (has_snapshot(*store, id, origin.more["at"])) break;
    const auto rows = store->query(
        "SELECT f.origin, f.step, r.script FROM forks f JOIN runs r ON r.id = f.origin WHERE f.run_id = ?1", {id});
    if (rows.rows.empty() || parts.size() > kMostForks) break;
    origin.more["run"] = std::to_string(std::get<std::int64_t>(rows.rows[0][0]));
    origin.more["at"] = std::to_string(std::get<std::int64_t>(rows.rows[0][1]));
    origin.more["own_script"] = origin.script = text_of(rows.rows[0][2]);
    check_script(command, std::stoll(origin.more["run"]), origin.script);
    parts.push_back(std::move(origin));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

// Does it again, each part in a Lua state of its own.
int prepare(const std::vector<RunOptions>& parts) {
  for (const RunOptions& part : parts) {
    if (const int code = drive_script(part, "gradus.experiment.fork", "prepare")) return code;
  }
  return 0;
}

}  // namespace

int resume_command(RunOptions options, const std::string& run) {
  const std::string status = look_up(options, run, "resume");
  if (status == "finished" && !options.set.empty()) {
    options.more["at"] = "end";
    if (const int code = prepare(past_of(options, "resume"))) return code;
  }
  return drive_script(std::move(options), "gradus.experiment.resume", "run");
}

int fork_command(RunOptions options, const std::string& run) {
  look_up(options, run, "fork");
  if (!options.set.empty())  // a misspelt name is told before the past is done again
    if (const int code = drive_script(options, "gradus.experiment.fork", "check_set")) return code;
  if (const int code = prepare(past_of(options, "fork"))) return code;
  return drive_script(std::move(options), "gradus.experiment.fork", "run");
}

int landscape_command(RunOptions options, const std::string& run) {
  look_up(options, run, "landscape");
  if (options.more.count("at") + options.more.count("stages") + options.more.count("path") > 0) {
    RunOptions fork = options;
    fork.more["at"] = "0";  // where a fork begins, its origin must stand; the run itself is done again by the command
    std::vector<RunOptions> parts = past_of(fork, "landscape");
    parts.pop_back();
    if (const int code = prepare(parts)) return code;
  }
  return drive_script(std::move(options), "gradus.experiment.landscape_command", "run");
}

}  // namespace gradus
