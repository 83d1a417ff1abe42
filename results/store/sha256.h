// SHA-256 (FIPS 180-4), for naming things by their content.
#pragma once

#include <string>
#include <string_view>

namespace gradus {

std::string sha256(std::string_view bytes);  // 64 lower-case hex digits
std::string to_hex(const unsigned char* bytes, std::size_t count);

}  // namespace gradus
