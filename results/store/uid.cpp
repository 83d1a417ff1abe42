#include "uid.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "error.h"

namespace gradus::results {

std::string random_uid() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
    throw Error(Exit::io, std::string("store: no random numbers from the system; got ") + std::strerror(errno));
  }
  std::string uid;
  for (const unsigned char byte : bytes) {
    uid += "0123456789abcdef"[byte >> 4];
    uid += "0123456789abcdef"[byte & 15];
  }
  return uid;
}

bool is_uid(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace gradus::results
