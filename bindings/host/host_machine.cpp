// gradus.host: the machine: its clocks, terminal, files, random bytes and cores.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "file_lock.h"
#include "guard.h"
#include "host_module.h"
#include "interpreter.h"
#include "lua_text.h"
#include "neighbours.h"
#include "store/sha256.h"

namespace gradus {
namespace {

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

// list_folder(path) -> the names in it, sorted; none where there is no such folder
int list_folder(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path, ignored))
    names.push_back(entry.path().filename().string());
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
                                   {"list_folder", list_folder},
                                   {"hash_file", hash_file},
                                   {"share_cores", cores_of_others},
                                   {nullptr, nullptr}};

}  // namespace

void add_machine_functions(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace gradus
