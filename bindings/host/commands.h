// The commands that only read the store: runs, show, compare, sql. They load neither Lua nor LibTorch.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace gradus {

// Registers the subcommands with --store, --json and their own options on `app`; must outlive parsing. The work is done
// in each subcommand's callback, which throws results::Error. `store` (borrowed) is the shared store option's value;
// when empty, results::default_store() is used.
void add_reading_commands(CLI::App& app, std::string& store);

}  // namespace gradus
