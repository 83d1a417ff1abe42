#include "run_command.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "host_error.h"
#include "host_module.h"
#include "interpreter.h"
#include "json_value.h"
#include "output.h"
#include "run_log.h"
#include "sandbox.h"
#include "signals.h"

namespace gradus {
namespace {

constexpr const char* kRunner = "gradus.experiment.runner";

// A folder of its own for a store that nobody keeps.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::error_code failed;
    const auto place = std::filesystem::temp_directory_path(failed);
    if (failed)
      throw HostError(kIo,
                      "check: no folder for temporary files; expected one at $TMPDIR or /tmp; got " + failed.message());
    path_ = (place / "gradus-check-XXXXXX").string();
    if (!mkdtemp(path_.data())) throw HostError(kIo, "check: no temporary folder could be made at " + path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void push_results(lua_State* L, const std::vector<std::string>& results) {
  lua_createtable(L, static_cast<int>(results.size()), 0);
  for (std::size_t i = 0; i < results.size(); ++i) {
    lua_pushlstring(L, results[i].data(), results[i].size());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

std::string take_text(lua_State* L) {
  std::size_t size = 0;
  const char* text = lua_tolstring(L, -1, &size);
  return text ? std::string(text, size) : "null";
}

// The exit code of a call that did not succeed: os.exit's, or the error's, which is told here.
int failure(const Interpreter& interpreter) {
  if (interpreter.exit_code) return *interpreter.exit_code;
  std::fflush(stdout);
  print_error(stderr, interpreter.error, isatty(STDERR_FILENO) && colours_wanted());
  return interpreter.error.code;
}

// The runs that the script's grid makes, in words; sets `code` when planning failed or the script ended the process.
std::vector<std::string> plan(Session& session, std::optional<int>& code) {
  std::vector<std::string> labels;
  Interpreter interpreter(session);
  const bool ok = interpreter.call(
      kRunner, "plan", [&](lua_State* L) { return push_options(L, session), 1; },
      [&](lua_State* L) {
        if (!lua_istable(L, -1)) throw HostError(kBug, "gradus.experiment.runner.plan: expected a list of runs");
        for (std::size_t i = 1; i <= lua_objlen(L, -1); ++i) {
          lua_rawgeti(L, -1, static_cast<int>(i));
          labels.push_back(take_text(L));
          lua_pop(L, 1);
        }
      });
  if (!ok) code = failure(interpreter);
  return labels;
}

// The same, after the name of the run where there are several. told: the errors that were, since a grid's runs often fail alike; how
// many did is said in the end (summary.lua).
int run_failure(const Interpreter& interpreter, const std::string& label, std::set<std::string>& told) {
  if (interpreter.exit_code || label.empty()) return failure(interpreter);
  if (!told.insert(interpreter.error.message).second) return interpreter.error.code;
  std::fflush(stdout);
  std::fprintf(stderr, "%s: failed\n", label.c_str());
  return failure(interpreter);
}

// A command that Lua drives from its first to its last run: require(module)[function](options) gives the exit code.
int drive(Session& session, const char* module, const char* function) {
  int code = kBug;
  Interpreter interpreter(session);
  const bool ok = interpreter.call(
      module, function, [&](lua_State* L) { return push_options(L, session), 1; },
      [&](lua_State* L) { code = static_cast<int>(lua_tointeger(L, -1)); });
  return ok ? code : failure(interpreter);
}

}  // namespace

namespace {

// What needs more than a script may: asks git, makes the store's folder, and goes in.
void isolate(Session& session) {
  const RunOptions& options = session.options;
  if (!options.device.empty() && options.device != "cpu")
    throw HostError(
        kUsage, "--sandbox: the devices of an accelerator are no files of the script; expected --device cpu; got '" +
                    options.device + "'");
  if (options.jobs) throw HostError(kUsage, "--sandbox: a script in it starts no processes; expected no --jobs");
  session.git();
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path folder = fs::absolute(options.store).lexically_normal().parent_path();
  fs::create_directories(folder, failed);
  if (failed) throw HostError(kIo, folder.string() + ": the folder cannot be made: " + failed.message());
  SandboxRules rules;
  rules.read = options.sandbox_read;
  for (const std::string& path : rules.read)
    if (!fs::exists(path, failed)) throw HostError(kMissing, "--sandbox-read: no file or folder '" + path + "'");
  const std::string here = session.script_dir().empty() ? "." : session.script_dir();
  if (options.script != "-") rules.read.push_back(here);
  for (const std::string& path : {session.real_dir(), options.stdlib_dir, std::string(GRADUS_TORCH_DIR),
                                  fs::read_symlink("/proc/self/exe", failed).parent_path().string()})
    if (!path.empty()) rules.read.push_back(path);
  rules.write = {folder.string()};
  rules.memory_bytes = options.sandbox_gib << 30;
  rules.cpu_seconds = options.sandbox_seconds;
  enter_sandbox(rules);
}

}  // namespace

// A script that is edited while it runs is one run in one process.
static void check_live(const RunOptions& options) {
  if (options.script == "-") throw HostError(kUsage, "--live: expected a file; got standard input");
  for (const auto& [given, name] :
       {std::pair(options.sandbox, "--sandbox"), std::pair(options.jobs.has_value(), "--jobs"),
        std::pair(options.resume, "--resume")})
    if (given) throw HostError(kUsage, std::string("--live: expected no ") + name);
}

int run_command(RunOptions options) {
  Session session(std::move(options));
  session.read_script(session.options.script);
  if (session.options.sandbox) isolate(session);
  watch_signals();
  if (session.options.live) check_live(session.options);
  if (session.options.jobs || session.options.resume) return drive(session, "gradus.experiment.grid", "run");

  std::optional<int> code;  // of the first thing that failed
  const std::vector<std::string> labels = plan(session, code);
  const int count = static_cast<int>(labels.size());
  if (!code && session.options.live && count > 1)
    throw HostError(kUsage, "--live: expected one run; the script and the command line make " + std::to_string(count) +
                                " (--set and --seed choose one)");
  if (code || count == 0) return code.value_or(0);  // 0: the script returned no experiment and has done its work

  std::vector<std::string> results;
  std::set<std::string> told;
  for (int i = 1; i <= count && !stopping(); ++i) {
    Interpreter interpreter(session);
    const bool ok = interpreter.call(
        kRunner, "execute", [&](lua_State* L) { return push_options(L, session), lua_pushinteger(L, i), 2; },
        [&](lua_State* L) { results.push_back(take_text(L)); });
    if (!ok) {
      const int failed = run_failure(interpreter, count > 1 ? labels[static_cast<std::size_t>(i) - 1] : "", told);
      if (!code) code = failed;
      // Nothing that a later run could do better: the script wants to end, or was called wrongly.
      if (interpreter.exit_code || failed == kUsage) return *code;
      results.push_back(dump_json({{"run", i}, {"error", interpreter.error.message}, {"code", failed}}));
    }
    std::fflush(stdout);
    open_run_log("");
  }
  if (stop_code()) {
    if (count > 1 && !session.options.quiet)
      std::fprintf(stderr, "run %zu of %d was the last; the same command with --resume does the rest\n", results.size(),
                   count);
    return stop_code();
  }

  Interpreter interpreter(session);
  const bool ok = interpreter.call(
      kRunner, "summarize", [&](lua_State* L) { return push_options(L, session), push_results(L, results), 2; },
      [](lua_State*) {});
  if (!ok && !code) code = failure(interpreter);
  return code.value_or(0);
}

int drive_script(RunOptions options, const char* module, const char* function, OnHangup hangup) {
  Session session(std::move(options));
  session.read_script(session.options.script);
  watch_signals(hangup);
  return drive(session, module, function);
}

int sweep_command(RunOptions options) {
  return drive_script(std::move(options), "gradus.experiment.sweep_command", "run");
}

int watch_command(RunOptions options) {
  if (options.script == "-") throw HostError(kUsage, "watch: expected a file; got standard input");
  return drive_script(std::move(options), "gradus.experiment.watch", "run", OnHangup::end);
}

int check_command(RunOptions options) {
  const TemporaryFolder folder;
  options.store = folder.path() + "/runs.db";
  Session session(std::move(options));
  session.read_script(session.options.script);
  watch_signals();
  int code = 0;
  {
    Interpreter interpreter(session);
    if (!interpreter.call(
            "gradus.experiment.dry_run", "check", [&](lua_State* L) { return push_options(L, session), 1; },
            [](lua_State*) {}))
      code = failure(interpreter);
  }
  close_stores();
  return stop_code() ? stop_code() : code;
}

int repl_command(RunOptions options) {
  Session session(std::move(options));
  // At a terminal Ctrl-C ends what goes on, not the process: the console sees to that itself.
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) watch_signals();
  return drive(session, "gradus.help.repl", "run");
}

int test_command(RunOptions options, const std::vector<std::string>& files) {
  int failures = 0;
  options.is_spec = true;
  outlive_others();
  for (const std::string& file : files) {
    options.script = file;
    Session session(options);
    const Source& source = session.read_script(file);
    Interpreter interpreter(session);
    const bool ok = interpreter.call(
        "gradus.experiment.test", "run",
        [&](lua_State* L) {
          lua_pushstring(L, file.c_str());
          interpreter.push_chunk(L, source);
          return 2;
        },
        [&](lua_State* L) { failures += static_cast<int>(lua_tointeger(L, -1)); });
    if (!ok && failure(interpreter) != 0) ++failures;
    std::fflush(stdout);
  }
  return failures > 0 ? 1 : 0;
}

}  // namespace gradus
