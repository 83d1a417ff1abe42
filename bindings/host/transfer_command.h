// `gradus export` and `gradus import`: runs to and from other tools' files. They load neither Lua nor LibTorch.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace gradus {

// Registers both on `app`; the work is done in the callbacks, which throw results::Error. `store` as for
// add_reading_commands.
void add_transfer_commands(CLI::App& app, std::string& store);

}  // namespace gradus
