#include "script_commands.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "host_error.h"
#include "resume_command.h"
#include "run_command.h"
#include "signals.h"
#include "store/store.h"

namespace gradus {
namespace {

std::int64_t whole_number(const char* option, const std::string& text, std::int64_t low, std::int64_t high) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low || number > high)
    throw HostError(kUsage, std::string(option) + ": expected a whole number from " + std::to_string(low) + " to " +
                                std::to_string(high) + "; got '" + text + "'");
  return number;
}

// "1,2,3", each once.
std::vector<std::int64_t> whole_numbers(const char* option, const std::string& text, std::int64_t low,
                                        std::int64_t high) {
  std::vector<std::int64_t> numbers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    numbers.push_back(whole_number(option, text.substr(begin, end - begin), low, high));
    if (std::count(numbers.begin(), numbers.end(), numbers.back()) > 1)
      throw HostError(kUsage, std::string(option) + ": expected each number once; got " +
                                  std::to_string(numbers.back()) + " twice");
    begin = end + 1;
  }
  return numbers;
}

// What several commands have.
void add_set(CLI::App* command, ScriptCommandLine& line) {
  command->add_option("--set", line.set, "Override a parameter: key=value (may be repeated)")->allow_extra_args(false);
}
void add_machine(CLI::App* command, ScriptCommandLine& line) {
  command->add_option("--device", line.run.device, "cpu, cuda, …");
  command->add_option("--threads", line.threads, "Threads of LibTorch");
}
void add_store(CLI::App* command, ScriptCommandLine& line) {
  command->add_option("--store", line.store, "Results store (default: $GRADUS_STORE or runs/gradus.db)");
}
void add_output(CLI::App* command, ScriptCommandLine& line) {
  command->add_flag("--quiet,-q", line.run.quiet, "Print results and errors only");
  command->add_flag("--json", line.run.json, "One JSON document on standard output");
}
void add_strict(CLI::App* command, ScriptCommandLine& line) {
  command->add_flag("--strict", line.run.strict,
                    "Warnings, and settings out of the guides' ranges (gradus help strict), are errors");
}
void add_library(CLI::App* command, ScriptCommandLine& line) {
  command->add_flag("--allow-ffi", line.run.allow_ffi, "Let Lua require 'ffi', which can corrupt memory");
  command->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
}
// What such an option says is checked in Lua: options.search_seed of --search-seed.
CLI::Option* add_text(CLI::App* command, ScriptCommandLine& line, const std::string& option, const std::string& help) {
  std::string name = option;
  std::replace(name.begin(), name.end(), '-', '_');
  return command->add_option_function<std::string>(
      "--" + option, [&line, name](const std::string& text) { line.run.more[name] = text; }, help);
}

void add_run(CLI::App& app, ScriptCommandLine& line) {
  CLI::App* run = app.add_subcommand("run", "Run an experiment script");
  run->add_option("SCRIPT", line.run.script, "Lua script, or - for standard input");
  run->add_option("--set", line.set, "Override a parameter: key=value, or key=a,b,c for one run each (may be repeated)")
      ->allow_extra_args(false);
  run->add_option("--seed", line.seed, "Seed of the run, or 1,2,3 for one run each");
  run->add_option("--name", line.run.name, "Name of the run in the store");
  add_machine(run, line);
  run->add_option("--jobs,-j", line.jobs,
                  "Runs at once, each in a process of its own; auto: as cores and memory allow");
  run->add_flag("--resume", line.run.resume,
                "Skip what an earlier call of the same script, parameters and seed finished; go on with what it left");
  add_text(run, line, "snapshots", "Steps (100) or time (30s, 5m) between two snapshots, or none (default: 1m)");
  add_store(run, line);
  run->add_flag("--live", line.run.live,
                "Saving the script swaps the curriculum of the training that goes on, or what a loop calls");
  add_output(run, line);
  add_text(run, line, "log", "A line that stays for each epoch or evaluation, for a pipe or a file")
      ->check(CLI::IsMember({"epoch", "evaluation"}));
  add_strict(run, line);
  CLI::Option* sandbox = run->add_flag("--sandbox", line.run.sandbox,
                                       "The kernel keeps the script from the network, other programs and all files but "
                                       "its folder (to read) and the store's "
                                       "(default then: sandbox/gradus.db beside the usual one)");
  run->add_option("--sandbox-read", line.run.sandbox_read, "A file or folder that it may read too (may be repeated)")
      ->allow_extra_args(false)
      ->needs(sandbox);
  run->add_option("--sandbox-memory", line.run.sandbox_gib, "GiB that it may use (default: 8)")
      ->check(CLI::Range(1, 1 << 20))
      ->needs(sandbox);
  run->add_option("--sandbox-time", line.run.sandbox_seconds, "Seconds of CPU time, of all threads together")
      ->check(CLI::Range(1, 1 << 30))
      ->needs(sandbox);
  add_library(run, line);
}

