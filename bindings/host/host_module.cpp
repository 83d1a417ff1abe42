#include "host_module.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "../nearest.h"
#include "calls.h"
#include "file_lock.h"
#include "guard.h"
#include "interpreter.h"
#include "json_value.h"
#include "neighbours.h"
#include "run_log.h"
#include "script_error.h"
#include "signals.h"
#include "source_loader.h"
#include "store/sha256.h"

namespace gradus {
namespace {

std::string text_argument(lua_State* L, int index) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(L, index, &size);
  return std::string(bytes, size);
}

void push_text(lua_State* L, const std::string& text) { lua_pushlstring(L, text.data(), text.size()); }

void set_text(lua_State* L, const char* field, const std::string& text) {
  push_text(L, text);
  lua_setfield(L, -2, field);
}

void set_flag(lua_State* L, const char* field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

// --- the machine

int monotonic(lua_State* L) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9);
  return 1;
}

int now(lua_State* L) {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  tm utc;
  gmtime_r(&time.tv_sec, &utc);
  char date[32], text[48];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(time.tv_nsec / 1000000));
  lua_pushstring(L, text);
  return 1;
}

int is_terminal(lua_State* L) {
  lua_pushboolean(L, isatty(luaL_optint(L, 1, STDOUT_FILENO)));
  return 1;
}

// columns() -> columns and rows of the terminal
int columns(lua_State* L) {
  winsize size{};
  int width = 0;
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
    if (width <= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0) width = size.ws_col;
  if (width <= 0)
    if (const char* text = std::getenv("COLUMNS")) width = std::atoi(text);
  lua_pushinteger(L, width > 0 ? width : 80);
  lua_pushinteger(L, size.ws_row > 0 ? size.ws_row : 24);
  return 2;
}

// write(fd, text) -> true, or nil and the reason: a closed standard output does not end a run.
int write_text(lua_State* L) {
  const int fd = luaL_checkint(L, 1);
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, 2, &size);
  luaL_argcheck(L, fd == STDOUT_FILENO || fd == STDERR_FILENO, 1, "expected 1 (output) or 2 (errors)");
  std::fflush(fd == STDOUT_FILENO ? stdout : stderr);  // keeps the order with print
  while (size > 0) {
    const ssize_t count = write(fd, text, size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      lua_pushnil(L);
      lua_pushstring(L, std::strerror(errno));
      return 2;
    }
    text += count;
    size -= static_cast<std::size_t>(count);
  }
  lua_pushboolean(L, 1);
  return 1;
}

int hostname(lua_State* L) {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  lua_pushstring(L, name);
  return 1;
}

int file_exists(lua_State* L) {
  lua_pushboolean(L, access(luaL_checkstring(L, 1), F_OK) == 0);
  return 1;
}

int make_folders(lua_State* L) {
  const std::string path = text_argument(L, 1);
  guard(L, [&] {
    std::error_code failed;
    std::filesystem::create_directories(path, failed);
    if (failed) throw HostError(kIo, path + ": the folder cannot be made: " + failed.message());
  });
  return 0;
}

int random_hex(lua_State* L) {
  const int count = luaL_checkint(L, 1);
  luaL_argcheck(L, count >= 1 && count <= 256, 1, "expected 1 to 256 bytes");
  unsigned char bytes[256];
  guard(L, [&] {
    if (getrandom(bytes, static_cast<std::size_t>(count), 0) != count)
      throw HostError(kIo, "random_hex: the system gave no random bytes");
  });
  push_text(L, to_hex(bytes, static_cast<std::size_t>(count)));
  return 1;
}

// --- texts

int sha256_of(lua_State* L) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(L, 1, &size);
  push_text(L, sha256({bytes, size}));
  return 1;
}

