// `gradus serve`: the store as a page in the browser. Loads neither Lua nor LibTorch.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace gradus {

// Registers `serve` on `app`; the work is done in the callback, which throws results::Error. `store` as for
// add_reading_commands.
//
// The server listens on 127.0.0.1 only, answers GET and HEAD only, and only to requests that carry the token of the
// printed address (then a cookie, or `Authorization: Bearer`), whose Host is this server and whose Origin, if any, is
// this page. It reads the store and the run folders and connects to nothing.
void add_serve_command(CLI::App& app, std::string& store);

}  // namespace gradus
