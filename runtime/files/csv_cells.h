// What a cell of a CSV file is: a number, a missing value, or something that is hardly what was meant.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace gradus::csv {

enum class Number { fine, no, not_finite, too_large };  // too_large: for float32
// The C locale's, whatever the environment says.
Number to_number(std::string_view text, double* value);

bool is_missing(std::string_view text);
// Of words that mean a missing value, those that are hardly a class: 'None', '?' may be one.
bool is_no_label(std::string_view text);

// What a cell is that should be a number, and what can be done. name: of its column, null without a header.
std::pair<std::string, std::string> diagnose(Number kind, const std::string& text, const std::string* name);

}  // namespace gradus::csv
