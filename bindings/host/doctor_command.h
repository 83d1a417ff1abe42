// `gradus doctor`: what this program is made of and whether it is healthy here. Loads neither Lua code nor LibTorch.
#pragma once

#include <string>

namespace gradus {

int doctor_command(const std::string& store, bool json, bool full);

std::string version_line();  // "gradus 0.1.0 (LuaJIT …, SQLite …)"

}  // namespace gradus
