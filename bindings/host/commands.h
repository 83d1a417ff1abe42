// The commands about the store: runs, show, compare, diff, sql and housekeeping. They load neither Lua nor LibTorch.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "query/query.h"

namespace gradus {

// Registers the subcommands with --store, --json and their own options on `app`; must outlive parsing. The work is done
// in each subcommand's callback, which throws results::Error. `store` (borrowed) is the shared store option's value;
// when empty, results::default_store() is used.
void add_reading_commands(CLI::App& app, std::string& store);
// Parts of it, each in a file of its own.
void add_compare_command(CLI::App& app, std::string& store);
void add_diff_command(CLI::App& app, std::string& store);
void add_housekeeping_commands(CLI::App& app, std::string& store);  // tag, note, archive, delete, gc, merge

// --where, --children and --archived of a command that reads runs; `filter` (borrowed) must outlive parsing.
void add_filter(CLI::App& command, results::RunFilter& filter);

}  // namespace gradus
