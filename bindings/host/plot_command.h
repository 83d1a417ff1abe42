// `gradus plot` and `gradus report`: curves and documents for people. Load neither Lua nor LibTorch.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace gradus {

// As add_reading_commands.
void add_plot_commands(CLI::App& app, std::string& store);

}  // namespace gradus
