// Hostile input. FUZZ(name) { … } makes a target of `bytes`: whatever they are, it returns. With `cmake --preset fuzz` each is
// a libFuzzer program under AddressSanitizer and UndefinedBehaviorSanitizer (fuzz_NAME CORPUS); in every build fuzz_tests gives
// each what its corpus holds (tests/fuzz/corpus/NAME).
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace gradus::fuzz {

struct Target {
  const char* name;
  void (*run)(std::string_view bytes);
};

inline std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

// Bytes as a file that has a path and lies in memory: until the next one is made, for making files takes longer than reading them.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) {
    if (ftruncate(file(), 0) != 0) __builtin_trap();
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t n = pwrite(file(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
      if (n <= 0) __builtin_trap();
      at += static_cast<std::size_t>(n);
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(file()); }

 private:
  static int file() {
    static const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    return fd;
  }
};

// What is refused is refused by the room's Error, in one line and not as a bug of ours; anything else ends the program.
template <class Error, class Read>
void accept_or_refuse(Read&& read) {
  try {
    read();
  } catch (const Error& error) {
    constexpr int kBug = 70;
    const std::string_view text = error.what();
    if (static_cast<int>(error.code) != kBug && !text.empty() && text.find('\n') == text.npos) return;
    std::fprintf(stderr, "code %d: '%s'\n", static_cast<int>(error.code), error.what());
    __builtin_trap();
  }
}

}  // namespace gradus::fuzz

#define FUZZ(name)                                            \
  static void fuzz_##name(std::string_view bytes);            \
  static const bool registered_##name = [] {                  \
    gradus::fuzz::targets().push_back({#name, &fuzz_##name}); \
    return true;                                              \
  }();                                                        \
  static void fuzz_##name([[maybe_unused]] std::string_view bytes)
