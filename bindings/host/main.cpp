// The command line of gradus.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "../nearest.h"
#include "attach_command.h"
#include "commands.h"
#include "doctor_command.h"
#include "error.h"
#include "help_command.h"
#include "host_error.h"
#include "host_module.h"
#include "neighbours.h"
#include "new_command.h"
#include "plot_command.h"
#include "resume_command.h"
#include "run_command.h"
#include "serve_command.h"
#include "signals.h"
#include "store/store.h"
#include "transfer_command.h"

namespace gradus {
namespace {

struct CommandLine {
  RunOptions run;
  std::vector<std::string> set, files;
  std::string seed, threads, jobs, store, of_run;
  bool json = false, full = false, salvage = false;
};

std::int64_t whole_number(const char* option, const std::string& text, std::int64_t low, std::int64_t high) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low || number > high)
    throw HostError(kUsage, std::string(option) + ": expected a whole number from " + std::to_string(low) + " to " +
                                std::to_string(high) + ", got '" + text + "'");
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

// What --snapshots, --accept and --at say is checked in Lua.
void add_text(CLI::App* command, CommandLine& line, const std::string& option, const std::string& help) {
  command->add_option_function<std::string>(
      "--" + option, [&line, option](const std::string& text) { line.run.more[option] = text; }, help);
}

void add_run(CLI::App& app, CommandLine& line) {
  CLI::App* run = app.add_subcommand("run", "Run an experiment script");
  run->add_option("SCRIPT", line.run.script, "Lua script, or - for standard input");
  run->add_option("--set", line.set, "Override a parameter: key=value, or key=a,b,c for one run each (may be repeated)")
      ->allow_extra_args(false);
  run->add_option("--seed", line.seed, "Seed of the run, or 1,2,3 for one run each");
  run->add_option("--name", line.run.name, "Name of the run in the store");
  run->add_option("--device", line.run.device, "cpu, cuda, …");
  run->add_option("--threads", line.threads, "Threads of LibTorch");
  run->add_option("--jobs,-j", line.jobs,
                  "Runs at once, each in a process of its own; auto: as cores and memory allow");
  run->add_flag("--resume", line.run.resume,
                "Skip what an earlier call of the same script, parameters and seed finished; go on with what it left");
  add_text(run, line, "snapshots", "Steps (100) or time (30s, 5m) between two snapshots, or none (default: 1m)");
  run->add_option("--store", line.store, "Results store (default: $GRADUS_STORE or runs/gradus.db)");
  run->add_flag("--live", line.run.live, "Saving the script swaps the curriculum of the training that goes on");
  run->add_flag("--quiet,-q", line.run.quiet, "Print results and errors only");
  run->add_flag("--json", line.run.json, "One JSON document on standard output");
  run->add_option_function<std::string>(
         "--log", [&line](const std::string& what) { line.run.more["log"] = what; },
         "A line that stays for each epoch or evaluation, for a pipe or a file")
      ->check(CLI::IsMember({"epoch", "evaluation"}));
  run->add_flag("--strict", line.run.strict, "Warnings are errors");
  run->add_flag("--allow-ffi", line.run.allow_ffi, "Let the script require 'ffi', which can corrupt memory");
  run->add_flag("--sandbox", line.run.sandbox,
                "The kernel keeps the script from the network, other programs and all files but its folder (to read) and the store's "
                "(default then: sandbox/gradus.db beside the usual one)");
  run->add_option("--sandbox-read", line.run.sandbox_read, "A file or folder that it may read too (may be repeated)")
      ->allow_extra_args(false);
  run->add_option("--sandbox-memory", line.run.sandbox_gib, "GiB that it may use (default: 8)")->check(CLI::Range(1, 1 << 20));
  run->add_option("--sandbox-time", line.run.sandbox_seconds, "Seconds of CPU time, of all threads together")
      ->check(CLI::Range(1, 1 << 30));
  run->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
}

void add_sweep(CLI::App& app, CommandLine& line) {
  CLI::App* sweep = app.add_subcommand("sweep", "Search a script's parameters: many runs, the best, and what mattered");
  sweep->add_option("SCRIPT", line.run.script, "Lua script");
  sweep
      ->add_option("--set", line.set,
                   "What is searched: key=a,b,c, key=lin(low,high) or key=log(low,high); one value fixes")
      ->allow_extra_args(false);
  const std::pair<const char*, const char*> texts[] = {
      {"by", "The metric that decides (val/acc, result/acc)"},
      {"direction", "max or min, where the metric's name does not tell"},
      {"search", "grid, random, halton or optuna (default: grid for lists, halton with ranges)"},
      {"trials", "Sets of parameters to try (default: all of a grid, else 20)"},
      {"seeds", "Runs of each set, seeds 1 to N (default: 1)"},
      {"search-seed", "Of random, halton and optuna (default: 0)"}};
  for (const auto& [name, help] : texts)
    sweep->add_option_function<std::string>(
        "--" + std::string(name),
        [&line, name = std::string(name)](const std::string& text) {
          line.run.more[name == "search-seed" ? "search_seed" : name] = text;
        },
        help);
  sweep->add_flag("--halving", line.run.halving,
                  "Stop runs that lag behind the others at their 1st, 3rd, 9th, … evaluation");
  sweep->add_option("--jobs,-j", line.jobs, "Runs at once (default: auto, as cores and memory allow)");
  sweep->add_option("--name", line.run.name, "Name of the runs in the store");
  sweep->add_option("--device", line.run.device, "cpu, cuda, …");
  sweep->add_option("--threads", line.threads, "Threads of LibTorch");
  sweep->add_option("--store", line.store, "Results store (default: $GRADUS_STORE or runs/gradus.db)");
  sweep->add_flag("--quiet,-q", line.run.quiet, "Print results and errors only");
  sweep->add_flag("--json", line.run.json, "One JSON document on standard output");
  sweep->add_flag("--allow-ffi", line.run.allow_ffi, "Let the script require 'ffi', which can corrupt memory");
  sweep->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
}

void add_going_on(CLI::App& app, CommandLine& line) {
  CLI::App* resume = app.add_subcommand("resume", "An interrupted or failed run goes on, with the bits that it would have had");
  CLI::App* fork = app.add_subcommand("fork", "A new run that shares another one's past up to a step");
  for (CLI::App* command : {resume, fork}) {
    command->add_option("RUN", line.of_run, "An id, the beginning of a uid, or @last")->required();
    command->add_option("--set", line.set, "Override a parameter: key=value (may be repeated)")->allow_extra_args(false);
    command->add_option("--device", line.run.device, "cpu, cuda, … (default: as it was)");
    command->add_option("--threads", line.threads, "Threads of LibTorch (default: as it was)");
    command->add_option("--store", line.store, "Results store (default: $GRADUS_STORE or runs/gradus.db)");
    command->add_flag("--quiet,-q", line.run.quiet, "Print results and errors only");
    command->add_flag("--json", line.run.json, "One JSON document on standard output");
    command->add_flag("--strict", line.run.strict, "Warnings are errors");
    command->add_flag("--allow-ffi", line.run.allow_ffi, "Let the script require 'ffi', which can corrupt memory");
    command->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
    add_text(command, line, "snapshots", "Steps (100) or time (30s, 5m) between two snapshots, or none (default: 1m)");
    add_text(command, line, "accept",
             "What may differ from the run, though other bits follow: script, data, gradus, library, torch, device, machine, threads");
  }
  add_text(resume, line, "schedules",
           "Of a finished run with a larger budget: stretch the schedules over it, or keep them as they were");
  add_text(fork, line, "at", "The step after which the new run is its own");
  fork->add_option("SCRIPT", line.run.script, "Another script for the new run");
  fork->add_option("--name", line.run.name, "Name of the new run");
}

void add_landscape(CLI::App& app, CommandLine& line) {
  CLI::App* command = app.add_subcommand("landscape", "The loss around the weights that a run has left, along random directions");
  command->add_option("RUN", line.of_run, "An id, the beginning of a uid, or @last")->required();
  const std::pair<const char*, const char*> texts[] = {
      {"points", "Of each direction, an odd number (default: 21)"},
      {"reach", "How far: 1 is as far as the weights are long (default: 1)"},
      {"directions", "1 or 2 (default: 2)"},
      {"on", "train, val or test: the data (default: val)"},
      {"weights", "best or last (default: best, where there are some)"},
      {"accept", "What may differ from the run: script"}};
  for (const auto& [name, help] : texts) add_text(command, line, name, help);
  command->add_option("--store", line.store, "Results store (default: $GRADUS_STORE or runs/gradus.db)");
  command->add_option("--threads", line.threads, "Threads of LibTorch");
  command->add_flag("--json", line.run.json, "One JSON document on standard output");
  command->add_flag("--allow-ffi", line.run.allow_ffi, "Let the script require 'ffi', which can corrupt memory");
  command->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
}

void add_watch(CLI::App& app, CommandLine& line) {
  CLI::App* watch = app.add_subcommand("watch", "Run a script anew at each save, the last runs' curves side by side");
  watch->add_option("SCRIPT", line.run.script, "Lua script");
  watch->add_option("--set", line.set, "Override a parameter: key=value (may be repeated)")->allow_extra_args(false);
  watch->add_option("--seed", line.seed, "Seed of the run");
  watch->add_option_function<std::string>(
      "--by", [&line](const std::string& text) { line.run.more["by"] = text; },
      "The metric whose curves are shown (default: the first of val/)");
  watch->add_option("--name", line.run.name, "Name of the runs in the store");
  watch->add_option("--device", line.run.device, "cpu, cuda, …");
  watch->add_option("--threads", line.threads, "Threads of LibTorch");
  watch->add_option("--store", line.store, "Results store (default: $GRADUS_STORE or runs/gradus.db)");
  watch->add_flag("--allow-ffi", line.run.allow_ffi, "Let the script require 'ffi', which can corrupt memory");
  watch->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
}

void add_check(CLI::App& app, CommandLine& line) {
  CLI::App* check =
      app.add_subcommand("check", "Two steps of each stage of a script, its schedules and what is wrong with them");
  check->add_option("SCRIPT", line.run.script, "Lua script, or - for standard input");
  check->add_option("--set", line.set, "Override a parameter: key=value (may be repeated)")->allow_extra_args(false);
  check->add_option("--seed", line.seed, "Seed of the run");
  check->add_option("--device", line.run.device, "cpu, cuda, …");
  check->add_option("--threads", line.threads, "Threads of LibTorch");
  check->add_flag("--allow-ffi", line.run.allow_ffi, "Let the script require 'ffi', which can corrupt memory");
  check->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
}

void add_repl(CLI::App& app, CommandLine& line) {
  CLI::App* repl = app.add_subcommand("repl", "Lines of Lua, each run at once: tensors, modules, the store's runs");
  repl->add_option("--threads", line.threads, "Threads of LibTorch");
  repl->add_option("--store", line.store, "Results store (default: $GRADUS_STORE or runs/gradus.db)");
  repl->add_flag("--allow-ffi", line.run.allow_ffi, "Let lines require 'ffi', which can corrupt memory");
  repl->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
}

void add_others(CLI::App& app, CommandLine& line) {
  CLI::App* test = app.add_subcommand("test", "Run Lua specs");
  test->add_option("FILE", line.files, "Specs");
  test->add_option("--stdlib", line.run.stdlib_dir, "Read the standard library from a folder");
  test->add_flag("--allow-ffi", line.run.allow_ffi, "Let specs require 'ffi'");
  CLI::App* doctor = app.add_subcommand("doctor", "Check this installation and the store");
  doctor->add_option("--store", line.store, "Results store");
  doctor->add_flag("--json", line.json, "One JSON document on standard output");
  doctor->add_flag("--full", line.full, "Check every page, index and summary of the store");
  doctor->add_flag("--salvage", line.salvage, "Save what is whole in a damaged store into a new file; the old one stays as it is");
  app.add_subcommand("version", "Print versions");
  app.add_subcommand("help", "Explain a command, a function, a word: help TOPIC; help --all: one page");
}

void finish_run_options(CommandLine& line, bool needs_script = true) {
  if (needs_script && line.run.script.empty()) throw HostError(kUsage, "no SCRIPT; expected a Lua file, or - for standard input");
  for (const std::string& text : line.set) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw HostError(kUsage, "--set: expected key=value, got '" + text + "'");
    line.run.set.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  if (!line.seed.empty()) line.run.seeds = whole_numbers("--seed", line.seed, 0, std::int64_t{1} << 53);
  if (!line.jobs.empty())
    line.run.jobs = line.jobs == "auto" ? 0 : static_cast<int>(whole_number("--jobs", line.jobs, 1, kMostChildren));
  if (!line.threads.empty()) line.run.threads = static_cast<int>(whole_number("--threads", line.threads, 1, 1024));
}

// What an unknown script may write is no store that others are in.
std::string sandbox_store() { return (std::filesystem::path(results::default_store()).parent_path() / "sandbox/gradus.db").string(); }

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& words) {
  const std::string meant = nearest(word, words);
  return meant.empty() ? "" : "; did you mean '" + meant + "'?";
}