void add_sweep(CLI::App& app, ScriptCommandLine& line) {
  CLI::App* sweep = app.add_subcommand("sweep", "Search a script's parameters: many runs, the best, and what mattered");
  sweep->add_option("SCRIPT", line.run.script, "Lua script");
  sweep
      ->add_option("--set", line.set,
                   "What is searched: key=a,b,c, key=lin(low,high) or key=log(low,high); one value fixes")
      ->allow_extra_args(false);
  const std::pair<const char*, const char*> texts[] = {
      {"by", "The metric that decides (val/acc, result/acc)"},
      {"direction", "max or min (higher or lower), where the metric's name does not tell"},
      {"search", "grid, random, halton or optuna (default: grid for lists, halton with ranges)"},
      {"trials", "Sets of parameters to try (default: all of a grid, else 20)"},
      {"seeds", "Runs of each set, seeds 1 to N (default: 1)"},
      {"search-seed", "Of random, halton and optuna (default: 0)"}};
  for (const auto& [name, help] : texts) add_text(sweep, line, name, help);
  sweep->add_flag("--halving", line.run.halving,
                  "Stop runs that lag behind the others at their 1st, 3rd, 9th, … evaluation; one that is among the "
                  "best later goes on");
  sweep->add_flag_callback(
      "--resume", [] {}, "What a sweep does anyway: runs that are finished are skipped, what was interrupted goes on");
  sweep->add_option("--jobs,-j", line.jobs, "Runs at once (default: auto, as cores and memory allow)");
  sweep->add_option("--name", line.run.name, "Name of the runs in the store");
  add_machine(sweep, line);
  add_store(sweep, line);
  add_output(sweep, line);
  add_strict(sweep, line);
  add_library(sweep, line);
}

void add_going_on(CLI::App& app, ScriptCommandLine& line) {
  CLI::App* resume =
      app.add_subcommand("resume", "An interrupted or failed run goes on, with the bits that it would have had");
  CLI::App* fork = app.add_subcommand("fork", "A new run that shares another one's past up to a step");
  for (CLI::App* command : {resume, fork}) {
    command->add_option("RUN", line.of_run, "An id, the beginning of a uid, or @last")->required();
    add_set(command, line);
    command->add_option("--device", line.run.device, "cpu, cuda, … (default: as it was)");
    command->add_option("--threads", line.threads, "Threads of LibTorch (default: as it was)");
    add_store(command, line);
    add_output(command, line);
    add_strict(command, line);
    add_library(command, line);
    add_text(command, line, "snapshots", "Steps (100) or time (30s, 5m) between two snapshots, or none (default: 1m)");
    add_text(command, line, "accept",
             "What may differ from the run, though other bits follow: script, data, gradus, library, torch, device, "
             "machine, threads");
  }
  add_text(resume, line, "schedules",
           "Of a finished run with a larger budget: stretch the schedules over it, or keep them as they were");
  add_text(fork, line, "at", "The step after which the new run is its own");
  fork->add_option("SCRIPT", line.run.script, "Another script for the new run");
  fork->add_option("--name", line.run.name, "Name of the new run");
}

void add_landscape(CLI::App& app, ScriptCommandLine& line) {
  CLI::App* command = app.add_subcommand(
      "landscape", "The loss around the weights that a run has left, or had at its stages, and their way there");
  command->add_option("RUN", line.of_run, "An id, the beginning of a uid, or @last")->required();
  const std::pair<const char*, const char*> texts[] = {
      {"points", "Of each direction, an odd number (default: 21)"},
      {"reach", "How far: 1 is as far as the weights are long (default: 1)"},
      {"directions", "1 or 2 (default: 2)"},
      {"on", "train, val or test: the data (default: val)"},
      {"weights", "best or last (default: best, where there are some)"},
      {"at", "Around what the student was at this step of the run"},
      {"accept", "What may differ from the run: script"}};
  for (const auto& [name, help] : texts) add_text(command, line, name, help);
  command->add_option_function<std::string>(
      "-o,--output", [&line](const std::string& file) { line.run.more["output"] = file; }, "Write an SVG file as well");
  const std::pair<const char*, const char*> flags[] = {
      {"stages", "Around what the student was at the end of each stage"},
      {"path", "The way of the weights through the run, on the plane that holds most of it"}};
  for (const auto& [name, help] : flags)
    command->add_flag_function(
        "--" + std::string(name), [&line, name = name](std::int64_t) { line.run.more[name] = "yes"; }, help);
  add_store(command, line);
  command->add_option("--threads", line.threads, "Threads of LibTorch");
  command->add_flag("--json", line.run.json, "One JSON document on standard output");
  add_library(command, line);
}

