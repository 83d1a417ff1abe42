#include "resume_command.h"

#include <filesystem>

#include "host_error.h"
#include "run_command.h"
#include "store/store.h"

namespace gradus {
namespace {

std::string text_of(const results::Cell& cell) {
  const auto* text = std::get_if<std::string>(&cell);
  return text ? *text : "";
}

// What the store knows of the run goes into the options. Returns its status.
std::string look_up(RunOptions& options, const std::string& run, const char* command) {
  const auto store = results::Store::open(options.store, results::Store::Mode::read);
  const std::int64_t id = store->resolve(run);
  const auto rows = store->query("SELECT script, device, status FROM runs WHERE id = ?1", {id}).rows;
  options.more["run"] = std::to_string(id);
  options.more["script"] = text_of(rows[0][0]);
  if (options.script.empty()) options.script = text_of(rows[0][0]);
  if (options.device.empty()) options.device = text_of(rows[0][1]);
  std::error_code ignored;
  if (options.script.empty() || options.script == "-")
    throw HostError(kUsage, std::string(command) + ": run " + std::to_string(id) + ": its script was read from standard input; expected a file");
  if (!std::filesystem::exists(options.script, ignored))
    throw HostError(kMissing, std::string(command) + ": run " + std::to_string(id) + ": no file '" + options.script +
                                  "', its script; expected the folder that it was started in (`gradus show --code` prints it)");
  return text_of(rows[0][2]);
}

// Does the run again as far as it takes to have a snapshot of the step, in a Lua state of its own.
int prepare(const RunOptions& options) {
  RunOptions past = options;
  past.set.clear();
  past.script = past.more["script"];
  return drive_script(std::move(past), "gradus.experiment.fork", "prepare");
}

}  // namespace

int resume_command(RunOptions options, const std::string& run) {
  const std::string status = look_up(options, run, "resume");
  if (status == "finished" && !options.set.empty()) {
    options.more["at"] = "end";
    if (const int code = prepare(options)) return code;
  }
  return drive_script(std::move(options), "gradus.experiment.resume", "run");
}

int fork_command(RunOptions options, const std::string& run) {
  look_up(options, run, "fork");
  if (const int code = prepare(options)) return code;
  return drive_script(std::move(options), "gradus.experiment.fork", "run");
}

int landscape_command(RunOptions options, const std::string& run) {
  look_up(options, run, "landscape");
  return drive_script(std::move(options), "gradus.experiment.landscape_command", "run");
}

}  // namespace gradus
