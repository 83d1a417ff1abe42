// What one process of `gradus run` or `gradus test` shares between its Lua states: the command line and every source
// text, read once, so that all runs of a grid see the same code even when a file is edited meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "git_state.h"

namespace gradus {

struct RunOptions {
  std::string script;  // as typed; "-" is standard input
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::int64_t> seeds;              // --seed 1,2,3; empty: not given
  std::string name, device, store, stdlib_dir;  // empty: not given; store is always resolved
  std::optional<int> threads;
  std::optional<int> jobs;                  // runs at once; 0: as many as cores and memory allow
  std::map<std::string, std::string> more;  // of sweep and watch, by name; Lua checks them
  bool halving = false;                     // sweep: runs that lag behind are stopped
  bool live = false;                        // run: saving the script swaps its curriculum
  bool resume = false;                      // without the runs that an earlier call finished
  bool quiet = false, json = false, strict = false, allow_ffi = false;
  bool is_spec = false;  // a test file: its modules may lie in the folder above
  bool sandbox = false;
  std::vector<std::string> sandbox_read;  // what the sandbox may read besides the script's folder
  std::int64_t sandbox_gib = 8, sandbox_seconds = 0;
};

struct Source {
  std::string path;  // as the user would name it; "stdin" for standard input
  std::string text;  // byte for byte
  std::string sha256;
};

// The embedded standard library, or the tree that --stdlib names.
class Stdlib {
 public:
  explicit Stdlib(std::string dir) : dir_(std::move(dir)) {}
  const std::string* find(const std::string& file);  // "nn.lua" -> borrowed text, or null
  std::vector<std::string> files() const;            // sorted
  std::string hash();                                // over names and texts; computed once
  const std::string& dir() const { return dir_; }

 private:
  std::string dir_;
  std::map<std::string, std::optional<std::string>> texts_;
  std::string hash_;
};

class Session {
 public:
  explicit Session(RunOptions options);

  const RunOptions options;
  Stdlib stdlib;

  // Reads `path` ("-": standard input) and makes its folder the place of user modules. Throws HostError.
  const Source& read_script(const std::string& path);
  const Source& script() const { return *script_; }
  const std::string& script_dir() const {
    return script_dir_;
  }  // "" for the working directory, else without a slash at its end
  const std::string& real_dir() const { return real_dir_; }  // the same of the file that a symbolic link names

  // User module "a.b" -> the script folder's a/b.lua or a/b/init.lua, or null. Borrowed. Throws HostError when
  // unreadable.
  const Source* user_module(const std::string& name);
  std::vector<std::string> user_module_paths(const std::string& name) const;
  std::vector<std::string> user_module_names() const;
  // The script and the user's modules as they are on the disk now; those from before stay in memory, and put_back_sources
  // has them again. Throws HostError where the script cannot be read: then nothing has changed.
  void read_again();
  void put_back_sources();
  const Source& read_file(const std::string& path);  // for dofile and loadfile: read anew each time, and kept

  const std::optional<GitState>& git();  // of the script's folder; asked once per process

 private:
  std::unique_ptr<Source> script_;
  std::string script_dir_;
  std::string real_dir_;  // of the file that the script is a symbolic link to; else script_dir_
  std::map<std::string, std::unique_ptr<Source>> modules_;
  struct Version {
    std::unique_ptr<Source> script;
    std::map<std::string, std::unique_ptr<Source>> modules;
  };
  std::vector<Version> before_;                // of each read_again that was not taken back
  std::vector<std::unique_ptr<Source>> left_;  // nobody runs them anew; interpreters may still name them
  std::vector<std::unique_ptr<Source>> files_;
  std::optional<std::optional<GitState>> git_;
};

// The whole text of a Lua file, at most 64 MiB. Throws HostError (missing, data).
std::string read_source_text(const std::string& path);
// The text's first byte after a byte-order mark and a `#!` line is that of bytecode.
bool is_bytecode(std::string_view text);

}  // namespace gradus