void add_watch(CLI::App& app, ScriptCommandLine& line) {
  CLI::App* watch = app.add_subcommand("watch", "Run a script anew at each save, the last runs' curves side by side");
  watch->add_option("SCRIPT", line.run.script, "Lua script");
  add_set(watch, line);
  watch->add_option("--seed", line.seed, "Seed of the run");
  add_text(watch, line, "by", "The metric whose curves are shown (default: the first of val/)");
  watch->add_option("--name", line.run.name, "Name of the runs in the store");
  add_machine(watch, line);
  add_store(watch, line);
  add_library(watch, line);
}

void add_check(CLI::App& app, ScriptCommandLine& line) {
  CLI::App* check =
      app.add_subcommand("check", "Two steps of each stage of a script, its schedules and what is wrong with them");
  check->add_option("SCRIPT", line.run.script, "Lua script, or - for standard input");
  add_set(check, line);
  check->add_option("--seed", line.seed, "Seed of the run");
  add_machine(check, line);
  add_library(check, line);
}

void add_repl(CLI::App& app, ScriptCommandLine& line) {
  CLI::App* repl = app.add_subcommand("repl", "Lines of Lua, each run at once: tensors, modules, the store's runs");
  repl->add_option("--threads", line.threads, "Threads of LibTorch");
  add_store(repl, line);
  add_library(repl, line);
}

void add_test(CLI::App& app, ScriptCommandLine& line) {
  CLI::App* test = app.add_subcommand("test", "Run Lua specs");
  test->add_option("FILE", line.files, "Specs");
  add_library(test, line);
}

void finish_run_options(ScriptCommandLine& line, bool needs_script) {
  if (needs_script && line.run.script.empty())
    throw HostError(kUsage, "no SCRIPT; expected a Lua file, or - for standard input");
  for (const std::string& text : line.set) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw HostError(kUsage, "--set: expected key=value; got '" + text + "'");
    line.run.set.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  if (!line.seed.empty()) line.run.seeds = whole_numbers("--seed", line.seed, 0, std::int64_t{1} << 53);
  if (!line.jobs.empty())
    line.run.jobs = line.jobs == "auto" ? 0 : static_cast<int>(whole_number("--jobs", line.jobs, 1, kMostChildren));
  if (!line.threads.empty()) line.run.threads = static_cast<int>(whole_number("--threads", line.threads, 1, 1024));
}

// What an unknown script may write is no store that others are in.
std::string sandbox_store() {
  return (std::filesystem::path(results::default_store()).parent_path() / "sandbox/gradus.db").string();
}

}  // namespace

void add_script_commands(CLI::App& app, ScriptCommandLine& line) {
  add_run(app, line);
  add_sweep(app, line);
  add_going_on(app, line);
  add_landscape(app, line);
  add_watch(app, line);
  add_check(app, line);
  add_repl(app, line);
  add_test(app, line);
}

std::optional<int> script_command(const CLI::App& app, ScriptCommandLine& line) {
  const auto parsed = app.get_subcommands();
  const std::string name = parsed.empty() ? "" : parsed.front()->get_name();
  const auto is = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!is({"run", "sweep", "resume", "fork", "landscape", "watch", "check", "repl", "test"})) return std::nullopt;
  line.run.store = line.store.empty() ? results::default_store() : line.store;
  finish_run_options(line, is({"run", "sweep", "watch", "check"}));
  if (name != "run" && line.run.seeds.size() > 1)
    throw HostError(kUsage, name + ": --seed: expected one number; got '" + line.seed + "'");
  if (name == "run" && line.run.sandbox && line.store.empty()) line.run.store = sandbox_store();
  if (name == "run") return run_command(std::move(line.run));
  if (name == "sweep") return sweep_command(std::move(line.run));
  if (name == "watch") return watch_command(std::move(line.run));
  if (name == "resume") return resume_command(std::move(line.run), line.of_run);
  if (name == "fork") return fork_command(std::move(line.run), line.of_run);
  if (name == "landscape") return landscape_command(std::move(line.run), line.of_run);
  if (name == "check") return check_command(std::move(line.run));
  if (name == "repl") return repl_command(std::move(line.run));
  if (line.files.empty()) throw HostError(kUsage, "test: no FILE; expected Lua specs");
  return test_command(std::move(line.run), line.files);
}

}  // namespace gradus