// A misspelt option. Options are short, and some look alike (--sort, --store): at most a quarter of the letters may
// differ.
std::string option_suggestion(const std::string& word, const std::vector<std::string>& options) {
  const std::string meant = nearest(word.substr(std::min<std::size_t>(2, word.size())), options);
  const bool near = meant.starts_with(word.substr(std::min<std::size_t>(2, word.size()))) ||
                    edit_distance(word, "--" + meant) <= std::max<std::size_t>(1, (word.size() - 2) / 4);
  return meant.empty() || !near ? "" : "; did you mean '--" + meant + "'?";
}

// CLI11's sentences about what is missing or out of range, as ours: what is wrong; expected …; got ….
std::string in_our_words(const std::string& text, const std::vector<std::string>& formats, const std::string& command) {
  const std::string required = " is required", value = ": Value ", range = " not in range ";
  if (text.ends_with(required)) {
    const std::string what = text.substr(0, text.size() - required.size());
    if (formats.empty()) return "no " + what + "; expected one (`gradus help " + command + "` tells)";
    std::string list;
    for (const std::string& format : formats) list += (list.empty() ? "" : ", ") + format;
    return "no format; expected one of " + list;
  }
  const std::size_t at = text.find(value), in = text.find(range);
  if (at == std::string::npos || in == std::string::npos || in < at) return text;
  const std::size_t got = at + value.size();
  return text.substr(0, at) + ": expected " + text.substr(in + range.size()) + "; got " + text.substr(got, in - got);
}

