// Texts from outside (a file's name from an old disk, a Latin-1 parameter) may be no UTF-8. JSON, the page and
// terminals want UTF-8, so what is shown of them is this; the store keeps the bytes.
#pragma once

#include <string>
#include <string_view>

namespace gradus::results {

bool is_utf8(std::string_view text);  // no overlong forms, surrogates or code points above U+10FFFF
// The text itself where it is UTF-8; else each byte that is not part of a character as \xfc.
std::string utf8(std::string_view text);

}  // namespace gradus::results
