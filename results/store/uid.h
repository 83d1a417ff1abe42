// A run's name for machines, in this store and in every other: 32 hex digits.
#pragma once

#include <string>
#include <string_view>

namespace gradus::results {

std::string random_uid();  // Error (io): the system has no random numbers
bool is_uid(std::string_view text);

}  // namespace gradus::results
