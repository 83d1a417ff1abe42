// A message is one line, whatever names and values it repeats.
#pragma once

#include <cstdio>
#include <string>

namespace gradus {

// With control characters as Lua's escapes, so that it can be told what the name is: "la\nbel".
inline std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      line += c;
    } else if (c == '\n' || c == '\t' || c == '\r') {
      line += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r";
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      line += escaped;
    }
  }
  return line;
}

}  // namespace gradus
