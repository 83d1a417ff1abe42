#include "csv_cells.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "csv_rows.h"

namespace gradus::csv {

Number to_number(std::string_view text, double* value) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  if (end != text.data() + text.size() || error == std::errc::invalid_argument || text.empty()) return Number::no;
  if (error == std::errc::result_out_of_range) return Number::too_large;
  if (!std::isfinite(*value)) return Number::not_finite;
  return std::isfinite(static_cast<float>(*value)) ? Number::fine : Number::too_large;
}

bool is_missing(std::string_view text) {
  constexpr std::string_view kMissing[] = {"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "."};
  return std::find(std::begin(kMissing), std::end(kMissing), text) != std::end(kMissing);
}

bool is_no_label(std::string_view text) {
  constexpr std::string_view kNone[] = {"NA", "N/A", "n/a", "NaN", "nan"};
  return std::find(std::begin(kNone), std::end(kNone), text) != std::end(kNone);
}

namespace {

// 2024-01-31, 31.1.2024, 1/31/24; what follows (a time) does not matter.
bool is_date(std::string_view text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - begin >= 1 && at - begin <= 4;
  };
  const auto mark = [&](char c) { return at < text.size() && text[at] == c && ++at; };
  if (!digits() || at >= text.size()) return false;
  const char between = text[at];
  return std::strchr("-/.", between) && mark(between) && digits() && mark(between) && digits();
}

}  // namespace

std::pair<std::string, std::string> diagnose(Number kind, const std::string& text, const std::string* name) {
  const std::string number = "a finite number that fits float32", column = name ? "{ " + show(*name) + " }" : "";
  const auto or_skip = [&](const std::string& also) {
    return number + (name ? " (or skip = " + column + also + ")" : " (or a header and skip = { this column })");
  };
  if (text.empty()) return {"empty cell", number + " (or missing = 'drop')"};
  if (is_missing(text)) return {"missing value", number + " (or missing = 'drop')"};
  if (kind == Number::not_finite) return {"not finite", number + " (or missing = 'drop')"};
  if (kind == Number::too_large) return {"number out of range", number};
  if (text.starts_with("0x") || text.starts_with("0X")) return {"a hexadecimal number", or_skip("")};
  if (is_date(text)) return {"a date", or_skip("")};
  return {"not a number", or_skip(" or categories = " + column)};
}

}  // namespace gradus::csv
