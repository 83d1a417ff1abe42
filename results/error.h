// The one exception type of the store. Its text is one line: "where: what is wrong; expected …; got …".
#pragma once

#include <stdexcept>
#include <string>

namespace gradus::results {

enum class Exit : int { usage = 64, data = 65, missing = 66, bug = 70, io = 74 };

class Error : public std::runtime_error {
 public:
  Error(Exit code, const std::string& text) : std::runtime_error(text), code(code) {}
  Exit code;  // what the process ends with when nobody handles it
};

}  // namespace gradus::results