// What CLI11 could not place, in our words.
HostError usage_error(const CLI::App& app, const CLI::ParseError& error) {
  auto parsed = app.get_subcommands();
  std::string command;  // with its own subcommand: "export csv"
  while (!parsed.empty()) {
    command += (command.empty() ? "" : " ") + parsed.front()->get_name();
    const auto inner = parsed.front()->get_subcommands();
    if (inner.empty()) break;
    parsed = inner;
  }
  const std::vector<std::string> extra = app.remaining(true);
  if (extra.empty()) {
    const auto formats = parsed.empty() ? std::vector<std::string>{} : command_names(*parsed.front());
    return {kUsage, (command.empty() ? "" : command + ": ") + in_our_words(error.what(), formats, command)};
  }
  const std::string word = extra.front().substr(0, extra.front().find('='));
  if (word.starts_with('-') && word.size() > 1) {
    std::vector<std::string> options;
    const CLI::App& owner = parsed.empty() ? app : *parsed.front();
    for (const CLI::Option* option : owner.get_options())
      for (const std::string& name : option->get_lnames()) options.push_back(name);
    // The command knows it, so it can only have stood before the command.
    if (std::find(options.begin(), options.end(), word.substr(word.starts_with("--") ? 2 : 0)) != options.end())
      return {kUsage, word + ": an option of '" + command + "' before it; expected 'gradus " + command + " " + word +
                          " …'; got 'gradus " + word + " …'"};
    return {kUsage, (parsed.empty() ? "" : command + ": ") + "unknown option '" + word + "'" +
                        option_suggestion(word, options)};
  }
  if (parsed.empty()) return {kUsage, "unknown command '" + word + "'" + suggestion(word, command_names(app))};
  const std::vector<std::string> inner = command_names(*parsed.front());
  if (!inner.empty()) return {kUsage, command + ": unknown format '" + word + "'" + suggestion(word, inner)};
  return {kUsage, command + ": unexpected argument '" + extra.front() + "'"};
}

