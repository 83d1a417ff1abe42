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
void add_runs_command(CLI::App& app, std::string& store);
void add_show_command(CLI::App& app, std::string& store);
void add_compare_command(CLI::App& app, std::string& store);
void add_diff_command(CLI::App& app, std::string& store);
void add_housekeeping_commands(CLI::App& app, std::string& store);  // tag, note, archive, delete, gc, merge

// Of a run, for a table or a heading.
std::string run_seconds(const results::Json& seconds);
std::string run_status(const results::Json& run);  // in colour where the output is a terminal
// A number from low to high, and so not NaN, which is in every CLI::Range.
CLI::Validator number_from(double low, double high);
// --full of a command that prints tables: cuts no text. It ends with print_cuts() (output.h).
void add_full(CLI::App& command);
// --where, --children and --archived of a command that reads runs; `filter` (borrowed) must outlive parsing.
void add_filter(CLI::App& command, results::RunFilter& filter);

}  // namespace gradus
