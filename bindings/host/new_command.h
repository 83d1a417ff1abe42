// `gradus new NAME`: a script to start from. Loads neither Lua nor LibTorch.
#pragma once

#include <CLI/CLI.hpp>

namespace gradus {

// Adds the command; its callback writes NAME.lua from the template and says what to type next.
void add_new_command(CLI::App& app);

}  // namespace gradus