// What CLI11 says of a command and, where it has some, of its own commands.
std::string command_help(CLI::App& app, const std::string& name) { return app.get_subcommand(name)->help(); }

// `gradus help`, `gradus help TOPIC` (a command, or anything that scripts use), `gradus help --all`.
int print_help(CLI::App& app, const std::vector<std::string>& words) {
  std::string topic;
  RunOptions options;
  bool all = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--all")
      all = true;
    else if (words[i] == "--stdlib" && i + 1 < words.size())
      options.stdlib_dir = words[++i];
    else if (words[i].starts_with("--"))
      throw HostError(kUsage, "help: unknown option '" + words[i] + "'; expected --all");
    else
      topic += (topic.empty() ? "" : " ") + words[i];
  }
  const std::vector<std::string> names = command_names(app);
  if (topic.empty() && !all) {
    std::printf(
        "%s\nMore: gradus help COMMAND, gradus help distill (what scripts use), gradus help alpha (words), "
        "gradus help --all (one page)\n",
        app.help().c_str());
    return 0;
  }
  std::vector<CommandHelp> commands;
  for (const std::string& name : names) commands.emplace_back(name, command_help(app, name));
  return help_command(std::move(options), topic, all, commands);
}

int dispatch(int argc, char** argv) {
  CommandLine line;
  std::string reading_store;
  CLI::App app("Distillation curricula as Lua scripts, their runs in one SQLite file.", "gradus");
  app.set_version_flag("--version", version_line());
  add_run(app, line);
  add_sweep(app, line);
  add_going_on(app, line);
  add_landscape(app, line);
  add_watch(app, line);
  add_check(app, line);
  add_repl(app, line);
  add_reading_commands(app, reading_store);
  add_attach_command(app, reading_store);
  add_serve_command(app, reading_store);
  add_transfer_commands(app, reading_store);
  add_plot_commands(app, reading_store);
  add_new_command(app);
  add_others(app, line);
  // Not by CLI11: it would take the topic for the command itself.
  if (argc > 1 && std::strcmp(argv[1], "help") == 0) return print_help(app, {argv + 2, argv + argc});
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto parsed = app.get_subcommands();
    std::printf("%s", parsed.empty() ? app.help().c_str() : parsed.front()->help().c_str());
    return 0;
  } catch (const CLI::CallForVersion&) {
    std::printf("%s\n", version_line().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    throw usage_error(app, error);
  }

  line.run.store = line.store.empty() ? results::default_store() : line.store;
  if (app.got_subcommand("run")) {
    finish_run_options(line);
    if (line.run.sandbox && line.store.empty()) line.run.store = sandbox_store();
    return run_command(std::move(line.run));
  }
  if (app.got_subcommand("sweep") || app.got_subcommand("watch")) {
    finish_run_options(line);
    return app.got_subcommand("sweep") ? sweep_command(std::move(line.run)) : watch_command(std::move(line.run));
  }
  if (app.got_subcommand("resume") || app.got_subcommand("fork")) {
    finish_run_options(line, false);
    return app.got_subcommand("resume") ? resume_command(std::move(line.run), line.of_run)
                                        : fork_command(std::move(line.run), line.of_run);
  }
  if (app.got_subcommand("landscape")) {
    finish_run_options(line, false);
    return landscape_command(std::move(line.run), line.of_run);
  }
  if (app.got_subcommand("check")) {
    finish_run_options(line);
    return check_command(std::move(line.run));
  }
  if (app.got_subcommand("repl")) {
    finish_run_options(line, false);
    return repl_command(std::move(line.run));
  }
  if (app.got_subcommand("test")) {
    if (line.files.empty()) throw HostError(kUsage, "test: no FILE; expected Lua specs");
    return test_command(std::move(line.run), line.files);
  }
  if (app.got_subcommand("doctor"))
    return line.salvage ? salvage_command(line.run.store, line.json) : doctor_command(line.run.store, line.json, line.full);
  if (app.got_subcommand("version")) return std::printf("%s\n", version_line().c_str()), 0;
  if (app.get_subcommands().empty()) {
    std::fprintf(stderr, "%s", app.help().c_str());
    return kUsage;
  }
  return 0;  // a reading command: its callback has done the work
}