// list_folder(path) -> the names in it, sorted; none where there is no such folder
int list_folder(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path, ignored)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  lua_createtable(L, static_cast<int>(names.size()), 0);
  for (std::size_t i = 0; i < names.size(); ++i) {
    lua_pushlstring(L, names[i].data(), names[i].size());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// hash_file(path) -> the SHA-256 of its bytes and their number, or nil and the reason.
int hash_file(lua_State* L) {
  const std::string path = text_argument(L, 1);
  std::string hash, why;
  std::uintmax_t count = 0;
  guard(L, [&] {
    std::error_code failed;
    const auto size = std::filesystem::file_size(path, failed);
    const int file = failed ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC);
    count = size;
    if (file < 0) {
      why = failed ? failed.message() : std::strerror(errno);
      return;
    }
    void* bytes = size > 0 ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : nullptr;
    if (bytes == MAP_FAILED) {
      why = std::strerror(errno);
    } else {
      hash = sha256({static_cast<const char*>(bytes), size});
      if (bytes) munmap(bytes, size);
    }
    close(file);
  });
  if (!why.empty()) {
    lua_pushnil(L);
    push_text(L, path + ": " + why);
    return 2;
  }
  push_text(L, hash);
  lua_pushnumber(L, static_cast<double>(count));
  return 2;
}

int json_encode(lua_State* L) {
  luaL_checkany(L, 1);
  std::string text;
  guard(L, [&] { text = dump_json(to_json(L, 1)); });
  push_text(L, text);
  return 1;
}

int json_decode(lua_State* L) {
  const std::string text = text_argument(L, 1);
  nlohmann::json value;
  guard(L, [&] {
    try {
      value = nlohmann::json::parse(text);
    } catch (const nlohmann::json::exception& error) {
      throw HostError(kData, std::string("json: ") + error.what());
    }
  });
  push_json(L, value);
  return 1;
}

