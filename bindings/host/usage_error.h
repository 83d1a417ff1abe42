// What is wrong with a command line, in our words: nearest names for a typo, what was expected.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "host_error.h"

namespace gradus {

std::vector<std::string> command_names(const CLI::App& app);
// Error (usage) where what follows an option is no value: nothing, as of a variable that a shell has not, or the name
// of another option of the command. What stands behind a '=' is meant.
void check_values(const CLI::App& app, int argc, char** argv);
// What CLI11 could not place, or missed.
HostError usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace gradus
