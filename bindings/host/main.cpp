// The command line of gradus.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "attach_command.h"
#include "commands.h"
#include "doctor_command.h"
#include "error.h"
#include "help_command.h"
#include "host_error.h"
#include "host_module.h"
#include "neighbours.h"
#include "new_command.h"
#include "output.h"
#include "plot_command.h"
#include "query/table.h"
#include "script_commands.h"
#include "serve_command.h"
#include "signals.h"
#include "store/store.h"
#include "transfer_command.h"
#include "usage_error.h"

namespace gradus {
namespace {

struct Doctor {
  std::string store;
  bool json = false, full = false, salvage = false;
};

void add_others(CLI::App& app, Doctor& options) {
  CLI::App* doctor = app.add_subcommand("doctor", "Check this installation and the store");
  doctor->add_option("--store", options.store, "Results store");
  doctor->add_flag("--json", options.json, "One JSON document on standard output");
  doctor->add_flag("--full", options.full, "Check every page, index and summary of the store");
  doctor->add_flag("--salvage", options.salvage,
                   "Save what is whole in a damaged store into a new file; the old one stays as it is");
  app.add_subcommand("version", "Print versions");
  CLI::App* help =
      app.add_subcommand("help", "Explain a command, a function, a word: help TOPIC; help --all: one page");
  // For their texts alone: print_help reads them.
  help->add_option("TOPIC", "A command, a function or a word (default: what there is)")->type_name("TEXT");
  help->add_flag("--all")->description("All there is, as one page");
  help->add_option("--stdlib", "Read the standard library from a folder")->type_name("TEXT");
}

// What CLI11 says of a command and, where it has some, of its own commands: each in full where all is asked.
std::string help_of(const CLI::App& app, CLI::AppFormatMode mode = CLI::AppFormatMode::Normal) {
  constexpr int kTexts = 30;  // the column that CLI11 begins them at
  return folded(app.help(app.get_parent() != nullptr ? "gradus" : "", mode),
                terminal_columns(INT_MAX) < 2 * kTexts ? kTexts / 4 : kTexts);
}

std::string command_help(const CLI::App& app, const std::string& name) {
  return help_of(*app.get_subcommand(name), CLI::AppFormatMode::All);
}

// `gradus help`, `gradus help TOPIC` (a command, or anything that scripts use), `gradus help --all`.
int print_help(CLI::App& app, const std::vector<std::string>& words) {
  std::string topic;
  RunOptions options;
  bool all = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--all")
      all = true;
    else if (words[i] == "--help" || words[i] == "-h")
      topic = "help";
    else if (words[i] == "--stdlib" && i + 1 < words.size())
      options.stdlib_dir = words[++i];
    else if (words[i].starts_with("--"))
      throw HostError(kUsage, "help: unknown option '" + words[i] + "'; expected --all");
    else
      topic += (topic.empty() ? "" : " ") + words[i];
  }
  const std::vector<std::string> names = command_names(app);
  std::vector<CommandHelp> commands;
  if (topic.empty() && !all) {
    std::printf(
        "%s\nMore: gradus help COMMAND, gradus help distill (what scripts use),\n"
        "gradus help alpha (words), gradus help --all (one page)\n\n",
        help_of(app).c_str());
    std::fflush(stdout);
    return help_command(std::move(options), topic, all, commands);  // what scripts may use
  }
  for (const std::string& name : names) commands.emplace_back(name, command_help(app, name));
  return help_command(std::move(options), topic, all, commands);
}

int dispatch(int argc, char** argv) {
  ScriptCommandLine line;
  Doctor doctor;
  std::string reading_store;
  CLI::App app("Distillation curricula as Lua scripts, their runs in one SQLite file.", "gradus");
  app.set_version_flag("--version", version_line());
  add_script_commands(app, line);
  add_reading_commands(app, reading_store);
  add_attach_command(app, reading_store);
  add_serve_command(app, reading_store);
  add_transfer_commands(app, reading_store);
  add_plot_commands(app, reading_store);
  add_new_command(app);
  add_others(app, doctor);
  // Not by CLI11: it would take the topic for the command itself.
  if (argc > 1 && std::strcmp(argv[1], "help") == 0) return print_help(app, {argv + 2, argv + argc});
  check_values(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto parsed = app.get_subcommands();
    std::printf("%s", help_of(parsed.empty() ? app : *parsed.front()).c_str());
    return 0;
  } catch (const CLI::CallForVersion&) {
    std::printf("%s\n", version_line().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    throw usage_error(app, error);
  }

  if (const auto code = script_command(app, line)) return *code;
  if (app.got_subcommand("doctor")) {
    const std::string store = doctor.store.empty() ? results::default_store() : doctor.store;
    return doctor.salvage ? salvage_command(store, doctor.json) : doctor_command(store, doctor.json, doctor.full);
  }
  if (app.got_subcommand("version")) return std::printf("%s\n", version_line().c_str()), 0;
  if (app.get_subcommands().empty()) {
    std::fprintf(stderr, "%s", help_of(app).c_str());
    return kUsage;
  }
  return 0;  // a reading command: its callback has done the work
}

int complain(const std::exception& error) {
  std::fflush(stdout);
  // In one line, whatever names and values it repeats.
  std::fprintf(stderr, "gradus: %s\n", results::printable(words_of(error)).c_str());
  return exit_code_of(error);
}

// An exception that nobody can handle: nlohmann's JSON allocates in its destructor, for one. What was logged is in the spools.
[[noreturn]] void end_unhandled() {
  int code = kBug;
  try {
    if (std::current_exception()) throw;
    std::fprintf(stderr, "gradus: ended for no reason that is known\n");
  } catch (const std::exception& error) {
    code = complain(error);
  } catch (...) {
    std::fprintf(stderr, "gradus: an exception of no known kind\n");
  }
  _exit(code);
}

int guarded_dispatch(int argc, char** argv) {
  try {
    return dispatch(argc, argv);
  } catch (const std::exception& error) {
    return complain(error);
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
  std::set_terminate(gradus::end_unhandled);
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
