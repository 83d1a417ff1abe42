// The host's exception type. Its text is one line: "where: what is wrong; expected …; got …".
#pragma once

#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "error.h"

namespace gradus {

enum ExitCode : int { kUsage = 64, kData = 65, kMissing = 66, kBug = 70, kIo = 74 };

class HostError : public std::runtime_error {
 public:
  HostError(int code, const std::string& text) : std::runtime_error(text), code(code) {}
  int code;  // what the process ends with when nobody handles it
};

// What the process ends with when nobody handles it. Memory, threads and files that the system does not give are no fault of ours.
inline int exit_code_of(const std::exception& error) {
  if (const auto* host = dynamic_cast<const HostError*>(&error)) return host->code;
  if (const auto* store = dynamic_cast<const results::Error*>(&error)) return static_cast<int>(store->code);
  const bool refused = dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
                       dynamic_cast<const std::system_error*>(&error) != nullptr;
  return refused ? kIo : kBug;
}

inline const char* words_of(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ? "out of memory" : error.what();
}

}  // namespace gradus