int complain(const std::exception& error, int code) {
  std::fflush(stdout);
  std::fprintf(stderr, "gradus: %s\n", error.what());
  return code;
}

int guarded_dispatch(int argc, char** argv) {
  try {
    return dispatch(argc, argv);
  } catch (const HostError& error) {
    return complain(error, error.code);
  } catch (const results::Error& error) {
    return complain(error, static_cast<int>(error.code));
  } catch (const std::exception& error) {
    return complain(error, kBug);
  }
}

// A closed standard stream would give its number to the next file that is opened: the database, for instance.
void fill_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd)
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDWR);
}

// A reader that left (`| head`, a terminal that was closed) is no failure; a full disk is.
bool has_lost_reader(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return false;
  return S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || (!isatty(fd) && errno == EIO);
}

}  // namespace
}  // namespace gradus

int main(int argc, char** argv) {
  // LibTorch's threads wait for each other by spinning, by default for a millisecond: beside another busy process that
  // is the time that this one would need. Read when the engine is loaded; the user's own setting stands.
  setenv("GOMP_SPINCOUNT", "1000", 0);
  gradus::fill_standard_streams();
  int code = gradus::guarded_dispatch(argc, argv);
  gradus::close_stores();
  gradus::leave_cores();
  std::fflush(stdout);
  if (code == 0 && std::ferror(stdout) && !gradus::has_lost_reader(STDOUT_FILENO)) {
    std::fprintf(stderr, "gradus: standard output could not be written\n");
    code = gradus::kIo;
  }
  _exit(code);  // LibTorch's destructors cost a tenth of a second and do nothing for us
}