int nearest_word(lua_State* L) {
  if (lua_type(L, 1) != LUA_TSTRING) return lua_pushnil(L), 1;  // nothing is near what is no word
  const std::string word = text_argument(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  std::vector<std::string> words;
  for (int i = 1; lua_rawgeti(L, 2, i), !lua_isnil(L, -1); ++i) {
    if (lua_isstring(L, -1)) words.emplace_back(lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  const std::string best = nearest(word, words);
  if (best.empty())
    lua_pushnil(L);
  else
    push_text(L, best);
  return 1;
}

// --- errors

int where(lua_State* L) {
  const std::string line = user_line(L);
  if (line.empty())
    lua_pushnil(L);
  else
    push_text(L, line);
  return 1;
}

int fail(lua_State* L) {
  push_failure(L, text_argument(L, 1), luaL_optint(L, 2, kData));
  return lua_error(L);
}

// entering(fn): the standard library is about to call this function of the user's; see user_line.h.
int entering(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "gradus.entered");
  return 0;
}

int traceback(lua_State* L) {
  lua_settop(L, 1);
  return record_traceback(L);
}

int exiting(lua_State* L) {
  const auto& code = Interpreter::of(L).exit_code;
  if (code)
    lua_pushinteger(L, *code);
  else
    lua_pushnil(L);
  return 1;
}

// error_text(value) -> what an error object says, whatever it is.
int text_of_error(lua_State* L) {
  luaL_checkany(L, 1);
  push_text(L, error_text(L, 1));
  return 1;
}

int stopping_signal(lua_State* L) {
  if (const char* name = stopping())
    lua_pushstring(L, name);
  else
    lua_pushnil(L);
  return 1;
}

int wanted_saves(lua_State* L) {
  lua_pushinteger(L, saves_wanted());
  return 1;
}

// --- the run

// share_cores(threads) -> threads of other processes' runs; share_cores(): this process trains no more. Specs are
// alone.
int cores_of_others(lua_State* L) {
  int others = 0;
  if (lua_isnoneornil(L, 1))
    leave_cores();
  else if (const int threads = luaL_checkint(L, 1); !Interpreter::of(L).session.options.is_spec)
    guard(L, [&] { others = share_cores(threads); });
  lua_pushinteger(L, others);
  return 1;
}

int log_line(lua_State* L) {
  const std::string level = text_argument(L, 1), text = text_argument(L, 2);
  guard(L, [&] { write_run_log(level, text); });
  return 0;
}

int open_log(lua_State* L) {
  const std::string path = lua_isnoneornil(L, 1) ? "" : text_argument(L, 1);
  guard(L, [&] { open_run_log(path); });
  return 0;
}

int load_script(lua_State* L) {
  Interpreter& interpreter = Interpreter::of(L);
  interpreter.push_chunk(L, interpreter.session.script());
  return 1;
}

// read_script(): the script as it is on the disk now, for load_script. Only before anything of it was loaded.
int read_script(lua_State* L) {
  Session& session = Interpreter::of(L).session;
  guard(L, [&] { session.read_script(session.options.script); });
  return 0;
}

// read_again() -> a mark for put_back: from now on load_script and require give the user's files as they are on the disk.
int read_again(lua_State* L) {
  Interpreter& interpreter = Interpreter::of(L);
  guard(L, [&] { interpreter.session.read_again(); });
  lua_pushinteger(L, static_cast<lua_Integer>(interpreter.loaded.size()));
  return 1;
}

int put_back_sources(lua_State* L) {
  Interpreter& interpreter = Interpreter::of(L);
  interpreter.session.put_back_sources();
  interpreter.loaded.resize(std::min<std::size_t>(interpreter.loaded.size(), static_cast<std::size_t>(luaL_checkinteger(L, 1))));
  return 0;
}

int sources(lua_State* L) {
  lua_newtable(L);
  int i = 0;
  for (const Source* source : Interpreter::of(L).loaded) {
    lua_createtable(L, 0, 3);
    set_text(L, "path", source->path);
    set_text(L, "sha256", source->sha256);
    set_text(L, "text", source->text);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

int stdlib_hash(lua_State* L) {
  std::string hash;
  guard(L, [&] { hash = Interpreter::of(L).session.stdlib.hash(); });
  push_text(L, hash);
  return 1;
}

// library_text("nn/layers.lua") -> the text of a file of the standard library, or nil.
int library_text(lua_State* L) {
  const std::string file = text_argument(L, 1);
  const std::string* text = nullptr;
  guard(L, [&] { text = Interpreter::of(L).session.stdlib.find(file); });
  if (text)
    push_text(L, *text);
  else
    lua_pushnil(L);
  return 1;
}

int stdlib_files(lua_State* L) {
  lua_newtable(L);
  int i = 0;
  for (const std::string& file : Interpreter::of(L).session.stdlib.files()) {
    push_text(L, file);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

// source_line(source, number) -> the line of a script or module of the user's, as debug.getinfo names it; nil for
// others
int source_line(lua_State* L) {
  const std::string name = text_argument(L, 1);
  const std::string* text = name.starts_with("@") ? Interpreter::of(L).find_source(name.substr(1)) : nullptr;
  if (text)
    push_text(L, line_of(*text, luaL_checkint(L, 2)));
  else
    lua_pushnil(L);
  return 1;
}

int git(lua_State* L) {
  const std::optional<GitState>* state = nullptr;
  guard(L, [&] { state = &Interpreter::of(L).session.git(); });
  if (!*state) {
    lua_pushnil(L);
    return 1;
  }
  lua_createtable(L, 0, 3);
  set_text(L, "commit", (*state)->commit);
  if ((*state)->dirty) set_flag(L, "dirty", *(*state)->dirty);
  set_text(L, "diff", (*state)->diff);
  return 1;
}

int versions(lua_State* L) {
  lua_createtable(L, 0, 3);
  set_text(L, "gradus", GRADUS_VERSION);
  set_text(L, "luajit", LUAJIT_VERSION);
  set_text(L, "sqlite", sqlite3_libversion());
  return 1;
}

// Pushes the line that user_line falls back on when a tail call left no frame: the standard library's own analysis.
int tail_line(lua_State* L) {
  push_trusted_require(L);
  lua_pushliteral(L, "gradus.base.tail_call");
  lua_call(L, 1, 1);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"monotonic", monotonic},
                                   {"now", now},
                                   {"isatty", is_terminal},
                                   {"columns", columns},
                                   {"write", write_text},
                                   {"hostname", hostname},
                                   {"mkdirs", make_folders},
                                   {"exists", file_exists},
                                   {"lock", lock_file},
                                   {"random_hex", random_hex},
                                   {"sha256", sha256_of},
                                   {"list_folder", list_folder},
                                   {"hash_file", hash_file},
                                   {"json_encode", json_encode},
                                   {"json_decode", json_decode},
                                   {"nearest", nearest_word},
                                   {"where", where},
                                   {"fail", fail},
                                   {"entering", entering},
                                   {"traceback", traceback},
                                   {"exiting", exiting},
                                   {"error_text", text_of_error},
                                   {"stopping", stopping_signal},
                                   {"share_cores", cores_of_others},
                                   {"saves_wanted", wanted_saves},
                                   {"log", log_line},
                                   {"open_log", open_log},
                                   {"load_script", load_script},
                                   {"read_script", read_script},
                                   {"read_again", read_again},
                                   {"put_back_sources", put_back_sources},
                                   {"sources", sources},
                                   {"stdlib_hash", stdlib_hash},
                                   {"library_text", library_text},
                                   {"watch_calls", watch_calls},
                                   {"watched_calls", watched_calls},
                                   {"source_line", source_line},
                                   {"stdlib_files", stdlib_files},
                                   {"git", git},
                                   {"versions", versions},
                                   {nullptr, nullptr}};

}  // namespace

void push_options(lua_State* L, Session& session) {
  const RunOptions& options = session.options;
  lua_newtable(L);
  set_text(L, "script", options.script);
  set_text(L, "script_dir", session.script_dir().empty() ? "." : session.script_dir());
  set_text(L, "store", options.store);
  if (!options.name.empty()) set_text(L, "name", options.name);
  if (!options.device.empty()) set_text(L, "device", options.device);
  if (!options.seeds.empty()) {
    lua_pushnumber(L, static_cast<double>(options.seeds.front()));
    lua_setfield(L, -2, "seed");
    lua_createtable(L, static_cast<int>(options.seeds.size()), 0);
    for (std::size_t i = 0; i < options.seeds.size(); ++i) {
      lua_pushnumber(L, static_cast<double>(options.seeds[i]));
      lua_rawseti(L, -2, static_cast<int>(i) + 1);
    }
    lua_setfield(L, -2, "seeds");
  }
  if (options.threads) {
    lua_pushinteger(L, *options.threads);
    lua_setfield(L, -2, "threads");
  }
  if (options.jobs) {
    if (*options.jobs > 0)
      lua_pushinteger(L, *options.jobs);
    else
      lua_pushliteral(L, "auto");
    lua_setfield(L, -2, "jobs");
  }
  for (const auto& [name, value] : options.more) set_text(L, name.c_str(), value);
  set_flag(L, "halving", options.halving);
  set_flag(L, "resume", options.resume);
  set_flag(L, "live", options.live);
  set_flag(L, "quiet", options.quiet);
  set_flag(L, "json", options.json);
  set_flag(L, "strict", options.strict);
  lua_createtable(L, static_cast<int>(options.set.size()), 0);
  int i = 0;
  for (const auto& [key, value] : options.set) {
    lua_createtable(L, 2, 0);
    push_text(L, key);
    lua_rawseti(L, -2, 1);
    push_text(L, value);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, ++i);
  }
  lua_setfield(L, -2, "set");
}

int open_host(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  push_options(L, Interpreter::of(L).session);
  lua_setfield(L, -2, "options");
  lua_pushcfunction(L, tail_line);
  lua_setfield(L, LUA_REGISTRYINDEX, "gradus.tail_line");
  return 1;
}

}  // namespace gradus
