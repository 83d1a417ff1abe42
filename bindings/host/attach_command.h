// `gradus attach RUN`: what a run that goes on is doing, and what a person wants of it (stdlib/training/attach.lua).
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace gradus {

void add_attach_command(CLI::App& app, std::string& store);  // `store` (borrowed) as in commands.h

}  // namespace gradus
