// The command line of the commands that execute Lua (run_command.h, resume_command.h): their options, and which of them is called.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "session.h"

namespace gradus {

// What is read from the command line; must outlive parsing.
struct ScriptCommandLine {
  RunOptions run;
  std::vector<std::string> set, files;
  std::string seed, threads, jobs, store, of_run;
};

void add_script_commands(CLI::App& app, ScriptCommandLine& line);
// Its exit code, when one of them was parsed.
std::optional<int> script_command(const CLI::App& app, ScriptCommandLine& line);

}  // namespace gradus
