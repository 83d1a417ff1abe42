// The host's exception type. Its text is one line: "where: what is wrong; expected …; got …".
#pragma once

#include <stdexcept>
#include <string>

namespace gradus {

enum ExitCode : int { kUsage = 64, kData = 65, kMissing = 66, kBug = 70, kIo = 74 };

class HostError : public std::runtime_error {
 public:
  HostError(int code, const std::string& text) : std::runtime_error(text), code(code) {}
  int code;  // what the process ends with when nobody handles it
};

}  // namespace gradus
