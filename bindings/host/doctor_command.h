// `gradus doctor`: what this program is made of and whether it is healthy here. Loads neither Lua code nor LibTorch.
#pragma once

#include <string>

namespace gradus {

int doctor_command(const std::string& store, bool json, bool full);

// What is whole in a damaged store, as a new one beside it: gradus.db gives gradus-salvaged.db.
int salvage_command(const std::string& store, bool json);

std::string version_line();  // "gradus 0.1.0 (LuaJIT …, SQLite …)"

}  // namespace gradus
